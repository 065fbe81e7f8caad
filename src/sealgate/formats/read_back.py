"""Signing once: stored signatures are read through a format's own check, before and after signing.

A signer builds the check from its own key and options, so that what the check verifies is a signature by the same key
and key version with the same content. Of a check that accepts several keys (a certificate's), the fingerprint decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.evidence import SearchEndedError
from sealgate.formats.signing import SigningOutcome
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.findings import Verified
    from sealgate.formats.interface import Check, Image, Sources


def sign_once(
    check: Check, fingerprint: str, image: Image, sources: Sources, store: Callable[[], str]
) -> tuple[SigningOutcome, str]:
    """Sign an image unless it is signed already, and return the outcome and where the signature is, for a person.

    Args:
        check: of the key and the options that sign.
        fingerprint: of the key that signs, as findings have it.
        image: what to sign.
        sources: where signatures are.
        store: makes and stores a signature; returns where, as its store says. Called only if there is none.

    Raises:
        SearchEndedError: there are too many signatures for any verifier to read, or their list is malformed.
        VerificationError: the new signature is not listed, or does not verify.
        UnavailableError: the signatures could not be fetched (and its subclasses); or as `store` raises.
    """
    found = _find_signature(check, fingerprint, image, sources)
    if found:
        return SigningOutcome.ALREADY_SIGNED, found
    return SigningOutcome.SIGNED, _require_signature(check, fingerprint, image, sources, store())


def _find_signature(check: Check, fingerprint: str, image: Image, sources: Sources) -> str:
    """Return where a signature is that the check verifies, for a person; empty if there is none.

    Args:
        check: of the key and the options that would sign.
        fingerprint: of the key that would sign, as findings have it.
        image: what may be signed already.
        sources: where signatures are.

    Raises:
        SearchEndedError: there are too many signatures for any verifier to read, or their list is malformed; a further
            one might not count.
        UnavailableError: the signatures could not be fetched (and its subclasses).
    """
    try:
        return _source(check.verify(image, sources), fingerprint)
    except SearchEndedError:
        raise
    except VerificationError:
        return ""  # what does not verify, or cannot be read, is left as it is


def _require_signature(check: Check, fingerprint: str, image: Image, sources: Sources, location: str) -> str:
    """Require that a signature that was stored verifies, and return where the check found it.

    Args:
        check: of the key and the options that have signed.
        fingerprint: of the key, as findings have it.
        image: what was signed.
        sources: where signatures are.
        location: where the signature was stored, as its store says.

    Raises:
        VerificationError: it is not listed, or does not verify.
        UnavailableError: the signatures could not be fetched (and its subclasses).
    """
    try:
        found = _source(check.verify(image, sources), fingerprint)
    except VerificationError as error:
        msg = f"the signature was stored as {quote(location)} and does not verify when it is read back: {error.message}"
        raise VerificationError(msg, reason=error.reason, signatures=error.signatures) from error
    if not found:
        msg = f"the signature was stored as {quote(location)} and is not found when it is read back"
        raise VerificationError(msg, reason=Reason.NO_SIGNATURE)
    return found


def _source(verified: Verified, fingerprint: str) -> str:
    sources = (s.source for s in verified.signatures if s.reason is Reason.VERIFIED and s.fingerprint == fingerprint)
    return next(sources, "")
