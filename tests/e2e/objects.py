"""Minimal Kubernetes objects for the tests."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.chart.rendering import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.e2e.kube import Object

#: Commands of the test images: one that keeps running, one that ends.
STAY = ["/busybox", "sleep", "100000"]
END = ["/busybox", "true"]
#: Kinds with a pod template, each with its API version.
WORKLOADS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "ReplicationController": "v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "PodTemplate": "v1",
}


def authenticator(name: str, *keys: Object) -> Object:
    """Return an Authenticator for cosign signatures; each key is an entry of `spec.cosign.keys`."""
    return authenticator_of(name, {"cosign": {"keys": list(keys)}})


def authenticator_of(name: str, spec: Object) -> Object:
    """Return an Authenticator of any format."""
    return {
        "apiVersion": "sealgate.dev/v1alpha1",
        "kind": "Authenticator",
        "metadata": {"name": name},
        "spec": spec,
    }


def config_map(name: str, data: Mapping[str, bytes]) -> Object:
    """Return a ConfigMap in the release's namespace; its data is text."""
    text = {key: value.decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": text}


def secret(name: str, data: Mapping[str, bytes], namespace: str = NAMESPACE) -> Object:
    """Return a Secret, by default in the release's namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def policy(
    name: str,
    authenticators: Sequence[str],
    namespace: str | None,
    action: str = "Enforce",
    repository: str = "**",
) -> Object:
    """Return a VerificationPolicy; without a namespace it applies to all."""
    spec: Object = {
        "action": action,
        "images": [{"repository": repository}],
        "require": {"authenticators": list(authenticators)},
    }
    if namespace is not None:
        spec["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {
        "apiVersion": "sealgate.dev/v1alpha1",
        "kind": "VerificationPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def later(seconds: float = 3600) -> str:
    """Return the time in so many seconds, as Kubernetes writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_spec(image: str, command: Sequence[str] = STAY, **more: Any) -> Object:  # noqa: ANN401 - fields of a pod spec
    """Return the spec of a pod with a grace period of 0 s."""
    return {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": image, "command": list(command)}],
        **more,
    }


def pod(name: str, image: str, **more: Any) -> Object:  # noqa: ANN401 - fields of a pod spec
    """Return a Pod."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec(image, **more)}


def workload(kind: str, name: str, image: str) -> Object:
    """Return an object of a kind of `WORKLOADS` with a pod template of an image."""
    labels = {"app": name}
    template: Object = {"metadata": {"labels": labels}, "spec": pod_spec(image)}
    obj: Object = {"apiVersion": WORKLOADS[kind], "kind": kind, "metadata": {"name": name}}
    if kind in {"Job", "CronJob"}:
        template["spec"] = pod_spec(image, END, restartPolicy="Never")
        job = {"template": template, "backoffLimit": 0}
        return obj | {"spec": job if kind == "Job" else {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}}
    if kind == "PodTemplate":
        return obj | {"template": template}
    spec: Object = {"selector": labels if kind == "ReplicationController" else {"matchLabels": labels}}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    if kind != "DaemonSet":
        spec["replicas"] = 1
    return obj | {"spec": spec | {"template": template}}
