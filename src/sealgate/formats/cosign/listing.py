"""Listing an image's cosign signatures, read by the search that verifies them."""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.findings import SeenSignature
from sealgate.formats.cosign.claims import Claims
from sealgate.formats.cosign.deleting import LayerRemoval
from sealgate.formats.cosign.search import Found, Search
from sealgate.formats.cosign.signers import Signers
from sealgate.formats.referrer_removal import ReferrerRemoval
from sealgate.formats.stored import StoredSignature, as_texts
from sealgate.reasons import Reason
from sealgate.references import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate.formats.cosign.verify import CosignCheck
    from sealgate.formats.interface import Image, Sources
    from sealgate.keys.public_keys import PublicKey
    from sealgate.references import Repository

_SHA256_BYTES = 32
# What an authenticator without keys says of a signature that it can read.
_NO_KEY = frozenset({Reason.INVALID_SIGNATURE, Reason.UNKNOWN_KEY})


def list_signatures(check: CosignCheck, image: Image, sources: Sources) -> tuple[StoredSignature, ...]:
    """Return the stored signatures of an image, each judged by an authenticator.

    What could not be read is returned too, with the reason.

    Args:
        check: the authenticator.
        image: the image.
        sources: where signatures are.
    """
    found: dict[str, Found] = {}
    claims = Claims(image, check.annotations, check.match_repository)
    repository = check.repository_of(image)
    seen = Search(check.signers, claims, repository, sources, found).see()
    return tuple(_stored(each, found.get(each.source), check.signers.keys, repository) for each in seen)


def list_unjudged(image: Image, sources: Sources) -> tuple[StoredSignature, ...]:
    """Return the stored signatures in an image's own repository; `judged` has only what is wrong without any key."""
    found: dict[str, Found] = {}
    repository = image.reference.repository
    seen = Search(Signers(()), Claims(image, {}, match_repository=False), repository, sources, found).see()
    return tuple(
        _stored(_unjudged(each, found.get(each.source)), found.get(each.source), (), repository) for each in seen
    )


def _unjudged(seen: SeenSignature, found: Found | None) -> SeenSignature | str:
    """Return what is wrong with a signature apart from its key; its source if nothing is."""
    if seen.reason not in _NO_KEY or found is None or found.check_claims is None:
        return seen
    try:
        found.check_claims()
    except VerificationError as error:
        return SeenSignature(seen.source, error.reason, error.message)
    return seen.source


def _stored(
    judged: SeenSignature | str, found: Found | None, keys: Sequence[PublicKey], repository: Repository
) -> StoredSignature:
    source, seen = (judged, None) if isinstance(judged, str) else (judged.source, judged)
    if found is None:
        return StoredSignature(source, seen)
    key = _key_of(seen, found, keys)
    manifest = found.holder.startswith("sha256:")
    return StoredSignature(
        source,
        seen,
        location=f"{repository.name}{'@' if manifest else ':'}{found.holder}",
        digest=found.layer.digest,
        size=found.layer.size,
        key=_hinted(found.hint),
        key_version=key.version if key else "",
        algorithm=key.algorithm.value if key else "",
        time=found.created,
        metadata=_annotations(found),
        content=found.content,
        signature=found.signature,
        removal=_removal(found, repository),
        part=f"{found.layer.digest} {found.signature.hex()}" if manifest else "",
    )


def _removal(found: Found, repository: Repository) -> LayerRemoval | ReferrerRemoval:
    if found.holder.startswith("sha256:"):
        return ReferrerRemoval(repository, Digest(found.holder))
    return LayerRemoval.of(repository, found.holder, found.layer)


def _key_of(seen: SeenSignature | None, found: Found, keys: Sequence[PublicKey]) -> PublicKey | None:
    """Return the key that made a signature, with the algorithm that it was made with."""
    for key in keys:
        if seen is not None and key.fingerprint == seen.fingerprint:
            with suppress(VerificationError):
                key.verify(found.signature, found.signed)
                return key
    return None


def _hinted(hint: str) -> str:
    """Return the fingerprint that a bundle's hint stands for; empty if it stands for none."""
    try:
        digest = base64.b64decode(hint, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return f"sha256:{digest.hex()}" if len(digest) == _SHA256_BYTES else ""


def _annotations(found: Found) -> Mapping[str, str]:
    if found.annotations is None:
        return {}
    try:
        return as_texts(found.annotations())
    except VerificationError:
        return {}  # `judged` says what is wrong
