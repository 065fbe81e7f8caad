"""At the webhook: no kind, list, owner, moment or moved tag takes an image past it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.clocks import FakeClock
from tests.support.signers.cosign import Classic, push_classic
from tests.webhook.admission.test_mutate import apply, operations
from tests.webhook.environment import World, open_world
from tests.webhook.objects import GROUPS, pod, review, workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world


def test_attack_04_a_moved_tag_is_verified_again(world: World) -> None:
    clock = FakeClock()
    world.clock = clock
    image = world.sign("team/app", "v1")
    assert world.validate(review(pod(image))).allowed
    world.push("team/app", "v1", content=b"something else")
    clock.advance(31)
    assert not world.validate(review(pod(image))).allowed


def test_attack_04_what_was_pinned_stays_what_was_verified_wherever_the_tag_goes(world: World) -> None:
    image = world.sign("team/app", "v1")
    signed = world.digest("team/app", "v1")
    pinned = apply(operations(world.mutate(review(pod(image)))), pod(image))
    world.push("team/app", "v1", content=b"something else")
    answer = world.validate(review(pinned))
    assert answer.allowed
    assert answer.response["auditAnnotations"] == {"container.main-0": f"{world.registry.host}/team/app@{signed}"}


def test_attack_04_a_tag_that_moves_before_it_is_pinned_is_denied(world: World) -> None:
    image = world.sign("team/app", "v1")
    world.push("team/app", "v1", content=b"something else")
    pinned = apply(operations(world.mutate(review(pod(image)))), pod(image))
    assert not world.validate(review(pinned)).allowed


def test_attack_04_a_digest_behind_a_signed_tag_is_what_counts(world: World) -> None:
    tagged, unsigned = world.sign("team/app", "v1"), world.push("team/app", content=b"something else")
    digest = unsigned.partition("@")[2]
    assert not world.validate(review(pod(f"{tagged}@{digest}"))).allowed


def test_attack_18_an_ephemeral_container_is_looked_at(world: World) -> None:
    running, debug = world.sign("team/app", "v1"), world.push("team/debug", "v1")
    old, new = pod(running), pod(running, ephemeral=(debug,))
    answer = world.validate(review(new, "UPDATE", oldObject=old, subResource="ephemeralcontainers"))
    assert not answer.allowed
    assert answer.message.startswith("spec.ephemeralContainers[0]: ")


def test_attack_18_an_ephemeral_container_with_the_image_of_a_running_one_is_looked_at(world: World) -> None:
    running = world.push("team/app", "v1")
    new = pod(running, ephemeral=(running,))
    update = review(new, "UPDATE", oldObject=pod(running), subResource="ephemeralcontainers")
    assert not world.validate(update).allowed


@pytest.mark.parametrize("kind", sorted(GROUPS))
@pytest.mark.parametrize("place", ["init", "ephemeral", "volumes"])
def test_attack_19_every_list_of_every_kind_is_looked_at(world: World, kind: str, place: str) -> None:
    lists = {place: (world.push("team/bad", "v1"),)}
    assert not world.validate(review(workload(kind, world.sign("team/app", "v1"), **lists))).allowed


@pytest.mark.parametrize("subresource", ["", "resize", "status", "ephemeralcontainers", "unheard-of"])
def test_attack_19_no_subresource_changes_an_image_unseen(world: World, subresource: str) -> None:
    old, new = pod(world.sign("team/app", "v1")), pod(world.push("team/bad", "v1"))
    assert not world.validate(review(new, "UPDATE", oldObject=old, subResource=subresource)).allowed


def test_attack_19_an_old_object_on_a_create_hides_nothing(world: World) -> None:
    bad = pod(world.push("team/bad", "v1"))
    assert not world.validate(review(bad, "CREATE", oldObject=bad)).allowed


def test_attack_20_an_object_that_is_being_deleted_is_looked_at(world: World) -> None:
    old = pod(world.sign("team/app", "v1"))
    new = pod(world.push("team/bad", "v1"))
    gone: dict[str, Any] = {"deletionTimestamp": "2026-11-21T12:00:00Z", "finalizers": ["example.com/keep"]}
    for obj in (old, new):
        obj["metadata"].update(gone)
    assert not world.validate(review(new, "UPDATE", oldObject=old)).allowed


def test_attack_20_a_finalizer_comes_off_whatever_the_images_are(world: World) -> None:
    """Or nothing that was once admitted could ever be deleted when its signature is gone."""
    new = pod(world.push("team/bad", "v1"))
    old = copy.deepcopy(new)
    old["metadata"]["finalizers"] = ["example.com/keep"]
    assert world.validate(review(new, "UPDATE", oldObject=old)).allowed


@pytest.mark.parametrize("replicas", [0, 1])
def test_attack_20_an_image_changed_while_scaling_down_is_looked_at(world: World, replicas: int) -> None:
    old = workload("Deployment", world.sign("team/app", "v1"))
    new = workload("Deployment", world.push("team/bad", "v1"))
    old["spec"]["replicas"], new["spec"]["replicas"] = 5, replicas
    assert not world.validate(review(new, "UPDATE", oldObject=old)).allowed


def test_attack_20_an_object_without_replicas_is_looked_at(world: World) -> None:
    obj = workload("Deployment", world.push("team/bad", "v1"))
    obj["spec"]["replicas"] = 0
    assert not world.validate(review(obj)).allowed


@pytest.mark.parametrize("kind", ["Pod", "ReplicaSet", "Job"])
def test_attack_21_an_owner_exempts_nothing(world: World, kind: str) -> None:
    obj = workload(kind, world.push("team/bad", "v1"))
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "trusted", "uid": "1", "controller": True}
    obj["metadata"]["ownerReferences"] = [owner]
    members: dict[str, Any] = {"userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"}}
    assert not world.validate(review(obj, **members)).allowed


def test_attack_21_nothing_else_written_on_an_object_exempts_it(world: World) -> None:
    obj = pod(world.push("team/bad", "v1"))
    notes = {"sealgate.dev/skip": "true", "kritis.grafeas.io/breakglass": "true", "admission.sealgate.dev/ignore": "*"}
    obj["metadata"].update(labels=dict(notes), annotations=dict(notes))
    assert not world.validate(review(obj, dryRun=True)).allowed
    assert not world.validate(review(obj)).allowed


def test_attack_04_a_signature_of_one_image_does_not_admit_another(world: World) -> None:
    world.sign("team/app", "v1")
    other = world.push("team/other", "v1")
    copied = Classic(world.digest("team/app", "v1"), world.key)
    subject = world.digest("team/other", "v1")
    world.registry.push_blob("team/other", b"")
    push_classic(world.registry, "team/other", copied)
    manifest = world.registry.manifest("team/other", f"{copied.digest.replace(':', '-')}.sig")
    world.registry.push_manifest("team/other", f"{subject.replace(':', '-')}.sig", manifest[1], manifest[0])
    assert not world.validate(review(pod(other))).allowed
