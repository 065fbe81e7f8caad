"""Listing an image's simple signatures, read by the check that verifies them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.simple_payload import parse_simple_payload
from sealgate.formats.simple_signing.deleting import removal_of
from sealgate.formats.stored import StoredSignature, as_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.findings import SeenSignature
    from sealgate.formats.interface import Image, Sources
    from sealgate.formats.simple_signing.stores import Candidate
    from sealgate.formats.simple_signing.verify import SimpleSigningCheck


def list_signatures(check: SimpleSigningCheck, image: Image, sources: Sources) -> tuple[StoredSignature, ...]:
    """Return the stored signatures of an image, each judged by an authenticator.

    What could not be read is returned too, with the reason. What a message says is known only if an accepted key
    made it.

    Args:
        check: the authenticator.
        image: the image.
        sources: where signatures are.
    """
    found: dict[str, Candidate] = {}
    now = sources.clock.now()
    seen = check.see(image, sources, found)
    return tuple(_stored(each, found.get(each.source), check, image, now) for each in seen)


def _stored(
    seen: SeenSignature, candidate: Candidate | None, check: SimpleSigningCheck, image: Image, now: datetime
) -> StoredSignature:
    if candidate is None:
        return StoredSignature(seen.source, seen)
    try:
        message = candidate.message()
    except VerificationError:
        return StoredSignature(seen.source, seen, location=candidate.location)  # `seen` says what is wrong
    optional = _optional(candidate, check, now)
    metadata = {name: value for name, value in optional.items() if name != "timestamp"}
    return StoredSignature(
        seen.source,
        seen,
        location=candidate.location,
        size=len(message),
        algorithm="OpenPGP",
        time=_time(optional.get("timestamp")),
        metadata=as_texts(metadata),
        content=message,
        removal=removal_of(check.store, candidate, message, image),
    )


def _optional(candidate: Candidate, check: SimpleSigningCheck, now: datetime) -> Mapping[str, object]:
    try:
        return parse_simple_payload(check.signed_text(candidate, now), "the signed text").optional
    except VerificationError:
        return {}


def _time(timestamp: object) -> str:
    """Return a number of seconds since 1970 as RFC 3339; empty if it is none that a calendar has."""
    if not isinstance(timestamp, int | float) or isinstance(timestamp, bool):
        return ""
    try:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return ""
