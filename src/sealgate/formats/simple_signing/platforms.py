"""Signatures on the manifest of every platform, instead of one on the index that lists them.

An index (or docker manifest list) names one manifest for each platform, and a node runs the one of its own. Some tools
sign the index, some sign the manifests. Which manifest a node picks is not known here, and may change with the node, so
signatures on manifests count for the index only if every manifest in it is signed, of any platform,
and by one key: a key that signed some of them has not signed the image.

The index itself is then not signed. All that is taken from it is which manifests it lists, so it must list
them in a way that every program reads alike: no member that is unknown here, none that would make it something else
as well, no index within the index. In the end every manifest is fetched, so that what counts as signed manifest is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sealgate.clocks import earliest
from sealgate.errors import InvalidReferenceError, UnavailableError, VerificationError
from sealgate.findings import SeenSignature, Verified
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.messages import quote
from sealgate.parsing.evidence import (
    as_object,
    list_member,
    malformed,
    object_member,
    only_members,
    optional_text,
    parse_object,
    text_member,
)
from sealgate.reasons import TRANSIENT_REASONS, Reason
from sealgate.references import parse_digest
from sealgate.registry.interface import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sealgate.formats.interface import Image, Sources
    from sealgate.references import Digest
    from sealgate.registry.interface import Manifest

#: Limit for the manifests of one index; more is a refusal.
MAX_PLATFORMS = 32

_SCHEMA_VERSION = 2
_WHAT = "the index"
_ENTRY = f"an entry of {_WHAT}"
_INDEXES = (OCI_INDEX, DOCKER_LIST)
_MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
# Programs differ in what they make of members written in another case or meant for another kind of document.
_INDEX_MEMBERS = ("schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations")
_ENTRY_MEMBERS = ("mediaType", "artifactType", "digest", "size", "platform", "annotations")


@dataclass(frozen=True, slots=True)
class Platform:
    """One manifest of an index.

    Attributes:
        name: its platform as the index says ("linux/arm64"), for people only.
        digest: of the manifest.
        media_type: of the manifest, as the index says.
    """

    name: str
    digest: Digest
    media_type: str

    def __str__(self) -> str:
        """Return how messages name it."""
        return f"{self.name} ({self.digest})"


def verify_platforms(
    image: Image, sources: Sources, verify: Callable[[Image, Sources], Verified], refusal: VerificationError
) -> Verified:
    """Verify an index, on which no signature counts, by signatures on every manifest that it lists.

    Args:
        image: the image; its subject may also be a plain manifest, which has no platforms.
        sources: the outside world.
        verify: verifies the signatures of one image.
        refusal: why no signature on the image itself counts.

    Raises:
        VerificationError: it is no index, or its manifests are not all signed by one key; carries every signature seen.
        UnavailableError: the index, a manifest or a signature could not be fetched, and nothing was refused before.
    """
    seen = list(refusal.signatures)
    try:
        index = sources.registry.manifest(image.reference.repository, image.digest)
        found = (
            _verify_all(read_platforms(index), image, sources, verify, seen) if index.media_type in _INDEXES else None
        )
    except VerificationError as error:
        msg = f"{refusal.message}; every platform could be signed instead, but {error.message}"
        raise VerificationError(msg, reason=error.reason, signatures=seen) from error
    if found is None:
        raise refusal
    return found


def read_platforms(index: Manifest) -> tuple[Platform, ...]:
    """Return the manifests that an index lists, each once.

    Args:
        index: as fetched, its digest checked.

    Raises:
        VerificationError: there are none or too many, one is no image manifest, or the index is malformed.
    """
    body = parse_object(index.body, _WHAT, limit=MAX_RESPONSE_BYTES)
    only_members(body, _INDEX_MEMBERS, _WHAT)
    if body.get("schemaVersion") != _SCHEMA_VERSION:
        raise malformed(_WHAT, "schemaVersion should be 2")
    inner = optional_text(body, "mediaType", _WHAT)
    if inner is not None and inner != index.media_type:
        raise malformed(_WHAT, f"it was served as {index.media_type} and says it is {quote(inner, 100)}")
    found: dict[Digest, Platform] = {}
    for entry in list_member(body, "manifests", _WHAT):
        platform = _platform(as_object(entry, _ENTRY))
        known = found.setdefault(platform.digest, platform)
        if known.media_type != platform.media_type:
            raise malformed(_WHAT, f"it lists {platform.digest} under two types")
        if len(found) > MAX_PLATFORMS:
            msg = f"{_WHAT} lists more than {MAX_PLATFORMS} manifests; sign the index itself"
            raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
    if not found:
        raise malformed(_WHAT, "it lists no manifest")
    return tuple(found.values())


def _verify_all(
    platforms: Sequence[Platform],
    image: Image,
    sources: Sources,
    verify: Callable[[Image, Sources], Verified],
    seen: list[SeenSignature],
) -> Verified:
    """Return the keys that signed every platform; every signature is added to `seen`."""
    keys: dict[str, None] | None = None
    valid_until: datetime | None = None
    for platform in platforms:
        sources.deadline.check("checking the signatures of every platform")
        try:
            verified = verify(replace(image, digest=platform.digest), sources)
        except VerificationError as error:
            seen += _named(platform, error.signatures)
            raise VerificationError(f"{platform} is not: {error.message}", reason=error.reason) from error
        seen += _named(platform, verified.signatures)
        keys = dict.fromkeys(key for key in verified.fingerprints if keys is None or key in keys)
        valid_until = earliest(valid_until, verified.valid_until)
    if not keys:
        raise _no_single_key(len(platforms), seen)
    for platform in platforms:
        _require_manifest(platform, image, sources)
    return Verified(tuple(keys), tuple(seen), valid_until)


def _no_single_key(count: int, seen: Iterable[SeenSignature]) -> VerificationError | UnavailableError:
    msg = f"no single key signed all {count} platforms, although each of them is signed"
    for signature in seen:
        if signature.reason in TRANSIENT_REASONS:
            why = (
                f"{msg}; a signature that could not be fetched may change that: {signature.source}: {signature.message}"
            )
            return UnavailableError(why, reason=signature.reason)
    return VerificationError(f"{msg}; have one key sign the index or every platform", reason=Reason.NO_SIGNATURE)


def _named(platform: Platform, signatures: Iterable[SeenSignature]) -> list[SeenSignature]:
    return [replace(signature, source=f"platform {platform}, {signature.source}") for signature in signatures]


def _require_manifest(platform: Platform, image: Image, sources: Sources) -> None:
    """Refuse a platform whose manifest is something else than the index says."""
    manifest = sources.registry.manifest(image.reference.repository, platform.digest)
    what = f"the manifest of {platform}"
    body = parse_object(manifest.body, what, limit=MAX_RESPONSE_BYTES)
    if manifest.media_type != platform.media_type or "manifests" in body:
        msg = f"{what} is not the {platform.media_type} that the index says it is"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)


def _platform(entry: Mapping[str, object]) -> Platform:
    only_members(entry, _ENTRY_MEMBERS, _ENTRY)
    media_type = text_member(entry, "mediaType", _ENTRY)
    text = text_member(entry, "digest", _ENTRY)
    try:
        digest = parse_digest(text)
    except InvalidReferenceError as error:
        raise malformed(_ENTRY, f"{quote(text, 100)} is not a digest that is supported") from error
    platform = Platform(_name(entry), digest, media_type)
    if media_type not in _MANIFESTS:
        kind = "an index within the index" if media_type in _INDEXES else "no image manifest that can be verified"
        msg = f"{platform} is listed as {quote(media_type, 100)}, {kind}; sign the index itself"
        raise VerificationError(msg, reason=Reason.UNSUPPORTED_IMAGE)
    return platform


def _name(entry: Mapping[str, object]) -> str:
    if "platform" not in entry:
        return "a manifest without platform"
    platform = object_member(entry, "platform", _ENTRY)
    parts = [optional_text(platform, name, f"platform of {_ENTRY}") for name in ("os", "architecture", "variant")]
    return quote("/".join(part for part in parts if part), 80) or "a manifest without platform"
