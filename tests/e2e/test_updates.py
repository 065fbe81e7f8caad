"""What is already there: changes of images are looked at, other changes never stand in anybody's way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kube import eventually
from tests.e2e.objects import maker, pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Shelf
    from tests.e2e.teams import Team


@pytest.fixture
def old(new_team: Callable[[], Team], shelf: Shelf) -> Team:
    """A namespace with an unsigned Deployment of two pods that is older than its policy."""
    team = new_team()
    deployment = maker("Deployment", "old", shelf.unsigned.tagged)
    deployment["spec"]["replicas"] = 2
    team.create(deployment).checked()
    team.create(pod("old", shelf.unsigned.tagged, containers=_containers(shelf))).checked()
    team.kubectl("rollout", "status", "deployment/old", "--timeout=60s").checked()
    team.trust(shelf.key.entry, probe=shelf.strange.tagged)
    return team


def _containers(shelf: Shelf) -> list[Any]:
    return [{"name": "main", "image": shelf.unsigned.tagged, "command": ["/busybox", "sleep", "100000"]}]


def test_a_bad_image_cannot_be_rolled_out_and_what_runs_stays(team: Team, shelf: Shelf) -> None:
    team.create(maker("Deployment", "app", shelf.signed.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=60s").checked()
    done = team.kubectl("set", "image", "deployment/app", f"main={shelf.unsigned.tagged}")
    assert not done.ok
    assert shelf.unsigned.tagged in done.err
    (status,) = {item["status"].get("readyReplicas") for item in team.get("deployments")["items"]}
    assert status == 1


def test_a_good_image_is_rolled_out_and_back(team: Team, shelf: Shelf) -> None:
    team.create(maker("Deployment", "app", shelf.signed.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=60s").checked()
    team.kubectl("set", "image", "deployment/app", f"main={shelf.newer.tagged}").checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=60s").checked()
    team.kubectl("rollout", "undo", "deployment/app").checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=60s").checked()
    assert team.get("deployment/app")["spec"]["template"]["spec"]["containers"][0]["image"] == shelf.signed.tagged


def test_a_pods_image_cannot_become_a_bad_one(team: Team, shelf: Shelf) -> None:
    team.create(pod("app", shelf.signed.tagged)).checked()
    done = team.kubectl("set", "image", "pod/app", f"main={shelf.unsigned.tagged}")
    assert not done.ok
    assert "workloads.sealgate.dev" in done.err
    team.kubectl("set", "image", "pod/app", f"main={shelf.newer.tagged}").checked()


def test_an_old_workload_can_be_scaled_but_gets_no_new_pods(old: Team) -> None:
    old.kubectl("scale", "deployment/old", "--replicas=1").checked()
    eventually(lambda: len(_pods(old)) == 1, "one pod is left")
    old.kubectl("scale", "deployment/old", "--replicas=3").checked()
    eventually(lambda: _refused(old), "the ReplicaSet says why it gets no pods")
    assert len(_pods(old)) == 1


def _refused(team: Team) -> bool:
    return any("workloads.sealgate.dev" in event["message"] for event in team.events("FailedCreate"))


def test_an_old_workload_can_be_labelled_and_taken_away(old: Team) -> None:
    old.kubectl("label", "deployment/old", "pod/old", "team=old").checked()
    old.kubectl("annotate", "deployment/old", "pod/old", "team=old").checked()
    old.kubectl("delete", "deployment/old", "--timeout=30s").checked()
    eventually(lambda: not _pods(old), "its pods are gone")


def test_attack_42_an_old_pod_with_a_bare_tag_can_get_an_owner(old: Team) -> None:
    old.kubectl("create", "configmap", "owner").checked()
    uid = old.get("configmap/owner")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    patch = json.dumps({"metadata": {"ownerReferences": [owner]}})
    old.kubectl("patch", "pod/old", "--type=merge", "-p", patch).checked()
    found = old.get("pod/old")
    assert found["metadata"]["ownerReferences"][0]["uid"] == uid
    assert "@" not in found["spec"]["containers"][0]["image"]


def test_an_old_workload_with_a_finalizer_can_be_taken_away(old: Team) -> None:
    for what in ("deployment/old", "pod/old"):
        patch = json.dumps({"metadata": {"finalizers": ["example.org/hold"]}})
        old.kubectl("patch", what, "--type=merge", "-p", patch).checked()
        old.kubectl("delete", what, "--wait=false").checked()
        eventually(lambda what=what: "deletionTimestamp" in old.get(what)["metadata"], "it is on its way out")  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        old.kubectl("patch", what, "--type=merge", "-p", '{"metadata":{"finalizers":null}}').checked()
        old.wait("delete", what)


def test_a_finalizer_hides_no_bad_image(team: Team, shelf: Shelf) -> None:
    deployment = maker("Deployment", "app", shelf.signed.tagged)
    deployment["metadata"]["finalizers"] = ["example.org/hold"]
    team.create(deployment).checked()
    team.kubectl("delete", "deployment/app", "--wait=false").checked()
    eventually(lambda: "deletionTimestamp" in team.get("deployment/app")["metadata"], "it is on its way out")
    done = team.kubectl("set", "image", "deployment/app", f"main={shelf.unsigned.tagged}")
    assert not done.ok
    assert "workloads.sealgate.dev" in done.err
    team.kubectl("patch", "deployment/app", "--type=merge", "-p", '{"metadata":{"finalizers":null}}').checked()


def _pods(team: Team) -> list[Any]:
    found: list[Any] = team.get("pods", "-l", "app=old")["items"]
    return [item for item in found if "deletionTimestamp" not in item["metadata"]]
