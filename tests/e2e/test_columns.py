"""What people and tools see of policies: columns and counts, kstatus, a tenant's own view, dry runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.chart.rendering import NAMESPACE
from tests.e2e.kube import api, apply, eventually, kubectl, wait_for_right
from tests.e2e.objects import authenticator, pod, policy, secret
from tests.support.kstatus import kstatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

PATH = "/apis/sealgate.dev/v1alpha1"


def _stored(plural: str, name: str) -> Any:
    return api().send("GET", f"{PATH}/{plural}/{name}").checked().document


def _conditions(name: str) -> set[tuple[str, str, str]]:
    found = _stored("verificationpolicies", name)["status"]["conditions"]
    return {(each["type"], each["status"], each["reason"]) for each in found}


def _activity(name: str) -> Any:
    return (_stored("verificationpolicies", name).get("status") or {}).get("activity") or {}


def test_columns_show_what_a_policy_covers_and_would_deny(new_team: Callable[[], Team], samples: SampleImages) -> None:
    team = new_team()
    team.require_signature(samples.key.entry, action="Audit", probe=samples.unsigned.tagged)
    for number in range(2):
        team.create(pod(f"app-{number}", samples.unsigned.tagged)).checked()
    eventually(lambda: _activity(team.name).get("denials") == 2, "both would-be denials are counted", 240)
    activity = _activity(team.name)
    assert activity["images"] == "1"
    assert activity["dryRunDenials"] > 0
    heading, row = kubectl("get", "vpol", team.name).checked().out.splitlines()
    assert heading.split() == ["NAME", "ACTION", "READY", "REASON", "IMAGES", "DENIALS", "LAST", "DENIAL", "AGE"]
    assert row.split()[:6] == [team.name, "Audit", "True", "PolicyInForce", "1", "2"]
    assert row.split()[6].endswith(("s", "m"))


def test_a_forged_status_is_put_right(team: Team) -> None:
    kubectl("wait", "--for=condition=Ready", f"vpol/{team.name}", "--timeout=150s").checked()
    before = {kind for kind, _, _ in _conditions(team.name)}
    forged = {"status": {"activity": {"images": "9", "denials": 999}, "conditions": []}}
    kubectl("patch", "vpol", team.name, "--subresource=status", "--type=merge", "-p", json.dumps(forged)).checked()

    def restored() -> bool:
        found = _conditions(team.name)
        return {kind for kind, _, _ in found} >= before and ("Ready", "True", "PolicyInForce") in found

    eventually(restored, "the operator puts the conditions right")


def test_kstatus_waits_for_what_may_come_and_fails_for_what_stays(
    new_team: Callable[[], Team], samples: SampleImages
) -> None:
    name = new_team().name

    def becomes(plural: str, status: str) -> None:
        eventually(lambda: kstatus(_stored(plural, name)) == status, f"{plural} are {status}")

    # Before the operator has seen it, too.
    created = api().send("POST", f"{PATH}/verificationpolicies", policy(name, [name], name)).checked().document
    assert kstatus(created) == "InProgress"
    becomes("verificationpolicies", "InProgress")
    reference = {"secretRef": {"name": f"{name}-key", "key": "cosign.pub"}}
    apply(authenticator(name, reference)).checked()
    becomes("authenticators", "InProgress")
    try:
        apply(secret(f"{name}-key", {"cosign.pub": b"not a key"})).checked()
        becomes("authenticators", "Failed")
        becomes("verificationpolicies", "Failed")
        apply(secret(f"{name}-key", {"cosign.pub": samples.key.pem.encode()})).checked()
        kubectl("wait", "--for=condition=Ready", f"vpol/{name}", "--timeout=150s").checked()
        becomes("authenticators", "Current")
        becomes("verificationpolicies", "Current")
    finally:
        kubectl("-n", NAMESPACE, "delete", "secret", f"{name}-key", "--ignore-not-found")


def test_a_tenant_sees_its_own_events_with_view_alone(team: Team, samples: SampleImages) -> None:
    viewer = ("--as", "e2e-viewer")
    team.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", "--user=e2e-viewer").checked()
    assert not team.create(pod("bad", samples.unsigned.tagged)).ok
    eventually(lambda: samples.unsigned.tagged in team.kubectl(*viewer, "get", "events").out, "the tenant's Event")
    assert "forbidden" in kubectl(*viewer, "get", "events", "-n", "default").err
    assert "forbidden" in kubectl(*viewer, "get", "vpol").err


def test_a_tenant_asks_by_dry_run_what_would_happen(team: Team, samples: SampleImages) -> None:
    editor = ("--as", "e2e-editor")
    team.kubectl("create", "rolebinding", "editor", "--clusterrole=edit", "--user=e2e-editor").checked()
    wait_for_right("e2e-editor", "create", "pods", "--namespace", team.name)

    def ask(image: str, name: str) -> str:
        done = team.kubectl(*editor, "apply", "--dry-run=server", "-f", "-", text=json.dumps(pod(name, image)))
        return done.out + done.err

    assert "pod/good created (server dry run)" in ask(samples.signed.tagged, "good")
    assert "denied the request" in ask(samples.unsigned.tagged, "bad")
    assert team.get("pods")["items"] == []
