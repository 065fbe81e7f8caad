"""Pods and workloads: signed images run, other images are denied."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kube import eventually
from tests.e2e.objects import STAY, WORKLOADS, pod, workload

if TYPE_CHECKING:
    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team


def test_signed_image_runs(team: Team, samples: SampleImages) -> None:
    team.create(pod("app", samples.signed.tagged)).checked()
    team.create(pod("by-digest", samples.signed.by_digest)).checked()
    team.wait("condition=Ready", "pod/app", "pod/by-digest")


@pytest.mark.parametrize("which", ["unsigned", "untrusted"])
def test_other_images_are_denied_with_a_clear_message(team: Team, samples: SampleImages, which: str) -> None:
    image = samples.unsigned if which == "unsigned" else samples.untrusted
    done = team.create(pod("app", image.tagged))
    assert not done.ok
    assert 'admission webhook "workloads.sealgate.dev" denied the request' in done.err
    assert "spec.containers[0]" in done.err
    assert image.tagged in done.err
    assert team.name in done.err  # the name of the policy and of the authenticator
    assert "Traceback" not in done.err
    assert team.get("pods")["items"] == []


def test_missing_image_is_denied(team: Team, repository: str) -> None:
    done = team.create(pod("app", f"{repository}/nothing:1"))
    assert not done.ok
    assert f"{repository}/nothing:1" in done.err


def test_kubectl_run_gets_the_denial(team: Team, samples: SampleImages) -> None:
    done = team.kubectl("run", "app", f"--image={samples.unsigned.tagged}", "--restart=Never")
    assert not done.ok
    assert "workloads.sealgate.dev" in done.err


@pytest.mark.parametrize("kind", WORKLOADS)
def test_workload_with_unsigned_image_is_denied(team: Team, samples: SampleImages, kind: str) -> None:
    done = team.create(workload(kind, "app", samples.unsigned.tagged))
    assert not done.ok
    assert "workloads.sealgate.dev" in done.err
    assert samples.unsigned.tagged in done.err


def test_workloads_with_signed_image_run(team: Team, samples: SampleImages) -> None:
    for kind in WORKLOADS:
        team.create(workload(kind, kind.lower(), samples.signed.tagged)).checked()
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        team.kubectl("rollout", "status", f"{kind.lower()}/{kind.lower()}", "--timeout=150s").checked()
    team.wait("jsonpath={.status.readyReplicas}=1", "replicaset/replicaset")
    team.wait("jsonpath={.status.readyReplicas}=1", "replicationcontroller/replicationcontroller")
    team.wait("condition=Complete", "job/job")
    team.kubectl("create", "job", "now", "--from=cronjob/cronjob").checked()
    team.wait("condition=Complete", "job/now")


@pytest.mark.parametrize("kind", ["pod", "Deployment"])
def test_init_containers_are_verified(team: Team, samples: SampleImages, kind: str) -> None:
    init = [{"name": "first", "image": samples.unsigned.tagged, "command": ["/busybox", "true"]}]
    obj = pod("app", samples.signed.tagged) if kind == "pod" else workload(kind, "app", samples.signed.tagged)
    spec = obj["spec"] if kind == "pod" else obj["spec"]["template"]["spec"]
    spec["initContainers"] = init
    done = team.create(obj)
    assert not done.ok
    assert "spec.initContainers[0]" in done.err
    init[0]["image"] = samples.newer.tagged
    team.create(obj).checked()
    if kind == "pod":
        team.wait("condition=Ready", "pod/app")


def test_image_volumes_are_verified(team: Team, samples: SampleImages) -> None:
    volume = {"name": "data", "image": {"reference": samples.unsigned.tagged}}
    obj = pod("app", samples.signed.tagged, volumes=[volume])
    done = team.create(obj, dry_run=True)
    assert not done.ok
    assert "spec.volumes[0]" in done.err
    volume["image"] = {"reference": samples.newer.tagged}
    team.create(obj, dry_run=True).checked()


def test_ephemeral_containers_are_verified(team: Team, samples: SampleImages) -> None:
    team.create(pod("app", samples.signed.tagged)).checked()
    team.wait("condition=Ready", "pod/app")
    done = team.kubectl("debug", "app", f"--image={samples.unsigned.tagged}", "-c", "bad", "--", *STAY)
    assert not done.ok
    assert "spec.ephemeralContainers[0]" in done.err
    team.kubectl("debug", "app", f"--image={samples.newer.tagged}", "-c", "good", "--", *STAY).checked()
    eventually(lambda: _debugged(team), "the ephemeral container runs")


def _debugged(team: Team) -> bool:
    statuses = team.get("pod/app")["status"].get("ephemeralContainerStatuses", [])
    return any("running" in status["state"] for status in statuses)


def test_pod_with_one_untrusted_image_is_denied(team: Team, samples: SampleImages) -> None:
    obj = pod("app", samples.signed.tagged)
    obj["spec"]["containers"].append({"name": "side", "image": samples.untrusted.tagged})
    done = team.kubectl("apply", "-f", "-", text=json.dumps(obj))
    assert not done.ok
    assert "spec.containers[1]" in done.err
    assert "spec.containers[0]" not in done.err
