"""Recorded fixtures: OCI layouts that hold several repositories, and what loads them into a registry.

`index.json` lists every manifest under the name `repository:tag` (annotation `org.opencontainers.image.ref.name`),
signature tags and fallback tags of referrers included. What an index lists is loaded with it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.signers.cosign import Pusher

DATA = Path(__file__).parents[2] / "data" / "cosign"
#: The images that the demo shows.
DEMO = DATA / "layout"
#: Images signed in every way that cosign 3.1 offers offline.
RECORDED = DATA / "recorded"
REF_NAME = "org.opencontainers.image.ref.name"


def public_key(name: str) -> str:
    """Return a public key that cosign made."""
    return (DATA / "keys" / f"{name}.pub").read_text()


def entries(layout: Path) -> dict[str, dict[str, Any]]:
    """Return the descriptors of a layout's `index.json` by their names."""
    index = json.loads((layout / "index.json").read_text())
    return {entry["annotations"][REF_NAME]: entry for entry in index["manifests"]}


def read_blob(layout: Path, digest: str) -> bytes:
    """Return a blob of a layout."""
    return (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def load_layout(layout: Path, pusher: Pusher) -> None:
    """Push everything of a layout into a registry."""
    for name, entry in entries(layout).items():
        repository, _, tag = name.rpartition(":")
        _load(layout, pusher, repository, tag, entry)


def _load(layout: Path, pusher: Pusher, repository: str, reference: str | None, entry: dict[str, Any]) -> None:
    body = read_blob(layout, entry["digest"])
    document = json.loads(body)
    for child in document.get("manifests", ()):
        _load(layout, pusher, repository, None, child)
    for blob in (document.get("config"), *document.get("layers", ())):
        if blob is not None:
            pusher.push_blob(repository, read_blob(layout, blob["digest"]))
    pusher.push_manifest(repository, reference, body, entry["mediaType"])
