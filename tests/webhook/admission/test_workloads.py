"""`webhook.workloads`: what happens to objects that are not Pods; Pods are always enforced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import UnavailableError
from sealgate.policies.decisions import UnmatchedImages, Workloads
from sealgate.workloads.kinds import BUILT_IN
from sealgate.workloads.ready_made_kinds import READY_MADE
from sealgate_webhook.admission.workloads import MAX_IMAGES, AdmissionRules
from tests.webhook.environment import policy
from tests.webhook.objects import GROUPS, pod, review, workload

if TYPE_CHECKING:
    from sealgate.policies.matching import Namespace
    from tests.webhook.environment import World

TEMPLATES = sorted(set(GROUPS) - {"Pod"})
LENIENT = [Workloads.WARN, Workloads.IGNORE]


def choose(world: World, workloads: Workloads, **rules: Any) -> None:
    """Set what happens to objects that are not Pods; before the first request."""
    world.rules = replace(AdmissionRules(**rules), workloads=workloads)


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_denied_template_names_the_value(world: World, kind: str) -> None:
    answer = world.validate(review(workload(kind, world.push("team/app", "v1"))))
    assert not answer.allowed
    assert answer.message.splitlines()[-1].startswith("only Pods must be verified where the chart's webhook.workloads")


def test_a_denied_pod_does_not_name_it(world: World) -> None:
    assert "webhook.workloads" not in world.validate(review(pod(world.push("team/app", "v1")))).message


def test_a_template_whose_images_cannot_be_told_names_the_value_too(world: World) -> None:
    answer = world.validate(review(workload("Deployment", " ")))
    assert answer.message.startswith("spec.template.spec.containers[0].image is empty")
    assert "webhook.workloads" in answer.message


def test_an_object_stored_with_images_that_cannot_be_told_can_be_labelled_and_finalised(world: World) -> None:
    old = workload("Deployment", " ")
    new = {**old, "metadata": {**old["metadata"], "labels": {"team": "shop"}}}
    assert world.validate(review(new, "UPDATE", oldObject=old)).allowed
    assert not world.validate(review(workload("Deployment", " ", "a"), "UPDATE", oldObject=old)).allowed


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_is_admitted_with_a_warning(world: World, kind: str) -> None:
    choose(world, Workloads.WARN)
    image = world.push("team/app", "v1")
    answer = world.validate(review(workload(kind, image)))
    assert answer.allowed
    (warning,) = answer.response["warnings"]
    assert f"{image}: admitted with a warning: policy all: release: " in warning
    assert answer.response["auditAnnotations"] == {"container.main-0": f"not verified: NoSignature: {image}"}
    assert world.metric("sealgate_decisions_total", verdict="warn", reason="NoSignature") == 1
    (line,) = world.lines("review")
    assert (line["answer"], line["reason"], line["images"][0]["verdict"]) == ("allowed", "warn", "warn")


def test_a_verified_template_has_no_warning(world: World) -> None:
    choose(world, Workloads.WARN)
    answer = world.validate(review(workload("Deployment", world.sign("team/app", "v1"))))
    assert answer.allowed
    assert "warnings" not in answer.response


def test_a_registry_that_is_down_is_a_warning_for_templates(world: World) -> None:
    choose(world, Workloads.WARN)
    image = world.push("team/app", "v1")
    world.registry.faults.status("/v2/", 503)
    answer = world.validate(review(workload("Deployment", image)))
    assert answer.allowed
    assert "admitted with a warning" in answer.response["warnings"][0]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_ignored_templates_cost_nothing(world: World, kind: str) -> None:
    choose(world, Workloads.IGNORE)
    answer = world.validate(review(workload(kind, world.push("team/app", "v1"))))
    assert answer.response == {"uid": answer.response["uid"], "allowed": True}
    assert not world.registry.requests


@pytest.mark.parametrize("workloads", LENIENT)
@pytest.mark.parametrize("image", ["auto", " ", "", "UPPER/case image", "${IMAGE}"])
def test_a_placeholder_in_a_template_is_admitted_and_the_pod_is_verified(
    world: World, workloads: Workloads, image: str
) -> None:
    choose(world, workloads)
    world.unmatched = UnmatchedImages.DENY
    template = world.validate(review(workload("Deployment", image)))
    assert template.allowed
    assert ("warnings" in template.response) == (workloads is Workloads.WARN)
    assert not world.validate(review(pod(image))).allowed
    assert world.validate(review(pod(world.sign("istio/proxyv2", "1.27")))).allowed


@pytest.mark.parametrize("workloads", LENIENT)
def test_pods_are_always_enforced(world: World, workloads: Workloads) -> None:
    choose(world, workloads, require_digests=True)
    unsigned, signed = world.push("team/app", "v1"), world.sign("team/app", "v2")
    pinned = f"{signed}@{world.digest('team/app', 'v2')}"
    assert world.validate(review(pod(unsigned))).code == 403
    assert world.validate(review(pod(signed))).code == 503
    assert world.validate(review(pod(pinned))).allowed
    debug = review(
        pod(pinned, ephemeral=(unsigned,)), "UPDATE", oldObject=pod(pinned), subResource="ephemeralcontainers"
    )
    assert world.validate(debug).code == 403


@pytest.mark.parametrize("workloads", LENIENT)
def test_ephemeral_containers_in_a_kind_of_their_own_are_refused(world: World, workloads: Workloads) -> None:
    choose(world, workloads)
    obj = {"apiVersion": "v1", "kind": "EphemeralContainers", "ephemeralContainers": []}
    assert not world.validate(review(obj, "UPDATE", subResource="ephemeralcontainers")).allowed


def test_a_template_that_cannot_be_verified_at_all_is_a_warning(world: World) -> None:
    choose(world, Workloads.WARN)

    class Nowhere:
        def get(self, name: str) -> Namespace:
            raise UnavailableError(f"the labels of namespace {name} are not known yet")

    world.namespaces = Nowhere()
    answer = world.validate(review(workload("Deployment", "app")))
    assert answer.allowed
    assert "the labels of namespace default are not known yet" in answer.response["warnings"][0]
    assert answer.response["auditAnnotations"] == {"object": "not verified: RegistryUnavailable"}
    many = [f"registry.example.org/app:{number}" for number in range(MAX_IMAGES + 1)]
    assert world.validate(review(workload("Deployment", *many))).allowed
    assert not world.validate(review(pod(*many))).allowed


def test_a_custom_kind_is_a_template(world: World) -> None:
    choose(world, Workloads.WARN)
    world.kinds = BUILT_IN.with_custom(READY_MADE.kinds)
    obj = {**workload("Deployment", " "), "apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig"}
    answer = world.validate(review(obj))
    assert answer.allowed
    assert "spec.template.spec.containers[0].image is empty" in answer.response["warnings"][0]


def test_a_warning_of_a_template_keeps_the_digest_that_a_policy_verified(world: World) -> None:
    choose(world, Workloads.WARN)
    world.write(policy("all", f"{world.registry.host}/**"))
    signed, unsigned = world.sign("team/app", "v1"), world.push("team/app", "v2")
    answer = world.validate(review(workload("Deployment", signed, unsigned)))
    assert answer.response["auditAnnotations"] == {
        "container.main-0": f"{world.registry.host}/team/app@{world.digest('team/app', 'v1')}",
        "container.main-1": f"not verified: NoSignature: {unsigned}",
    }
