"""Pods are pinned to the digest that was verified."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e import release
from tests.e2e.kube import eventually, get, kubectl
from tests.e2e.objects import pod, workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.images import ImageBuilder
    from tests.e2e.teams import Team


#: Label of pods that are not sent to the pinning webhook.
UNPINNED = "e2e.sealgate.dev/unpinned"


@pytest.fixture
def unpinned() -> Iterator[str]:
    """Exclude pods with a label from the pinning webhook, as if it had failed for them; return the label."""
    selector = {"matchExpressions": [{"key": UNPINNED, "operator": "DoesNotExist"}]}
    try:
        _select(selector)
        yield UNPINNED
    finally:
        _select({})


def _select(selector: object) -> None:
    found = get("mutatingwebhookconfigurations", "-l", f"app.kubernetes.io/instance={release.NAME}")["items"]
    assert found
    patch = json.dumps([{"op": "add", "path": "/webhooks/0/objectSelector", "value": selector}])
    for configuration in found:
        name = configuration["metadata"]["name"]
        kubectl("patch", "mutatingwebhookconfiguration", name, "--type=json", "-p", patch).checked()


def test_attack_42_unpinned_tag_is_denied(team: Team, samples: SampleImages, unpinned: str) -> None:
    bare, exact = pod("bare", samples.signed.tagged), pod("exact", samples.signed.by_digest)
    for labelled in (bare, exact):
        labelled["metadata"]["labels"] = {unpinned: "true"}
    eventually(lambda: not team.create(bare, dry_run=True).ok, "the exclusion is in force")
    done = team.create(bare)
    assert not done.ok
    assert "could not be pinned" in done.err
    assert samples.signed.tagged in done.err
    team.create(exact).checked()
    team.create(pod("pinned", samples.signed.tagged)).checked()


def test_pod_is_pinned_to_the_digest_that_runs(team: Team, samples: SampleImages) -> None:
    init = [{"name": "first", "image": samples.newer.tagged, "command": ["/busybox", "true"]}]
    team.create(pod("app", samples.signed.tagged, initContainers=init)).checked()
    team.wait("condition=Ready", "pod/app")
    found = team.get("pod/app")
    assert found["spec"]["containers"][0]["image"] == f"{samples.signed.tagged}@{samples.signed.digest}"
    assert found["spec"]["initContainers"][0]["image"] == f"{samples.newer.tagged}@{samples.newer.digest}"
    assert found["status"]["containerStatuses"][0]["imageID"].endswith(f"@{samples.signed.digest}")
    assert found["status"]["initContainerStatuses"][0]["imageID"].endswith(f"@{samples.newer.digest}")


def test_workload_templates_are_not_pinned(team: Team, samples: SampleImages) -> None:
    team.create(workload("Deployment", "app", samples.signed.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=150s").checked()
    for kind in ("deployments", "replicasets"):
        (found,) = team.get(kind)["items"]
        assert found["spec"]["template"]["spec"]["containers"][0]["image"] == samples.signed.tagged
    (made,) = team.get("pods")["items"]
    assert made["spec"]["containers"][0]["image"] == f"{samples.signed.tagged}@{samples.signed.digest}"


def test_tag_moved_to_an_unsigned_image_is_denied(
    team: Team, samples: SampleImages, image_builder: ImageBuilder, repository: str
) -> None:
    moving = image_builder.signed(f"{repository}/moving:1", samples.key.name)
    team.create(pod("before", moving.tagged)).checked()
    team.wait("condition=Ready", "pod/before")
    image_builder.push(moving.tagged, "something else")
    # While the old digest is cached, the pod is pinned to the image that was verified; then it is denied.
    eventually(lambda: not team.create(pod("after", moving.tagged), dry_run=True).ok, "the moved tag is refused")
    assert team.get("pod/before")["status"]["containerStatuses"][0]["imageID"].endswith(moving.digest)
