"""Strict parser of manifests that carry signatures.

The session has compared the hash of the bytes before they are parsed here. Only an image manifest can carry signatures:
an index, a docker schema 1 manifest, or a body with another media type than it was served with, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import InvalidReferenceError, VerificationError
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.messages import quote
from sealgate.parsing.evidence import (
    as_object,
    list_member,
    malformed,
    object_member,
    optional_text,
    parse_object,
    text_member,
)
from sealgate.reasons import Reason
from sealgate.references import parse_digest
from sealgate.registry.interface import DOCKER_MANIFEST, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.references import Digest
    from sealgate.registry.interface import Manifest

_SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a manifest.

    Attributes:
        digest: digest of the blob.
        media_type: media type of the blob, as stated in the manifest.
        size: size of the blob in bytes, as stated in the manifest; not negative.
        annotations: string values by name; values of other types are left out.
    """

    digest: Digest
    media_type: str
    size: int
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ArtifactManifest:
    """An image manifest that may carry signatures.

    Attributes:
        artifact_type: `artifactType`, or the config's media type if there is none.
        layers: the layers, in order.
        subject: digest of the manifest that it refers to; None if it refers to none.
        annotations: string values of the manifest itself by name; values of other types are left out.
    """

    artifact_type: str
    layers: tuple[Layer, ...]
    subject: Digest | None
    annotations: Mapping[str, str]


def is_image_manifest(manifest: Manifest) -> bool:
    """Return whether a manifest was served as an image manifest, which alone can carry signatures."""
    return manifest.media_type in (OCI_MANIFEST, DOCKER_MANIFEST)


def parse_artifact_manifest(manifest: Manifest, what: str) -> ArtifactManifest:
    """Parse a manifest.

    Args:
        manifest: the manifest as fetched, with its digest checked.
        what: its name in messages ("the manifest").

    Raises:
        VerificationError: it is not an image manifest, or malformed.
    """
    if not is_image_manifest(manifest):
        msg = f"{what} is not an image manifest but {quote(manifest.media_type, 100)}, which carries no signatures"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
    body = parse_object(manifest.body, what, limit=MAX_RESPONSE_BYTES)
    if body.get("schemaVersion") != _SCHEMA_VERSION:
        raise malformed(what, "schemaVersion should be 2")
    inner = optional_text(body, "mediaType", what)
    if inner is not None and inner != manifest.media_type:
        raise malformed(what, f"it was served as {manifest.media_type} and says it is {quote(inner, 100)}")
    # A body with both could be an index to one program and an image to another.
    if "manifests" in body:
        raise malformed(what, "it has both layers and manifests" if "layers" in body else "it is an index")
    config = object_member(body, "config", what)
    return ArtifactManifest(
        artifact_type=optional_text(body, "artifactType", what) or text_member(config, "mediaType", what),
        layers=tuple(_layer(item, what) for item in list_member(body, "layers", what)),
        subject=_digest(object_member(body, "subject", what), what) if "subject" in body else None,
        annotations=_annotations(body, what),
    )


def _layer(item: object, what: str) -> Layer:
    layer = as_object(item, f"a layer of {what}")
    size = layer.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise malformed(what, "the size of a layer should be a number of bytes")
    return Layer(_digest(layer, what), text_member(layer, "mediaType", what), size, _annotations(layer, what))


def _digest(descriptor: Mapping[str, object], what: str) -> Digest:
    text = text_member(descriptor, "digest", what)
    try:
        return parse_digest(text)
    except InvalidReferenceError as error:
        raise malformed(what, f"{quote(text, 100)} is not a digest") from error


def _annotations(parent: Mapping[str, object], what: str) -> Mapping[str, str]:
    if parent.get("annotations") is None:
        return {}
    members = object_member(parent, "annotations", what)
    return {name: value for name, value in members.items() if isinstance(value, str)}
