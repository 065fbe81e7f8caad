"""Policy objects and manifests as users write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

API_VERSION = "sealgate.dev/v1alpha1"


def authenticator(name: str, *pems: str, **cosign: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Authenticator",
        "metadata": {"name": name},
        "spec": {"cosign": {"keys": [{"pem": pem} for pem in pems], **cosign}},
    }


def policy(
    name: str,
    repository: str,
    authenticators: Sequence[str],
    *,
    action: str = "Enforce",
    count: int | None = None,
    **spec: Any,
) -> dict[str, Any]:
    require: dict[str, Any] = {"authenticators": list(authenticators)}
    if count is not None:
        require["count"] = count
    return {
        "apiVersion": API_VERSION,
        "kind": "VerificationPolicy",
        "metadata": {"name": name},
        "spec": {"action": action, "images": [{"repository": repository}], "require": require, **spec},
    }


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(name: str, *images: str, namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    containers = [{"name": f"c{index}", "image": image} for index, image in enumerate(images)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


def deployment(name: str, *images: str, namespace: str | None = None, init: Sequence[str] = ()) -> dict[str, Any]:
    template = pod(name, *images, namespace=namespace)
    spec = template["spec"]
    if init:
        spec["initContainers"] = [{"name": f"i{index}", "image": image} for index, image in enumerate(init)]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": template["metadata"],
        "spec": {"template": {"spec": spec}},
    }


def dump(*objects: Mapping[str, Any]) -> str:
    return yaml.safe_dump_all(objects, sort_keys=False)


def write(path: Path, *objects: Mapping[str, Any]) -> Path:
    """Write a file atomically, so that a watcher never reads a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(dump(*objects))
    return scratch.replace(path)
