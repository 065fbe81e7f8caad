"""Images in unusual fields, and images that are mistaken for verified ones."""

from __future__ import annotations

from typing import Any

import pytest

from sealgate.errors import InvalidWorkloadError
from tests.workloads.objects import TEMPLATE_KINDS, changed_of, images_of, pod, pod_spec, workload

EVIL = "evil.com/miner:latest"
KINDS = [("v1", "Pod"), ("v1", "PodTemplate"), ("batch/v1", "CronJob"), *TEMPLATE_KINDS]


def images(obj: dict[str, Any]) -> set[str]:
    return {image.image for image in images_of(obj)}


def changed(obj: dict[str, Any], old: dict[str, Any]) -> list[str]:
    return [image.image for image in changed_of(obj, old)]


def test_attack_04_added_container_of_a_known_image_is_verified() -> None:
    """The tag may have moved since the other container was admitted."""
    assert changed(pod("app:v1", "app:v1"), pod("app:v1")) == ["app:v1"]


@pytest.mark.parametrize(("version", "kind"), KINDS)
def test_attack_18_ephemeral_containers_are_verified(version: str, kind: str) -> None:
    spec = pod_spec("good", ephemeralContainers=[{"name": "debug", "image": EVIL}])

    assert images(workload(version, kind, spec)) == {"good", EVIL}


def test_attack_18_new_ephemeral_container_is_verified() -> None:
    new = pod("good", ephemeralContainers=[{"name": "debug", "image": EVIL}])

    assert changed(new, pod("good")) == [EVIL]


@pytest.mark.parametrize(("version", "kind"), KINDS)
def test_attack_19_init_containers_and_image_volumes_are_verified(version: str, kind: str) -> None:
    spec = pod_spec(
        "good",
        initContainers=[{"name": "sidecar", "image": EVIL, "restartPolicy": "Always"}],
        volumes=[{"name": "v", "image": {"reference": EVIL + "-volume"}}],
    )

    assert images(workload(version, kind, spec)) == {"good", EVIL, EVIL + "-volume"}


@pytest.mark.parametrize("field", ["initContainers", "ephemeralContainers", "volumes"])
@pytest.mark.parametrize("value", ["", 0, False, {}, {"0": {"name": "c", "image": EVIL}}, "x"])
def test_attack_19_a_list_that_is_none_hides_nothing(field: str, value: Any) -> None:
    with pytest.raises(InvalidWorkloadError, match=f"{field} must be a list"):
        images_of(pod("good", **{field: value}))


@pytest.mark.parametrize("image", ["", " ", "\n", None, [], {}, 0, False])
def test_attack_19_an_image_that_is_filled_in_later_is_refused(image: Any) -> None:
    obj = workload("apps/v1", "Deployment", {"containers": [{"name": "c", "image": image}]})

    with pytest.raises(InvalidWorkloadError, match=r"spec\.template\.spec\.containers\[0\]\.image"):
        images_of(obj)


def test_attack_20_object_that_is_being_deleted_is_verified() -> None:
    old = workload("apps/v1", "Deployment", pod_spec("good"))
    new = workload("apps/v1", "Deployment", pod_spec(EVIL))
    for obj in (old, new):
        obj["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.org/never"]}

    assert changed(new, old) == [EVIL]


def test_attack_20_removing_a_finalizer_verifies_no_images() -> None:
    old = workload("apps/v1", "Deployment", pod_spec(EVIL))
    old["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.org/x"]}
    new = {**old, "metadata": {**old["metadata"], "finalizers": []}}

    assert changed(new, old) == []


def test_attack_20_an_image_changed_while_scaling_down_is_new() -> None:
    old = workload("apps/v1", "Deployment", pod_spec("good"))
    new = workload("apps/v1", "Deployment", pod_spec(EVIL))
    old["spec"]["replicas"], new["spec"]["replicas"] = 3, 1

    assert changed(new, old) == [EVIL]


@pytest.mark.parametrize("spec", [{"replicas": 0}, {"suspend": True}, {"parallelism": 0}, {"paused": True}])
def test_attack_20_an_object_that_runs_nothing_yet_is_verified(spec: dict[str, Any]) -> None:
    obj = workload("apps/v1", "Deployment", pod_spec(EVIL))
    obj["spec"] |= spec

    assert images(obj) == {EVIL}


def test_attack_20_image_in_another_list_or_container_is_new() -> None:
    old = pod("good", "other")
    swapped = pod("other", "good")
    moved = pod("good", initContainers=[{"name": "c1", "image": "other"}])

    assert changed(swapped, old) == ["other", "good"]
    assert changed(moved, old) == ["other"]


@pytest.mark.parametrize("kind", ["ReplicaSet", "Deployment", "Job", "Node", "StatefulSet"])
def test_attack_21_an_owner_exempts_nothing(kind: str) -> None:
    """The author of a pod writes its owner references; they do not prove that the owner was verified, or exists."""
    plain, owned = pod(EVIL), pod(EVIL)
    owned["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": kind, "name": "good", "uid": "4a4a", "controller": True}
    ]

    assert images_of(owned) == images_of(plain) != ()


@pytest.mark.parametrize(("version", "kind"), KINDS)
@pytest.mark.parametrize(
    "note",
    [
        "kritis.grafeas.io/breakglass",
        "policy.sigstore.dev/include",
        "sealgate.dev/ignore",
        "sealgate.dev/verified",
        "kubernetes.io/config.mirror",
        "admission.sealgate.dev/skip",
    ],
)
def test_attack_24_nothing_written_on_an_object_exempts_it(version: str, kind: str, note: str) -> None:
    plain, marked = (workload(version, kind, pod_spec(EVIL)) for _ in range(2))
    marked["metadata"] |= {"annotations": {note: "true"}, "labels": {note: "true"}}
    if "template" in marked.get("spec", {}):
        marked["spec"]["template"]["metadata"] = {"annotations": {note: "true"}, "labels": {note: "true"}}

    assert images_of(marked) == images_of(plain) != ()
    assert changed(marked, workload(version, kind, pod_spec("good"))) == [EVIL]


def test_attack_35_a_big_object_is_read_in_one_pass() -> None:
    obj = pod(*(f"registry.example.org/app-{number}" for number in range(20_000)))

    assert len(images(obj)) == 20_000
    assert changed(obj, obj) == []
