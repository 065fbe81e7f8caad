"""`webhook.workloads`: handling of objects that are not Pods; Pods are always enforced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.policies.decisions import UnmatchedImages, Workloads
from sealgate.workloads.kinds import BUILT_IN
from sealgate.workloads.ready_made_kinds import READY_MADE
from sealgate_webhook.admission.workloads import MAX_IMAGES, AdmissionRules
from tests.support.builders.objects import policy
from tests.webhook.environment import UNKNOWN_NAMESPACES
from tests.webhook.objects import GROUPS, pod, review, workload

if TYPE_CHECKING:
    from tests.webhook.environment import WebhookEnvironment

TEMPLATES = sorted(set(GROUPS) - {"Pod"})
LENIENT = [Workloads.WARN, Workloads.IGNORE]


def choose(environment: WebhookEnvironment, workloads: Workloads, **rules: Any) -> None:
    """Set what happens to objects that are not Pods; before the first request."""
    environment.rules = replace(AdmissionRules(**rules), workloads=workloads)


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_denied_template_names_the_value(environment: WebhookEnvironment, kind: str) -> None:
    answer = environment.validate(review(workload(kind, environment.push("team/app", "v1"))))
    assert not answer.allowed
    assert answer.message.splitlines()[-1].startswith("only Pods must be verified where the chart's webhook.workloads")


def test_a_denied_pod_does_not_name_it(environment: WebhookEnvironment) -> None:
    assert "webhook.workloads" not in environment.validate(review(pod(environment.push("team/app", "v1")))).message


def test_undeterminable_template_image_is_named(environment: WebhookEnvironment) -> None:
    answer = environment.validate(review(workload("Deployment", " ")))
    assert answer.message.startswith("spec.template.spec.containers[0].image is empty")
    assert "webhook.workloads" in answer.message


def test_stored_undeterminable_object_can_be_labelled_and_finalised(
    environment: WebhookEnvironment,
) -> None:
    old = workload("Deployment", " ")
    new = {**old, "metadata": {**old["metadata"], "labels": {"team": "shop"}}}
    assert environment.validate(review(new, "UPDATE", oldObject=old)).allowed
    assert not environment.validate(review(workload("Deployment", " ", "a"), "UPDATE", oldObject=old)).allowed


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_is_admitted_with_a_warning(environment: WebhookEnvironment, kind: str) -> None:
    choose(environment, Workloads.WARN)
    image = environment.push("team/app", "v1")
    answer = environment.validate(review(workload(kind, image)))
    assert answer.allowed
    (warning,) = answer.response["warnings"]
    assert f"{image}: admitted with a warning: policy all: release: " in warning
    assert answer.response["auditAnnotations"] == {"container.main-0": f"not verified: NoSignature: {image}"}
    assert environment.metric("sealgate_image_verdicts_total", verdict="warn", reason="NoSignature") == 1
    (line,) = environment.lines("review")
    assert (line["result"], line["reason"], line["images"][0]["verdict"]) == ("allowed", "warn", "warn")


def test_a_verified_template_has_no_warning(environment: WebhookEnvironment) -> None:
    choose(environment, Workloads.WARN)
    answer = environment.validate(review(workload("Deployment", environment.sign("team/app", "v1"))))
    assert answer.allowed
    assert "warnings" not in answer.response


def test_a_registry_that_is_down_is_a_warning_for_templates(environment: WebhookEnvironment) -> None:
    choose(environment, Workloads.WARN)
    image = environment.push("team/app", "v1")
    environment.registry.faults.status("/v2/", 503)
    answer = environment.validate(review(workload("Deployment", image)))
    assert answer.allowed
    assert "admitted with a warning" in answer.response["warnings"][0]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_ignored_templates_need_no_request(environment: WebhookEnvironment, kind: str) -> None:
    choose(environment, Workloads.IGNORE)
    answer = environment.validate(review(workload(kind, environment.push("team/app", "v1"))))
    assert answer.response == {"uid": answer.response["uid"], "allowed": True}
    assert not environment.registry.requests


@pytest.mark.parametrize("workloads", LENIENT)
@pytest.mark.parametrize("image", ["auto", " ", "", "UPPER/case image", "${IMAGE}"])
def test_placeholder_in_a_template_is_admitted_until_the_pod(
    environment: WebhookEnvironment, workloads: Workloads, image: str
) -> None:
    choose(environment, workloads)
    environment.unmatched = UnmatchedImages.DENY
    template = environment.validate(review(workload("Deployment", image)))
    assert template.allowed
    assert ("warnings" in template.response) == (workloads is Workloads.WARN)
    assert not environment.validate(review(pod(image))).allowed
    assert environment.validate(review(pod(environment.sign("istio/proxyv2", "1.27")))).allowed


@pytest.mark.parametrize("workloads", LENIENT)
def test_pods_are_always_enforced(environment: WebhookEnvironment, workloads: Workloads) -> None:
    choose(environment, workloads, require_digests=True)
    unsigned, signed = environment.push("team/app", "v1"), environment.sign("team/app", "v2")
    pinned = f"{signed}@{environment.digest('team/app', 'v2')}"
    assert environment.validate(review(pod(unsigned))).code == 403
    assert environment.validate(review(pod(signed))).code == 503
    assert environment.validate(review(pod(pinned))).allowed
    debug = review(
        pod(pinned, ephemeral=(unsigned,)), "UPDATE", oldObject=pod(pinned), subResource="ephemeralcontainers"
    )
    assert environment.validate(debug).code == 403


@pytest.mark.parametrize("workloads", LENIENT)
def test_ephemeral_containers_in_a_kind_of_their_own_are_refused(
    environment: WebhookEnvironment, workloads: Workloads
) -> None:
    choose(environment, workloads)
    obj = {"apiVersion": "v1", "kind": "EphemeralContainers", "ephemeralContainers": []}
    assert not environment.validate(review(obj, "UPDATE", subResource="ephemeralcontainers")).allowed


def test_a_template_that_cannot_be_verified_at_all_is_a_warning(environment: WebhookEnvironment) -> None:
    choose(environment, Workloads.WARN)

    environment.namespaces = UNKNOWN_NAMESPACES
    answer = environment.validate(review(workload("Deployment", "app")))
    assert answer.allowed
    assert "the labels of namespace default are not known yet" in answer.response["warnings"][0]
    assert answer.response["auditAnnotations"] == {"object": "not verified: RegistryUnavailable"}
    many = [f"registry.example.org/app:{number}" for number in range(MAX_IMAGES + 1)]
    assert environment.validate(review(workload("Deployment", *many))).allowed
    assert not environment.validate(review(pod(*many))).allowed


def test_a_custom_kind_is_a_template(environment: WebhookEnvironment) -> None:
    choose(environment, Workloads.WARN)
    environment.kinds = BUILT_IN.with_custom(READY_MADE.kinds)
    obj = {**workload("Deployment", " "), "apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig"}
    answer = environment.validate(review(obj))
    assert answer.allowed
    assert "spec.template.spec.containers[0].image is empty" in answer.response["warnings"][0]


def test_template_warning_keeps_the_verified_digest(environment: WebhookEnvironment) -> None:
    choose(environment, Workloads.WARN)
    environment.write(policy("all", f"{environment.registry.host}/**"))
    signed, unsigned = environment.sign("team/app", "v1"), environment.push("team/app", "v2")
    answer = environment.validate(review(workload("Deployment", signed, unsigned)))
    assert answer.response["auditAnnotations"] == {
        "container.main-0": f"{environment.registry.host}/team/app@{environment.digest('team/app', 'v1')}",
        "container.main-1": f"not verified: NoSignature: {unsigned}",
    }
