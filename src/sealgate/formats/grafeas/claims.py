"""What an attestation must say, once an accepted key is known to have signed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import InvalidReferenceError, VerificationError
from sealgate.formats.grafeas.wire import TYPE
from sealgate.formats.simple_payload import parse_simple_payload
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.references import parse_repository

if TYPE_CHECKING:
    from sealgate.formats.interface import Image


def require_claims(payload: bytes, image: Image) -> None:
    """Require that a signed text is an attestation of that image.

    The name in it is a repository's, without tag, as kritis writes it.

    Args:
        payload: the exact bytes that were signed.
        image: what it must be about.

    Raises:
        VerificationError: it is malformed, or about something else.
    """
    said = parse_simple_payload(payload, "the payload")
    if said.digest != image.digest:
        msg = f"it attests {quote(said.digest, 100)}, not {image.digest}: it belongs to another image"
        raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
    if not _names(said.docker_reference, image):
        what = f"it was made for {quote(said.docker_reference)}" if said.docker_reference else "it names no repository"
        raise VerificationError(f"{what}, not for {image.reference.name}", reason=Reason.REPOSITORY_MISMATCH)
    if said.type != TYPE:
        msg = f"it is signed as {quote(said.type, 100)}, which is not an image's attestation ({TYPE})"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)


def _names(text: str, image: Image) -> bool:
    try:
        return parse_repository(text) == image.reference.repository
    except InvalidReferenceError:
        return False
