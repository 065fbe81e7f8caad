"""A policy is rolled out from Audit over Warn to Enforce: what it would deny is visible, each decision by one id."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.chart.rendering import NAMESPACE, ROOT
from tests.cli.running import SEALGATE, sealgate
from tests.e2e import release
from tests.e2e.documentation import Page
from tests.e2e.kube import eventually, kubectl
from tests.e2e.objects import pod, workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

WOULD_BE_DENIED = "ImageWouldBeDenied"
ID = re.compile(r"\(decision ([a-z2-7]{8}-[a-z2-7]{8})\)")


def test_policy_is_rolled_out_from_audit_to_enforce(
    new_team: Callable[[], Team], samples: SampleImages, tmp_path: Path
) -> None:
    team, page = new_team(), Page(ROOT / "docs/rollout.md")
    policy = {"production": team.name}
    team.require_signature(samples.key.entry, action="Audit", probe=samples.unsigned.tagged)
    kubectl("wait", "--for=condition=Ready", f"vpol/{team.name}", "--timeout=150s").checked()
    page.run("1. Audit", "kubectl wait", policy).checked()
    assert team.create(pod("audited", samples.unsigned.tagged)).checked().err == ""
    page.run("2. Look", "kubectl get vpol", policy).checked()
    event = _event(team, "audited")
    assert f"Audit policy {team.name}" in event["message"]
    assert "audited" in page.run("2. Look", "kubectl -n shop get events", {"shop": team.name}).checked().out
    (audited,) = _explained(_id(event["message"]))
    assert (audited["namespace"], audited["name"], audited["action"]) == (team.name, "audited", "Audit")
    assert audited["images"][0]["digest"] == samples.unsigned.digest
    log = {"sealgate.log": str(tmp_path / "webhook.log")}
    page.run("2. Look", "kubectl -n sealgate-system logs", log).checked()
    shown = page.run(
        "2. Look", "sealgate explain", {**log, "shop": team.name, "sealgate explain": f"{SEALGATE} explain"}
    )
    assert audited["decision_id"] in shown.checked().out

    page.run("3. Warn", "kubectl patch", policy).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=True, warned=True)
    warning = team.create(pod("warned", samples.unsigned.tagged)).checked().err
    assert warning.startswith(f"Warning: sealgate: {team.name}: NoSignature: spec.containers[0]: ")
    assert _explained(_id(warning))[0]["action"] == "Warn"
    _event(team, "warned")

    page.run("4. Enforce", "kubectl patch", policy).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    refused = team.create(pod("denied", samples.unsigned.tagged)).err
    decision_id = refused.strip().rpartition("decision id: ")[2]
    (denied,) = _explained(decision_id)
    assert (denied["result"], denied["name"]) == ("denied", "denied")
    eventually(lambda: [e for e in team.events("ImageDenied") if decision_id in e["message"]], "the Event with this id")
    assert team.create(pod("good", samples.signed.tagged)).ok
    _expect_counts(team, {"Audit", "Warn", "Enforce"})
    page.run("4. Enforce", "kubectl patch", policy).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=True, warned=True)


def test_repeated_would_be_denial_is_one_event_with_the_newest_id(
    new_team: Callable[[], Team], samples: SampleImages
) -> None:
    team = new_team()
    team.require_signature(samples.key.entry, action="Audit", probe=samples.unsigned.tagged)
    ids: list[str] = []

    def decided() -> bool:
        """Return whether the Event has another id than before, which then is that of the newest decision."""
        (event,) = _events(team, "app") or [None]
        if event is None or _id(event["message"]) in ids:
            return False
        ids.append(_id(event["message"]))
        return True

    for _ in range(3):
        team.create(workload("PodTemplate", "app", samples.unsigned.tagged)).checked()
        # The replicas write their Events independently, in any order if the decisions are close together.
        eventually(decided, "the Event has a new id")
        team.kubectl("delete", "podtemplate/app").checked()
    (event,) = _events(team, "app")
    # Each replica counts its own decisions, so the second one of another replica may be counted as its first.
    assert event["count"] in {2, 3}
    _explained(ids[-1])
    times = {decision["decision_id"]: decision["time"] for decision in _explained("--namespace", team.name)}
    assert times[_id(event["message"])] == max(times.values())
    assert _id(event["message"]) in team.kubectl("describe", "events").checked().out


def _id(text: str) -> str:
    found = ID.search(text)
    assert found is not None, text
    return found[1]


def _events(team: Team, name: str) -> list[Any]:
    return [event for event in team.events(WOULD_BE_DENIED) if event["involvedObject"]["name"] == name]


def _event(team: Team, name: str) -> Any:  # noqa: ANN401 - any JSON
    (event,) = eventually(lambda: _events(team, name), f"the Event of {name}")
    assert event["type"] == "Warning"
    return event


def _explained(*question: str) -> list[Any]:
    """Return what `sealgate explain` finds in the log of all replicas, once the node has it."""

    def explained() -> list[Any]:
        log = kubectl("-n", NAMESPACE, "logs", "-l", "app.kubernetes.io/component=webhook", "--tail=-1").out
        found: list[Any] = json.loads(sealgate("explain", *question, "--log", "-", "-o", "json", stdin=log).stdout)
        return found

    return eventually(explained, f"the log explains {question}")


def _expect_counts(team: Team, actions: set[str]) -> None:
    """Expect that the replicas' metrics count would-be denials of the team by action."""
    labels = rf'action="(\w+)",namespace="{team.name}",policy="{team.name}",reason="NoSignature",verdict="deny"'
    pattern = re.compile(rf"sealgate_policy_results_total\{{{labels}\}}")

    def counted() -> set[str]:
        matches = (pattern.fullmatch(sample) for samples in release.metrics("webhook") for sample in samples)
        return {match[1] for match in matches if match}

    eventually(lambda: counted() == actions, f"the metrics count {actions}")
