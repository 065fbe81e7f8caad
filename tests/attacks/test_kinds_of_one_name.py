"""A kind named like a kind of another group is not taken for it, and hides no image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.workloads.kinds import BUILT_IN, WorkloadKind
from tests.webhook.objects import pod_spec, review, workload

if TYPE_CHECKING:
    from tests.webhook.environment import WebhookEnvironment

TEMPLATE = "spec.template.spec"
KRUISE = WorkloadKind.custom("apps.kruise.io", "StatefulSet", [TEMPLATE])


def kruise(image: str, **members: Any) -> dict[str, Any]:
    return {**workload("StatefulSet", image), "apiVersion": "apps.kruise.io/v1beta1", **members}


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "Deployment", "Job", "Pod", "PodTemplate"])
def test_attack_44_custom_kind_named_like_a_built_in_is_verified(environment: WebhookEnvironment, kind: str) -> None:
    environment.kinds = BUILT_IN.with_custom([WorkloadKind.custom("example.org", kind, [TEMPLATE])])
    unsigned = kruise(environment.push("team/app", "v1"), apiVersion="example.org/v1", kind=kind)
    signed = kruise(environment.sign("team/other", "v1"), apiVersion="example.org/v1", kind=kind)

    assert environment.validate(review(unsigned)).code == 403
    assert environment.validate(review(signed)).allowed


def test_attack_44_built_in_kind_of_that_name_is_still_verified(environment: WebhookEnvironment) -> None:
    environment.kinds = BUILT_IN.with_custom([WorkloadKind.custom("apps.kruise.io", "StatefulSet", ["spec.nowhere"])])

    assert not environment.validate(review(workload("StatefulSet", environment.push("team/app", "v1")))).allowed


def test_attack_44_two_custom_kinds_of_one_name_are_both_verified(environment: WebhookEnvironment) -> None:
    environment.kinds = BUILT_IN.with_custom([KRUISE, WorkloadKind.custom("example.org", "StatefulSet", ["spec.pod"])])
    image = environment.push("team/app", "v1")
    other = {"apiVersion": "example.org/v1", "kind": "StatefulSet", "spec": {"pod": pod_spec(image)}}

    assert not environment.validate(review(kruise(image))).allowed
    assert not environment.validate(review(other)).allowed


@pytest.mark.parametrize(
    ("version", "kind"), [("v1", "ConfigMap"), ("apps/v1", "StatefulSet"), ("", ""), (None, None), ([], {})]
)
def test_attack_44_the_kind_that_the_api_server_states_counts(
    environment: WebhookEnvironment, version: Any, kind: Any
) -> None:
    """The author of an object chooses its apiVersion and kind."""
    environment.kinds = BUILT_IN.with_custom([KRUISE])
    stated = {"group": "apps.kruise.io", "version": "v1beta1", "kind": "StatefulSet"}
    obj = kruise(environment.push("team/app", "v1"), apiVersion=version, kind=kind)

    assert not environment.validate(review(kruise("x"), object=obj, kind=stated)).allowed


def test_attack_44_swapped_containers_without_names_are_verified(environment: WebhookEnvironment) -> None:
    environment.kinds = BUILT_IN.with_custom([WorkloadKind.custom("serving.knative.dev", "Service", [TEMPLATE])])

    def service(*images: str) -> dict[str, Any]:
        containers = [{"image": image} for image in images]
        template = {"template": {"spec": {"containers": containers}}}
        return {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": template}

    old = service(environment.push("team/old", "v1"), environment.push("team/other", "v1"))
    swapped = service(environment.push("team/other", "v1"), environment.push("team/old", "v1"))

    assert environment.validate(review(old, "UPDATE", oldObject=old)).allowed
    assert not environment.validate(review(swapped, "UPDATE", oldObject=old)).allowed
