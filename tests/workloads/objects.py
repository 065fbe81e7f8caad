"""Kubernetes objects, as short as they can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.workloads.images import changed_images, extract_images, identify
from sealgate.workloads.kinds import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.workloads.images import ContainerImage
    from sealgate.workloads.kinds import WorkloadKind

TEMPLATE_KINDS = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "ReplicationController"),
]


def pod_spec(*images: str, **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": f"c{n}", "image": image} for n, image in enumerate(images)], **more}


def pod(*images: str, **more: Any) -> dict[str, Any]:
    return workload("v1", "Pod", pod_spec(*images, **more))


def workload(version: str, kind: str, spec: Any) -> dict[str, Any]:
    """Return an object of that kind around a pod spec."""
    obj: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": {"name": "app", "namespace": "team"}}
    if kind == "Pod":
        return {**obj, "spec": spec}
    if kind == "PodTemplate":
        return {**obj, "template": {"spec": spec}}
    if kind == "CronJob":
        return {**obj, "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}
    return {**obj, "spec": {"template": {"spec": spec}}}


def kind_of(obj: Mapping[str, Any]) -> WorkloadKind:
    """Return the built-in kind of an object."""
    kind = BUILT_IN.find(*identify(obj))
    assert kind is not None
    return kind


def images_of(obj: Mapping[str, Any]) -> tuple[ContainerImage, ...]:
    """Return the images of an object of a built-in kind."""
    return extract_images(obj, kind_of(obj))


def changed_of(obj: dict[str, Any], old: dict[str, Any] | None) -> tuple[ContainerImage, ...]:
    """Return the changed images of an object of a built-in kind."""
    return changed_images(obj, old, kind_of(obj))
