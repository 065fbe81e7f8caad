"""What was verified is what runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e import release
from tests.e2e.kube import eventually, get, kubectl
from tests.e2e.objects import maker, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Shelf
    from tests.e2e.images import Workshop
    from tests.e2e.teams import Team


#: The label of pods that the pinning webhook does not get to see.
UNPINNED = "e2e.sealgate.dev/unpinned"


@pytest.fixture
def unpinned() -> Iterator[str]:
    """Keep pods with a label away from the pinning webhook, as if it had failed for them; the label."""
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


def test_attack_42_a_bare_tag_that_was_not_pinned_is_not_admitted(team: Team, shelf: Shelf, unpinned: str) -> None:
    bare, exact = pod("bare", shelf.signed.tagged), pod("exact", shelf.signed.by_digest)
    for labelled in (bare, exact):
        labelled["metadata"]["labels"] = {unpinned: "true"}
    eventually(lambda: not team.create(bare, dry_run=True).ok, "the pinning webhook does not see the pod")
    done = team.create(bare)
    assert not done.ok
    assert "could not be pinned" in done.err
    assert shelf.signed.tagged in done.err
    team.create(exact).checked()
    team.create(pod("pinned", shelf.signed.tagged)).checked()


def test_a_pod_is_pinned_and_the_kubelet_runs_that_digest(team: Team, shelf: Shelf) -> None:
    init = [{"name": "first", "image": shelf.newer.tagged, "command": ["/busybox", "true"]}]
    team.create(pod("app", shelf.signed.tagged, initContainers=init)).checked()
    team.wait("condition=Ready", "pod/app")
    found = team.get("pod/app")
    assert found["spec"]["containers"][0]["image"] == f"{shelf.signed.tagged}@{shelf.signed.digest}"
    assert found["spec"]["initContainers"][0]["image"] == f"{shelf.newer.tagged}@{shelf.newer.digest}"
    assert found["status"]["containerStatuses"][0]["imageID"].endswith(f"@{shelf.signed.digest}")
    assert found["status"]["initContainerStatuses"][0]["imageID"].endswith(f"@{shelf.newer.digest}")


def test_what_makes_pods_is_not_rewritten(team: Team, shelf: Shelf) -> None:
    team.create(maker("Deployment", "app", shelf.signed.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=60s").checked()
    for kind in ("deployments", "replicasets"):
        (found,) = team.get(kind)["items"]
        assert found["spec"]["template"]["spec"]["containers"][0]["image"] == shelf.signed.tagged
    (made,) = team.get("pods")["items"]
    assert made["spec"]["containers"][0]["image"] == f"{shelf.signed.tagged}@{shelf.signed.digest}"


def test_a_tag_that_is_moved_to_an_unsigned_image_gets_nothing_in(
    team: Team, shelf: Shelf, workshop: Workshop, repository: str
) -> None:
    moving = workshop.signed(f"{repository}/moving:1", shelf.key.name)
    team.create(pod("before", moving.tagged)).checked()
    team.wait("condition=Ready", "pod/before")
    workshop.push(moving.tagged, "something else")
    # Until the tag's old digest is forgotten, the pod is pinned to what was verified; then it is refused.
    eventually(lambda: not team.create(pod("after", moving.tagged), dry_run=True).ok, "the moved tag is refused")
    assert team.get("pod/before")["status"]["containerStatuses"][0]["imageID"].endswith(moving.digest)
