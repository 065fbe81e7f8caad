"""Bodies of events as the sources send them, short."""

from __future__ import annotations

import json
from typing import Any

REGISTRY = "registry.example.com"
DIGEST = "sha256:" + "4a" * 32
OTHER = "sha256:" + "5b" * 32
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def docker_event(
    repository: str = "shop/app",
    tag: str | None = "v1",
    digest: str = DIGEST,
    *,
    host: str = REGISTRY,
    action: str = "push",
    media_type: str = MANIFEST,
    **target: Any,
) -> dict[str, Any]:
    """Return one event of docker-registry; without a tag if that is None."""
    url = f"https://{host}/v2/{repository}/manifests/{digest}"
    described = {"mediaType": media_type, "size": 7, "digest": digest, "repository": repository, "url": url, **target}
    if tag is not None:
        described["tag"] = tag
    return {"id": "1", "action": action, "target": described, "request": {"host": host}}


def docker_body(*events: object) -> bytes:
    """Return an envelope of docker-registry."""
    return json.dumps({"events": events or (docker_event(),)}).encode()
