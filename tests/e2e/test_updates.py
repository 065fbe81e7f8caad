"""Updates of existing objects: changes of images are verified, other changes are admitted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kube import eventually
from tests.e2e.objects import pod, workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team


@pytest.fixture
def old(new_team: Callable[[], Team], samples: SampleImages) -> Team:
    """A namespace with an unsigned Deployment of two pods and an unsigned pod, all older than its policy."""
    team = new_team()
    deployment = workload("Deployment", "old", samples.unsigned.tagged)
    deployment["spec"]["replicas"] = 2
    team.create(deployment).checked()
    team.create(pod("old", samples.unsigned.tagged, containers=_containers(samples))).checked()
    team.kubectl("rollout", "status", "deployment/old", "--timeout=150s").checked()
    team.require_signature(samples.key.entry, probe=samples.untrusted.tagged)
    return team


def _containers(samples: SampleImages) -> list[Any]:
    return [{"name": "main", "image": samples.unsigned.tagged, "command": ["/busybox", "sleep", "100000"]}]


def test_rollout_of_an_unsigned_image_is_denied(team: Team, samples: SampleImages) -> None:
    team.create(workload("Deployment", "app", samples.signed.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=150s").checked()
    done = team.kubectl("set", "image", "deployment/app", f"main={samples.unsigned.tagged}")
    assert not done.ok
    assert samples.unsigned.tagged in done.err
    (status,) = {item["status"].get("readyReplicas") for item in team.get("deployments")["items"]}
    assert status == 1


def test_signed_image_is_rolled_out_and_back(team: Team, samples: SampleImages) -> None:
    team.create(workload("Deployment", "app", samples.signed.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=150s").checked()
    team.kubectl("set", "image", "deployment/app", f"main={samples.newer.tagged}").checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=150s").checked()
    team.kubectl("rollout", "undo", "deployment/app").checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=150s").checked()
    assert team.get("deployment/app")["spec"]["template"]["spec"]["containers"][0]["image"] == samples.signed.tagged


def test_pod_image_cannot_change_to_an_unsigned_one(team: Team, samples: SampleImages) -> None:
    team.create(pod("app", samples.signed.tagged)).checked()
    done = team.kubectl("set", "image", "pod/app", f"main={samples.unsigned.tagged}")
    assert not done.ok
    assert "workloads.sealgate.dev" in done.err
    team.kubectl("set", "image", "pod/app", f"main={samples.newer.tagged}").checked()


def test_old_workload_scales_down_but_not_up(old: Team) -> None:
    old.kubectl("scale", "deployment/old", "--replicas=1").checked()
    eventually(lambda: len(_pods(old)) == 1, "one pod is left")
    old.kubectl("scale", "deployment/old", "--replicas=3").checked()
    eventually(lambda: _refused(old), "the ReplicaSet says why it gets no pods")
    assert len(_pods(old)) == 1


def _refused(team: Team) -> bool:
    return any("workloads.sealgate.dev" in event["message"] for event in team.events("FailedCreate"))


def test_old_workload_can_be_labelled_and_deleted(old: Team) -> None:
    old.kubectl("label", "deployment/old", "pod/old", "team=old").checked()
    old.kubectl("annotate", "deployment/old", "pod/old", "team=old").checked()
    old.kubectl("delete", "deployment/old", "--timeout=150s").checked()
    eventually(lambda: not _pods(old), "its pods are deleted")


def test_attack_42_old_pod_with_bare_tag_can_get_an_owner(old: Team) -> None:
    old.kubectl("create", "configmap", "owner").checked()
    uid = old.get("configmap/owner")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    patch = json.dumps({"metadata": {"ownerReferences": [owner]}})
    old.kubectl("patch", "pod/old", "--type=merge", "-p", patch).checked()
    found = old.get("pod/old")
    assert found["metadata"]["ownerReferences"][0]["uid"] == uid
    assert "@" not in found["spec"]["containers"][0]["image"]


def test_old_workload_with_finalizer_can_be_deleted(old: Team) -> None:
    for what in ("deployment/old", "pod/old"):
        patch = json.dumps({"metadata": {"finalizers": ["example.org/hold"]}})
        old.kubectl("patch", what, "--type=merge", "-p", patch).checked()
        old.kubectl("delete", what, "--wait=false").checked()
        eventually(lambda what=what: "deletionTimestamp" in old.get(what)["metadata"], "it is being deleted")  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        old.kubectl("patch", what, "--type=merge", "-p", '{"metadata":{"finalizers":null}}').checked()
        old.wait("delete", what)


def test_unsigned_image_is_denied_during_deletion(team: Team, samples: SampleImages) -> None:
    deployment = workload("Deployment", "app", samples.signed.tagged)
    deployment["metadata"]["finalizers"] = ["example.org/hold"]
    team.create(deployment).checked()
    team.kubectl("delete", "deployment/app", "--wait=false").checked()
    eventually(lambda: "deletionTimestamp" in team.get("deployment/app")["metadata"], "it is being deleted")
    done = team.kubectl("set", "image", "deployment/app", f"main={samples.unsigned.tagged}")
    assert not done.ok
    assert "workloads.sealgate.dev" in done.err
    team.kubectl("patch", "deployment/app", "--type=merge", "-p", '{"metadata":{"finalizers":null}}').checked()


def _pods(team: Team) -> list[Any]:
    found: list[Any] = team.get("pods", "-l", "app=old")["items"]
    return [item for item in found if "deletionTimestamp" not in item["metadata"]]
