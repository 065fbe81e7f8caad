"""Pods, and everything that makes pods: the signed image runs, the others do not get in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kube import eventually
from tests.e2e.objects import MAKERS, STAY, maker, pod

if TYPE_CHECKING:
    from tests.e2e.conftest import Shelf
    from tests.e2e.teams import Team


def test_a_signed_image_runs(team: Team, shelf: Shelf) -> None:
    team.create(pod("app", shelf.signed.tagged)).checked()
    team.create(pod("by-digest", shelf.signed.by_digest)).checked()
    team.wait("condition=Ready", "pod/app", "pod/by-digest")


@pytest.mark.parametrize("which", ["unsigned", "strange"])
def test_other_images_are_refused_with_a_message_that_helps(team: Team, shelf: Shelf, which: str) -> None:
    image = shelf.unsigned if which == "unsigned" else shelf.strange
    done = team.create(pod("app", image.tagged))
    assert not done.ok
    assert 'admission webhook "workloads.sealgate.dev" denied the request' in done.err
    assert "spec.containers[0]" in done.err
    assert image.tagged in done.err
    assert team.name in done.err  # the policy's name, and the authenticator's
    assert "Traceback" not in done.err
    assert team.get("pods")["items"] == []


def test_an_image_that_is_not_there_is_refused(team: Team, repository: str) -> None:
    done = team.create(pod("app", f"{repository}/nothing:1"))
    assert not done.ok
    assert f"{repository}/nothing:1" in done.err


def test_kubectl_run_is_told_too(team: Team, shelf: Shelf) -> None:
    done = team.kubectl("run", "app", f"--image={shelf.unsigned.tagged}", "--restart=Never")
    assert not done.ok
    assert "workloads.sealgate.dev" in done.err


@pytest.mark.parametrize("kind", MAKERS)
def test_what_makes_pods_is_refused_itself(team: Team, shelf: Shelf, kind: str) -> None:
    done = team.create(maker(kind, "app", shelf.unsigned.tagged))
    assert not done.ok
    assert "workloads.sealgate.dev" in done.err
    assert shelf.unsigned.tagged in done.err


def test_what_makes_pods_runs_signed_images(team: Team, shelf: Shelf) -> None:
    for kind in MAKERS:
        team.create(maker(kind, kind.lower(), shelf.signed.tagged)).checked()
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        team.kubectl("rollout", "status", f"{kind.lower()}/{kind.lower()}", "--timeout=60s").checked()
    team.wait("jsonpath={.status.readyReplicas}=1", "replicaset/replicaset")
    team.wait("jsonpath={.status.readyReplicas}=1", "replicationcontroller/replicationcontroller")
    team.wait("condition=Complete", "job/job")
    team.kubectl("create", "job", "now", "--from=cronjob/cronjob").checked()
    team.wait("condition=Complete", "job/now")


@pytest.mark.parametrize("kind", ["pod", "Deployment"])
def test_init_containers_count(team: Team, shelf: Shelf, kind: str) -> None:
    init = [{"name": "first", "image": shelf.unsigned.tagged, "command": ["/busybox", "true"]}]
    obj = pod("app", shelf.signed.tagged) if kind == "pod" else maker(kind, "app", shelf.signed.tagged)
    spec = obj["spec"] if kind == "pod" else obj["spec"]["template"]["spec"]
    spec["initContainers"] = init
    done = team.create(obj)
    assert not done.ok
    assert "spec.initContainers[0]" in done.err
    init[0]["image"] = shelf.newer.tagged
    team.create(obj).checked()
    if kind == "pod":
        team.wait("condition=Ready", "pod/app")


def test_image_volumes_count(team: Team, shelf: Shelf) -> None:
    volume = {"name": "data", "image": {"reference": shelf.unsigned.tagged}}
    obj = pod("app", shelf.signed.tagged, volumes=[volume])
    done = team.create(obj, dry_run=True)
    assert not done.ok
    assert "spec.volumes[0]" in done.err
    volume["image"] = {"reference": shelf.newer.tagged}
    team.create(obj, dry_run=True).checked()


def test_kubectl_debug_brings_signed_images_only(team: Team, shelf: Shelf) -> None:
    team.create(pod("app", shelf.signed.tagged)).checked()
    team.wait("condition=Ready", "pod/app")
    done = team.kubectl("debug", "app", f"--image={shelf.unsigned.tagged}", "-c", "bad", "--", *STAY)
    assert not done.ok
    assert "spec.ephemeralContainers[0]" in done.err
    team.kubectl("debug", "app", f"--image={shelf.newer.tagged}", "-c", "good", "--", *STAY).checked()
    eventually(lambda: _debugged(team), "the ephemeral container runs")


def _debugged(team: Team) -> bool:
    statuses = team.get("pod/app")["status"].get("ephemeralContainerStatuses", [])
    return any("running" in status["state"] for status in statuses)


def test_a_pod_with_one_bad_image_among_good_ones_is_refused(team: Team, shelf: Shelf) -> None:
    obj = pod("app", shelf.signed.tagged)
    obj["spec"]["containers"].append({"name": "side", "image": shelf.strange.tagged})
    done = team.kubectl("apply", "-f", "-", text=json.dumps(obj))
    assert not done.ok
    assert "spec.containers[1]" in done.err
    assert "spec.containers[0]" not in done.err
