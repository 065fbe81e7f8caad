"""Kubernetes objects, as short as they can be written."""

from __future__ import annotations

from typing import Any

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
