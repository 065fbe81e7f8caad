"""Extraction of the images that an object would run."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.cli.inputs.items import items_of
from sealgate.errors import InvalidWorkloadError
from sealgate.parsing.documents import Document
from sealgate.parsing.yaml_reader import Position
from sealgate.reasons import Reason
from sealgate.workloads.images import changed_images, extract_images, identify
from sealgate.workloads.kinds import BUILT_IN, WorkloadKind
from sealgate.workloads.pod_shapes import find_pod_shapes
from sealgate.workloads.ready_made_kinds import READY_MADE
from tests.support.examples import examples
from tests.workloads.objects import TEMPLATE_KINDS, images_of, pod, pod_spec, workload


def images(obj: dict[str, Any]) -> list[str]:
    return [image.image for image in images_of(obj)]


def test_every_image_of_a_pod_is_found_with_its_field() -> None:
    found = images_of(
        pod(
            "main",
            initContainers=[{"name": "setup", "image": "init"}],
            ephemeralContainers=[{"name": "debug", "image": "ephemeral", "targetContainerName": "c0"}],
            volumes=[
                {"name": "data", "emptyDir": {}},
                {"name": "model", "image": {"reference": "weights", "pullPolicy": "Always"}},
            ],
        )
    )

    assert [(image.image, image.field, image.container, image.kind) for image in found] == [
        ("init", "spec.initContainers[0].image", "setup", "init"),
        ("main", "spec.containers[0].image", "c0", "container"),
        ("ephemeral", "spec.ephemeralContainers[0].image", "debug", "ephemeral"),
        ("weights", "spec.volumes[1].image.reference", "model", "volume"),
    ]


@pytest.mark.parametrize(
    ("version", "kind", "path"),
    [
        *((version, kind, "spec.template.spec") for version, kind in TEMPLATE_KINDS),
        ("v1", "Pod", "spec"),
        ("v1", "PodTemplate", "template.spec"),
        ("batch/v1", "CronJob", "spec.jobTemplate.spec.template.spec"),
        ("extensions/v1beta1", "Deployment", "spec.template.spec"),
    ],
)
def test_every_kind_that_holds_a_pod_is_read(version: str, kind: str, path: str) -> None:
    obj = workload(version, kind, pod_spec("a", "b"))

    found = images_of(obj)

    assert [(image.image, image.field) for image in found] == [
        ("a", f"{path}.containers[0].image"),
        ("b", f"{path}.containers[1].image"),
    ]


def test_lists_that_are_null_are_empty() -> None:
    assert images(pod("a", initContainers=None, ephemeralContainers=None, volumes=None)) == ["a"]


def test_the_text_is_kept_as_written() -> None:
    assert images(pod(" NGINX ")) == [" NGINX "]


@pytest.mark.parametrize(
    "obj",
    [
        {"apiVersion": "v1", "kind": "Service", "spec": {"containers": []}},
        {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": {"tasks": []}},
        {"apiVersion": "example.org/v1", "kind": "Pod"},
        {"apiVersion": "v1", "kind": "Deployment"},
        {"apiVersion": "apps/v1", "kind": "Pod"},
        {"apiVersion": "batch/v1", "kind": "Deployment"},
        {"apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet"},
        {"apiVersion": "v1", "kind": "ConfigMap"},
    ],
)
def test_a_kind_of_another_group_is_another_kind(obj: dict[str, Any]) -> None:
    assert BUILT_IN.find(*identify(obj)) is None


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({}, "kind is missing"),
        ({"kind": 5, "apiVersion": "v1"}, "kind is missing"),
        ({"kind": "Pod"}, "apiVersion is missing"),
        ({"kind": "Pod", "apiVersion": ""}, "apiVersion is missing"),
        ({"kind": "Pod", "apiVersion": 1}, "apiVersion is missing"),
    ],
)
def test_object_without_a_valid_identity_is_refused(obj: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidWorkloadError, match=message):
        identify(obj)


def test_a_container_needs_no_name() -> None:
    obj = pod("a", containers=[{"image": "a"}], volumes=[{"image": {"reference": "b"}}])

    assert [(image.image, image.container) for image in images_of(obj)] == [("a", ""), ("b", "")]


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"kind": "Pod"}, "spec is missing"),
        ({"kind": "Pod", "spec": None}, "spec is missing"),
        ({"kind": "Pod", "spec": []}, "spec must be an object, not list"),
        ({"kind": "Pod", "spec": {}}, "spec.containers is missing or empty"),
        ({"kind": "Pod", "spec": {"containers": []}}, "spec.containers is missing or empty"),
        ({"kind": "Pod", "spec": {"containers": ""}}, "spec.containers must be a list, not str"),
        ({"kind": "Pod", "spec": {"containers": {}}}, "spec.containers must be a list, not dict"),
        ({"kind": "Pod", "spec": {"containers": 0}}, "spec.containers must be a list, not int"),
        ({"kind": "Deployment", "spec": {}}, "spec.template is missing"),
        ({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {}}}}, "spec.jobTemplate.spec.template is missing"),
        (pod("a", initContainers="x"), "spec.initContainers must be a list, not str"),
        (pod("a", initContainers=False), "spec.initContainers must be a list, not bool"),
        (pod("a", ephemeralContainers={"name": "x"}), "spec.ephemeralContainers must be a list, not dict"),
        (pod("a", volumes=5), "spec.volumes must be a list, not int"),
        (pod("a", volumes=[None]), "spec.volumes[0] is missing"),
        (pod("a", volumes=[{"name": "x", "image": "y"}]), "spec.volumes[0].image must be an object, not str"),
        (pod("a", volumes=[{"name": "x", "image": {}}]), "spec.volumes[0].image.reference is empty"),
        ({"kind": "Pod", "spec": {"containers": ["a"]}}, "spec.containers[0] must be an object, not str"),
        ({"kind": "Pod", "spec": {"containers": [{"name": "c"}]}}, "spec.containers[0].image is empty"),
        (pod(""), "spec.containers[0].image is empty"),
        (pod("a", "  \n"), "spec.containers[1].image is empty"),
        ({"kind": "Pod", "spec": {"containers": [{"name": "c", "image": 1.27}]}}, "image must be text, not float"),
        (
            {"kind": "Pod", "spec": {"containers": [{"name": 5, "image": "x"}]}},
            "spec.containers[0].name must be text, not int",
        ),
    ],
)
def test_undeterminable_images_are_an_error_with_the_field(obj: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidWorkloadError) as caught:
        extract_images(obj, BUILT_IN.named(obj.get("kind", "Pod"))[0])

    assert message in caught.value.message
    assert caught.value.reason is Reason.INVALID_WORKLOAD


def test_many_containers_are_read_in_one_go() -> None:
    assert len(images_of(pod(*["a"] * 5000))) == 5000


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["spec", "template", "containers", "initContainers", "volumes", "image", "name", "reference", "items"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@settings(max_examples=examples(400))
@given(st.sampled_from([*BUILT_IN.kinds, *READY_MADE.kinds]), st.sampled_from(["Pod", "List", "PodList"]), _JSON, _JSON)
def test_any_object_is_read_or_is_the_declared_error(kind: WorkloadKind, name: str, spec: Any, items: Any) -> None:
    obj = {"kind": name, "spec": spec, "template": spec, "items": items}

    with contextlib.suppress(InvalidWorkloadError):
        for image in extract_images(obj, kind):
            assert image.image.strip()
    with contextlib.suppress(InvalidWorkloadError):
        for shape in find_pod_shapes(obj):
            assert shape.images
    for item in items_of(Document("f.json", obj, Position(0))):
        assert bool(item.value) != bool(item.problem)
    with contextlib.suppress(InvalidWorkloadError):
        changed_images(obj, {"spec": items}, kind)
