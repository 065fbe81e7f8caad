"""From a reference to the images to sign: resolved once, with every platform of an index where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import InvalidReferenceError, SigningError
from sealgate.formats.interface import Image
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.messages import quote
from sealgate.parsing import evidence
from sealgate.references import parse_digest
from sealgate.registry.interface import DOCKER_LIST, OCI_INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealgate.references import Digest, Reference
    from sealgate.registry.interface import Manifest, Registry

#: The most images of one index, nested ones included.
MAX_PLATFORMS = 256
_INDEXES = (OCI_INDEX, DOCKER_LIST)
#: What BuildKit adds to an index beside its images; no platform runs it.
_BUILDKIT_TYPE, _ATTESTATION = "vnd.docker.reference.type", "attestation-manifest"


def resolve_targets(reference: Reference, registry: Registry, *, recursive: bool) -> tuple[Image, ...]:
    """Return the images that a reference stands for.

    Args:
        reference: with a digest, or with a tag that is resolved once.
        registry: reads.
        recursive: whether to return, after the image itself, the manifests that its index lists, nested ones too.

    Raises:
        SigningError: there are more than `MAX_PLATFORMS`.
        VerificationError: a manifest cannot be verified, or an index is malformed.
        UnavailableError: the registry could not be asked, or does not have it (and its subclasses).
    """
    repository = reference.repository
    digest = reference.digest or registry.resolve(repository, reference.effective_tag or "latest")
    found: dict[Digest, None] = {digest: None}
    waiting = [registry.manifest(repository, digest)]
    while recursive and waiting:
        for child in _children(waiting.pop()):
            if child in found:
                continue
            if len(found) > MAX_PLATFORMS:
                raise SigningError(f"{quote(reference)} has more than {MAX_PLATFORMS} manifests; sign them by digest")
            found[child] = None
            waiting.append(registry.manifest(repository, child))
    return tuple(Image(reference, each) for each in found)


def _children(manifest: Manifest) -> Iterator[Digest]:
    if manifest.media_type not in _INDEXES:
        return
    what = f"the index {manifest.digest}"
    index = evidence.parse_object(manifest.body, what, limit=MAX_RESPONSE_BYTES)
    for item in evidence.list_member(index, "manifests", what):
        entry = evidence.as_object(item, f"an entry of {what}")
        if not _is_attestation(entry):
            yield _digest(evidence.text_member(entry, "digest", what), what)


def _digest(text: str, what: str) -> Digest:
    try:
        return parse_digest(text)
    except InvalidReferenceError as error:
        raise evidence.malformed(what, f"{quote(text, 100)} is not a digest") from error


def _is_attestation(entry: Mapping[str, object]) -> bool:
    annotations = entry.get("annotations")
    return isinstance(annotations, dict) and annotations.get(_BUILDKIT_TYPE) == _ATTESTATION
