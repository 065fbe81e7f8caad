"""Listing an image's attestations, read by the check that verifies them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.grafeas.deleting import OccurrenceRemoval
from sealgate.formats.grafeas.wire import created_at
from sealgate.formats.stored import StoredSignature

if TYPE_CHECKING:
    from sealgate.findings import SeenSignature
    from sealgate.formats.grafeas.keys import AttestationKeys
    from sealgate.formats.grafeas.verify import FoundEntry, GrafeasCheck
    from sealgate.formats.grafeas.wire import AttestedSignature
    from sealgate.formats.interface import Image, Sources
    from sealgate.keys.public_keys import PublicKey


def list_signatures(check: GrafeasCheck, image: Image, sources: Sources) -> tuple[StoredSignature, ...]:
    """Return the stored signatures of an image's attestations, each judged by an authenticator.

    What could not be read is returned too, with the reason.

    Args:
        check: the authenticator.
        image: the image.
        sources: where attestations are.

    Raises:
        UnavailableError: the credentials are not there.
    """
    found: dict[str, FoundEntry] = {}
    seen = check.see(image, sources, found)
    return tuple(_stored(each, found.get(each.source), check) for each in seen)


def _stored(seen: SeenSignature, found: FoundEntry | None, check: GrafeasCheck) -> StoredSignature:
    if found is None:
        return StoredSignature(seen.source, seen)
    location, time = f"{check.store.host}: {seen.source}", created_at(found.record)
    removal = OccurrenceRemoval.of(check.store, found.record)
    try:
        signature = found.entry.read()
        payload, raw = b"" if signature.attached else signature.payload(), signature.signature()
    except VerificationError:
        # `seen` says what is wrong
        return StoredSignature(seen.source, seen, location=location, time=time, removal=removal, part=seen.source)
    key = _key_of(seen, check.keys)
    return StoredSignature(
        seen.source,
        seen,
        location=location,
        key=signature.key_id,
        key_version=key.version if key else "",
        algorithm=_algorithm(signature, key),
        time=time,
        content=payload or raw,
        signature=raw if payload else b"",
        removal=removal,
        part=seen.source,
    )


def _key_of(seen: SeenSignature, keys: AttestationKeys) -> PublicKey | None:
    found = [key for accepted in keys.public_keys.values() for key in accepted if key.fingerprint == seen.fingerprint]
    return found[0] if found else None


def _algorithm(signature: AttestedSignature, key: PublicKey | None) -> str:
    if signature.attached:
        return "OpenPGP"
    return key.algorithm.value if key else ""
