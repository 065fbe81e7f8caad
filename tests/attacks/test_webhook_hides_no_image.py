"""At the webhook: no kind, list, owner, moment or moved tag takes an image past it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.clocks import FakeClock
from tests.support.signers.cosign import Classic, push_classic
from tests.webhook.admission.test_mutate import apply, operations
from tests.webhook.objects import GROUPS, pod, review, workload

if TYPE_CHECKING:
    from tests.webhook.environment import WebhookEnvironment


def test_attack_04_a_moved_tag_is_verified_again(environment: WebhookEnvironment) -> None:
    clock = FakeClock()
    environment.clock = clock
    image = environment.sign("team/app", "v1")
    assert environment.validate(review(pod(image))).allowed
    environment.push("team/app", "v1", content=b"something else")
    clock.advance(31)
    assert not environment.validate(review(pod(image))).allowed


def test_attack_04_pinned_image_stays_verified_if_the_tag_moves(
    environment: WebhookEnvironment,
) -> None:
    image = environment.sign("team/app", "v1")
    signed = environment.digest("team/app", "v1")
    pinned = apply(operations(environment.mutate(review(pod(image)))), pod(image))
    environment.push("team/app", "v1", content=b"something else")
    answer = environment.validate(review(pinned))
    assert answer.allowed
    assert answer.response["auditAnnotations"] == {"container.main-0": f"{environment.registry.host}/team/app@{signed}"}


def test_attack_04_a_tag_that_moves_before_it_is_pinned_is_denied(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    environment.push("team/app", "v1", content=b"something else")
    pinned = apply(operations(environment.mutate(review(pod(image)))), pod(image))
    assert not environment.validate(review(pinned)).allowed


def test_attack_04_a_digest_behind_a_signed_tag_is_what_counts(environment: WebhookEnvironment) -> None:
    tagged, unsigned = environment.sign("team/app", "v1"), environment.push("team/app", content=b"something else")
    digest = unsigned.partition("@")[2]
    assert not environment.validate(review(pod(f"{tagged}@{digest}"))).allowed


def test_attack_18_an_ephemeral_container_is_verified(environment: WebhookEnvironment) -> None:
    running, debug = environment.sign("team/app", "v1"), environment.push("team/debug", "v1")
    old, new = pod(running), pod(running, ephemeral=(debug,))
    answer = environment.validate(review(new, "UPDATE", oldObject=old, subResource="ephemeralcontainers"))
    assert not answer.allowed
    assert answer.message.startswith("spec.ephemeralContainers[0]: ")


def test_attack_18_ephemeral_container_with_known_image_is_new(
    environment: WebhookEnvironment,
) -> None:
    running = environment.push("team/app", "v1")
    new = pod(running, ephemeral=(running,))
    update = review(new, "UPDATE", oldObject=pod(running), subResource="ephemeralcontainers")
    assert not environment.validate(update).allowed


@pytest.mark.parametrize("kind", sorted(GROUPS))
@pytest.mark.parametrize("field", ["init", "ephemeral", "volumes"])
def test_attack_19_every_list_of_every_kind_is_verified(environment: WebhookEnvironment, kind: str, field: str) -> None:
    lists = {field: (environment.push("team/bad", "v1"),)}
    assert not environment.validate(review(workload(kind, environment.sign("team/app", "v1"), **lists))).allowed


@pytest.mark.parametrize("subresource", ["", "resize", "status", "ephemeralcontainers", "unheard-of"])
def test_attack_19_no_subresource_changes_an_image_unseen(environment: WebhookEnvironment, subresource: str) -> None:
    old, new = pod(environment.sign("team/app", "v1")), pod(environment.push("team/bad", "v1"))
    assert not environment.validate(review(new, "UPDATE", oldObject=old, subResource=subresource)).allowed


def test_attack_19_an_old_object_on_a_create_hides_nothing(environment: WebhookEnvironment) -> None:
    bad = pod(environment.push("team/bad", "v1"))
    assert not environment.validate(review(bad, "CREATE", oldObject=bad)).allowed


def test_attack_20_an_object_that_is_being_deleted_is_verified(environment: WebhookEnvironment) -> None:
    old = pod(environment.sign("team/app", "v1"))
    new = pod(environment.push("team/bad", "v1"))
    gone: dict[str, Any] = {"deletionTimestamp": "2026-11-21T12:00:00Z", "finalizers": ["example.com/keep"]}
    for obj in (old, new):
        obj["metadata"].update(gone)
    assert not environment.validate(review(new, "UPDATE", oldObject=old)).allowed


def test_attack_20_a_finalizer_can_be_removed_with_any_image(environment: WebhookEnvironment) -> None:
    """Otherwise an object that was admitted could not be deleted once its signature is gone."""
    new = pod(environment.push("team/bad", "v1"))
    old = copy.deepcopy(new)
    old["metadata"]["finalizers"] = ["example.com/keep"]
    assert environment.validate(review(new, "UPDATE", oldObject=old)).allowed


@pytest.mark.parametrize("replicas", [0, 1])
def test_attack_20_image_changed_while_scaling_down_is_verified(environment: WebhookEnvironment, replicas: int) -> None:
    old = workload("Deployment", environment.sign("team/app", "v1"))
    new = workload("Deployment", environment.push("team/bad", "v1"))
    old["spec"]["replicas"], new["spec"]["replicas"] = 5, replicas
    assert not environment.validate(review(new, "UPDATE", oldObject=old)).allowed


def test_attack_20_an_object_without_replicas_is_verified(environment: WebhookEnvironment) -> None:
    obj = workload("Deployment", environment.push("team/bad", "v1"))
    obj["spec"]["replicas"] = 0
    assert not environment.validate(review(obj)).allowed


@pytest.mark.parametrize("kind", ["Pod", "ReplicaSet", "Job"])
def test_attack_21_an_owner_exempts_nothing(environment: WebhookEnvironment, kind: str) -> None:
    obj = workload(kind, environment.push("team/bad", "v1"))
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "trusted", "uid": "1", "controller": True}
    obj["metadata"]["ownerReferences"] = [owner]
    members: dict[str, Any] = {"userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"}}
    assert not environment.validate(review(obj, **members)).allowed


def test_attack_21_nothing_else_written_on_an_object_exempts_it(environment: WebhookEnvironment) -> None:
    obj = pod(environment.push("team/bad", "v1"))
    notes = {"sealgate.dev/skip": "true", "kritis.grafeas.io/breakglass": "true", "admission.sealgate.dev/ignore": "*"}
    obj["metadata"].update(labels=dict(notes), annotations=dict(notes))
    assert not environment.validate(review(obj, dryRun=True)).allowed
    assert not environment.validate(review(obj)).allowed


def test_attack_04_signature_of_one_image_does_not_admit_another(environment: WebhookEnvironment) -> None:
    environment.sign("team/app", "v1")
    other = environment.push("team/other", "v1")
    copied = Classic(environment.digest("team/app", "v1"), environment.key)
    subject = environment.digest("team/other", "v1")
    environment.registry.push_blob("team/other", b"")
    push_classic(environment.registry, "team/other", copied)
    manifest = environment.registry.manifest("team/other", f"{copied.digest.replace(':', '-')}.sig")
    environment.registry.push_manifest("team/other", f"{subject.replace(':', '-')}.sig", manifest[1], manifest[0])
    assert not environment.validate(review(pod(other))).allowed
