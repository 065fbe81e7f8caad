"""Listing an image's Notation signatures, read by the search that verifies them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography import x509

from sealgate.errors import VerificationError
from sealgate.formats.notation.certificates import UNREADABLE
from sealgate.formats.notation.envelopes import PARSERS
from sealgate.formats.notation.search import Found, Search
from sealgate.formats.notation.signatures import signer_key
from sealgate.formats.notation.wire.envelope import parse_payload
from sealgate.formats.referrer_removal import ReferrerRemoval
from sealgate.formats.stored import StoredSignature, as_texts
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.findings import SeenSignature
    from sealgate.formats.interface import Image, Sources
    from sealgate.formats.notation.verify import NotationCheck
    from sealgate.formats.notation.wire.envelope import Envelope
    from sealgate.references import Repository


def list_signatures(check: NotationCheck, image: Image, sources: Sources) -> tuple[StoredSignature, ...]:
    """Return the stored signatures of an image, each judged by an authenticator.

    What could not be read is returned too, with the reason.

    Args:
        check: the authenticator.
        image: the image.
        sources: where signatures are, and who is asked about revocation.
    """
    found: dict[str, Found] = {}
    seen = Search(check.rules, image, sources, found).see()
    return tuple(_stored(each, found.get(each.source), image.reference.repository) for each in seen)


def _stored(seen: SeenSignature, found: Found | None, repository: Repository) -> StoredSignature:
    if found is None:
        return StoredSignature(seen.source, seen)
    envelope = _envelope(found)
    key, subject = ("", "") if envelope is None else _signer(envelope)
    return StoredSignature(
        seen.source,
        seen,
        location=f"{repository.name}@{found.holder}",
        digest=found.layer.digest,
        size=found.layer.size,
        key=key,
        algorithm="" if envelope is None or seen.reason is not Reason.VERIFIED else envelope.algorithm,
        time=found.created,
        description=subject,
        metadata={} if envelope is None else _metadata(envelope),
        content=found.content,
        removal=ReferrerRemoval(repository, found.holder),
    )


def _envelope(found: Found) -> Envelope | None:
    with suppress(VerificationError):  # `judged` says what is wrong
        return PARSERS[found.layer.media_type](found.content) if found.content else None
    return None


def _signer(envelope: Envelope) -> tuple[str, str]:
    """Return the fingerprint of the key, and the subject, in the certificate that an envelope states; or empty."""
    with suppress(VerificationError, *UNREADABLE):
        certificate = x509.load_der_x509_certificate(envelope.chain[0])
        return signer_key(certificate).fingerprint, quote(certificate.subject.rfc4514_string(), 200)
    return "", ""


def _metadata(envelope: Envelope) -> Mapping[str, str]:
    with suppress(VerificationError):
        return as_texts(parse_payload(envelope.payload).annotations)
    return {}
