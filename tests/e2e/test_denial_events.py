"""Events of denials: one for each denied object, on its owner if it has no name, none for a dry run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tests.e2e.kube import eventually
from tests.e2e.objects import pod, workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

REASON = "ImageDenied"


def test_repeated_denials_are_counted_in_one_event(team: Team, samples: SampleImages) -> None:
    for _ in range(3):
        done = team.create(pod("app", samples.untrusted.tagged))
        assert not done.ok
        decision_id = done.err.strip().rpartition("decision id: ")[2]
        # The replicas write their Events independently, in any order if the decisions are close together.
        eventually(partial(_says, team, "app", decision_id), "the Event names the newest decision")
    (event,) = _of(team, "app")
    # Each replica counts its own decisions, so the second one of another replica may be counted as its first.
    assert event["count"] in {2, 3}
    assert event["type"] == "Warning"
    assert event["involvedObject"]["kind"] == "Pod"
    assert samples.untrusted.tagged in event["message"]


def test_dry_run_is_denied_without_an_event(team: Team, samples: SampleImages) -> None:
    team.create(pod("good", samples.signed.tagged), dry_run=True).checked()
    assert not team.create(pod("dry", samples.untrusted.tagged), dry_run=True).ok
    assert not team.create(pod("not-dry", samples.untrusted.tagged)).ok
    eventually(lambda: _of(team, "not-dry"), "the Event of the denial that was not a dry run")
    assert _of(team, "dry") == []
    assert team.get("pods")["items"] == []


def test_event_of_an_unnamed_pod_is_on_its_owner(new_team: Callable[[], Team], samples: SampleImages) -> None:
    team = new_team()
    team.create(workload("ReplicaSet", "app", samples.unsigned.tagged)).checked()
    team.wait("jsonpath={.status.readyReplicas}=1", "replicaset/app")
    team.require_signature(samples.key.entry, probe=samples.untrusted.tagged)
    team.kubectl("delete", "pods", "--all", "--wait=false").checked()
    eventually(
        lambda: any(e["involvedObject"]["kind"] == "ReplicaSet" for e in _of(team, "app")), "an Event on the ReplicaSet"
    )


def _says(team: Team, name: str, text: str) -> bool:
    return any(text in event["message"] for event in _of(team, name))


def _of(team: Team, name: str) -> list[Any]:
    return [event for event in team.events(REASON) if event["involvedObject"]["name"] == name]
