"""Kubernetes objects and AdmissionReviews, as small as they can be."""

from __future__ import annotations

import json
from typing import Any

UID = "705ab4f5-6393-11e8-b7cc-42010a800002"

GROUPS = {
    "Pod": "",
    "ReplicationController": "",
    "PodTemplate": "",
    "Deployment": "apps",
    "ReplicaSet": "apps",
    "StatefulSet": "apps",
    "DaemonSet": "apps",
    "Job": "batch",
    "CronJob": "batch",
}


def pod_spec(*images: str, **lists: Any) -> dict[str, Any]:
    """Return a pod spec; `init`, `ephemeral` and `volumes` are further images."""
    spec: dict[str, Any] = {"containers": _containers("main", images)}
    if "init" in lists:
        spec["initContainers"] = _containers("init", lists["init"])
    if "ephemeral" in lists:
        spec["ephemeralContainers"] = _containers("debug", lists["ephemeral"])
    if "volumes" in lists:
        spec["volumes"] = [
            {"name": f"volume-{number}", "image": {"reference": image}} for number, image in enumerate(lists["volumes"])
        ]
    return spec


def pod(*images: str, **lists: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": pod_spec(*images, **lists),
    }


def workload(kind: str, *images: str, **lists: Any) -> dict[str, Any]:
    """Return an object of any kind that holds a pod."""
    if kind == "Pod":
        return pod(*images, **lists)
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod_spec(*images, **lists)}
    group = GROUPS[kind]
    head = {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": {"name": "web"}}
    if kind == "PodTemplate":
        return {**head, "template": template}
    if kind == "CronJob":
        return {**head, "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}}}
    return {**head, "spec": {"template": template}}


def review(obj: dict[str, Any] | None, operation: str = "CREATE", **members: Any) -> dict[str, Any]:
    """Return an AdmissionReview; `members` override members of its request."""
    kind = (obj or {}).get("kind", "Pod")
    group, _, version = (obj or {}).get("apiVersion", "v1").rpartition("/")
    request = {
        "uid": UID,
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": f"{kind.lower()}s"},
        "name": "web",
        "namespace": "default",
        "operation": operation,
        "userInfo": {"username": "alice"},
        "object": obj,
        "oldObject": None,
        "dryRun": False,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {**request, **members}}


def encode(document: object) -> bytes:
    return json.dumps(document).encode()


def _containers(name: str, images: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"name": f"{name}-{number}", "image": image} for number, image in enumerate(images)]
