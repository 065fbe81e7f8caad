"""Detection of the new images of an update."""

from __future__ import annotations

from typing import Any

import pytest

from sealgate.errors import InvalidWorkloadError
from sealgate.workloads.images import changed_images
from sealgate.workloads.kinds import POD, WorkloadKind
from tests.workloads.objects import changed_of, pod, pod_spec, workload


def changed(obj: dict[str, Any], old: dict[str, Any] | None) -> list[str]:
    return [image.field for image in changed_of(obj, old)]


def test_an_update_that_changes_no_image_changes_none() -> None:
    old = workload("apps/v1", "Deployment", pod_spec("a", "b", volumes=[{"name": "v", "image": {"reference": "c"}}]))
    new = {**old, "metadata": {"name": "app", "labels": {"x": "y"}}}

    assert changed(new, old) == []


def test_all_images_of_a_new_object_are_new() -> None:
    assert changed(pod("a", "b"), None) == ["spec.containers[0].image", "spec.containers[1].image"]


def test_an_image_that_changed_is_new() -> None:
    assert changed(pod("a", "b2"), pod("a", "b")) == ["spec.containers[1].image"]


def test_containers_may_change_their_order() -> None:
    old = pod("a", "b")
    new = {**old, "spec": {"containers": old["spec"]["containers"][::-1]}}

    assert changed(new, old) == []


def test_removed_container_adds_no_image() -> None:
    assert changed(pod("a"), pod("a", "b")) == []


def test_volume_and_container_of_the_same_name_are_distinct() -> None:
    new = pod("a", volumes=[{"name": "c0", "image": {"reference": "a"}}])

    assert changed(new, pod("a")) == ["spec.volumes[0].image.reference"]


@pytest.mark.parametrize("old", [{}, {"kind": "Pod"}, {"kind": "Pod", "spec": {"containers": "a"}}])
def test_all_images_are_new_if_the_old_object_is_unreadable(old: dict[str, Any]) -> None:
    assert changed(pod("a"), old) == ["spec.containers[0].image"]


def test_a_new_state_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(InvalidWorkloadError):
        changed_images({"spec": {}}, pod("a"), POD)


PLACEHOLDER: dict[str, Any] = {"spec": {"replicas": 1, "template": {"spec": pod_spec(" ")}}}
CUSTOM = WorkloadKind.custom("example.org", "App", ["spec.template.spec"], ["spec.image"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (PLACEHOLDER, {**PLACEHOLDER, "metadata": {"finalizers": []}}),
        (PLACEHOLDER, {"spec": {**PLACEHOLDER["spec"], "replicas": 2}}),
        ({"spec": {"image": 1}}, {"spec": {"image": 1}, "metadata": {"labels": {"a": "b"}}}),
    ],
)
def test_unreadable_unchanged_part_adds_no_image(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert changed_images(new, old, CUSTOM) == ()


@pytest.mark.parametrize(
    "new",
    [
        {"spec": {"template": {"spec": pod_spec(" ", "a")}}},
        {"spec": {**PLACEHOLDER["spec"], "image": "a"}},
        {"spec": {"template": []}},
    ],
)
def test_unreadable_changed_part_is_an_error(new: dict[str, Any]) -> None:
    with pytest.raises(InvalidWorkloadError):
        changed_images(new, PLACEHOLDER, CUSTOM)
