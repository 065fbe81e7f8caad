"""Policy objects and manifests as users write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


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
    return str(yaml.dump_all(objects, Dumper=yaml.CSafeDumper, sort_keys=False))


def write(path: Path, *objects: Mapping[str, Any]) -> Path:
    """Write a file atomically, so that a watcher never reads a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(dump(*objects))
    return scratch.replace(path)
