"""Images pushed to a real registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.webhook.events.bodies import MANIFEST

if TYPE_CHECKING:
    from sealgate.references import Digest
    from tests.support.real_tools.docker_registry import DockerRegistry


def push_image(registry: DockerRegistry, repository: str, tag: str) -> Digest:
    """Push an image without layers, and return its digest."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "created": tag}).encode()
    described = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": registry.push_blob(repository, config),
        "size": len(config),
    }
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []}
    return registry.push_manifest(repository, tag, json.dumps(manifest).encode())
