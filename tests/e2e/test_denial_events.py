"""What a denial leaves behind: an Event where the workload's owner looks, and nothing on a dry run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.kube import eventually
from tests.e2e.objects import maker, pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Shelf
    from tests.e2e.teams import Team

REASON = "ImageDenied"


def test_a_denial_makes_one_event_that_counts_up(team: Team, shelf: Shelf) -> None:
    for _ in range(3):
        assert not team.create(pod("app", shelf.strange.tagged)).ok
    eventually(lambda: [event["count"] for event in _of(team, "app")] == [3], "one Event of three denials", 20)
    (event,) = _of(team, "app")
    assert event["type"] == "Warning"
    assert event["involvedObject"]["kind"] == "Pod"
    assert shelf.strange.tagged in event["message"]


def test_a_dry_run_is_answered_and_leaves_nothing(team: Team, shelf: Shelf) -> None:
    team.create(pod("good", shelf.signed.tagged), dry_run=True).checked()
    assert not team.create(pod("dry", shelf.strange.tagged), dry_run=True).ok
    assert not team.create(pod("wet", shelf.strange.tagged)).ok
    eventually(lambda: _of(team, "wet"), "the Event of what was no dry run")
    assert _of(team, "dry") == []
    assert team.get("pods")["items"] == []


def test_the_event_of_a_pod_without_a_name_is_at_what_makes_it(new_team: Callable[[], Team], shelf: Shelf) -> None:
    team = new_team()
    team.create(maker("ReplicaSet", "app", shelf.unsigned.tagged)).checked()
    team.wait("jsonpath={.status.readyReplicas}=1", "replicaset/app")
    team.trust(shelf.key.entry, probe=shelf.strange.tagged)
    team.kubectl("delete", "pods", "--all", "--wait=false").checked()
    eventually(lambda: any(e["involvedObject"]["kind"] == "ReplicaSet" for e in _of(team, "app")), "an Event at it")


def _of(team: Team, name: str) -> list[Any]:
    return [event for event in team.events(REASON) if event["involvedObject"]["name"] == name]
