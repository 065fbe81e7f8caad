"""Signing in the simple-signing format, as `skopeo copy --sign-by` and `atomic sign` do.

The signed name is the one that the user gave: with the tag if it has one, since tools compare the whole name of an
image that is pulled by tag, otherwise with the digest.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from sealgate.errors import InvalidReferenceError, SigningError, VerificationError
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.signing import SigningOutcome, SigningResult
from sealgate.formats.simple_signing.identities import ExactReference
from sealgate.formats.simple_signing.storing import no_room, writer_of
from sealgate.formats.simple_signing.verify import SimpleSigningCheck
from sealgate.formats.simple_signing.wire import build_payload
from sealgate.keys.openpgp.signing import sign_message
from sealgate.messages import quote
from sealgate.references import Reference, parse_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.formats.interface import Image, Sources
    from sealgate.formats.signing import SigningContext
    from sealgate.formats.simple_signing.stores import Candidate
    from sealgate.formats.simple_signing.storing import WritableStore
    from sealgate.keys.openpgp.signing import OpenPGPSigner

#: The algorithm that results name: which one it is in detail, the OpenPGP key decides.
ALGORITHM = "OpenPGP"

_CREATOR = f"sealgate {version('sealgate')}"


@dataclass(frozen=True, slots=True)
class SimpleSigner:
    """Signs images with one OpenPGP key into one store; see `sealgate.formats.signing.Signer`.

    Attributes:
        key: signs.
        store: where signatures are stored.
        identity: the name to sign instead of the image's; None for the image's. See `parse_identity`.
        format: "simpleSigning".
    """

    key: OpenPGPSigner
    store: WritableStore
    identity: Reference | None = None
    format: str = "simpleSigning"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the primary key or subkey that signs."""
        return self.key.fingerprint

    def lock_name(self, image: Image) -> str:
        """See `Signer.lock_name`."""
        return writer_of(self.store).lock_name(image)

    def sign(self, image: Image, context: SigningContext) -> SigningResult:
        """Sign an image, unless the key has signed its digest under the same name; see `Signer.sign`.

        Raises:
            SigningError: the key cannot sign, the store takes no signature, or it has as many as verification reads.
            VerificationError: what is stored cannot be read, or what was stored does not verify.
            UnavailableError: the key, the store or the registry could not be asked (and its subclasses).
        """
        name = self.identity or signed_name(image.reference)
        check = SimpleSigningCheck(self.key.keyring, self.store, ExactReference(name), content="")
        stored = tuple(self.store.candidates(image, context.sources))
        for candidate in stored:
            if self._is_own(candidate, check, image, context.sources):
                return self._result(SigningOutcome.ALREADY_SIGNED, candidate, image)
        if len(stored) >= MAX_SIGNATURES:
            raise no_room(image)
        now = context.sources.clock.now()
        with writer_of(self.store).ready(image, context) as put:
            payload = build_payload(image.digest, str(name), _CREATOR, int(now.timestamp()))
            message = sign_message(self.key, payload, now, context.sources.deadline)
            put(message)
        candidate = self._read_back(message, image, context.sources)
        _with_only(check, candidate).verify(image, context.sources)
        return self._result(SigningOutcome.SIGNED, candidate, image)

    def _is_own(self, candidate: Candidate, check: SimpleSigningCheck, image: Image, sources: Sources) -> bool:
        """Return whether a stored signature is a valid one by this key with the same digest and name."""
        with suppress(VerificationError):
            return self.fingerprint in _with_only(check, candidate).verify(image, sources).fingerprints
        return False

    def _read_back(self, message: bytes, image: Image, sources: Sources) -> Candidate:
        for candidate in self.store.candidates(image, sources):
            with suppress(VerificationError):
                if candidate.message() == message:
                    return candidate
        what = f"the signature of {image.digest} of {quote(image.reference.name)}"
        raise SigningError(f"{what} was stored and is not there when it is read back; sign again")

    def _result(self, outcome: SigningOutcome, candidate: Candidate, image: Image) -> SigningResult:
        message, writer = candidate.message(), writer_of(self.store)
        return SigningResult(
            outcome=outcome,
            fingerprint=self.fingerprint,
            key_version="",
            algorithm=ALGORITHM,
            location=writer.locate(image, candidate.source),
            digest=f"sha256:{hashlib.sha256(message).hexdigest()}",
            size=len(message),
            contested=writer.contested and outcome is SigningOutcome.SIGNED,
        )


def signed_name(reference: Reference) -> Reference:
    """Return the name that is signed for an image: with its tag, or with its digest where it has no tag."""
    tag = reference.effective_tag
    return Reference(reference.repository, tag, reference.digest if tag is None else None)


def parse_identity(text: str) -> Reference:
    """Return the name that a user wants to be signed instead of the image's.

    Raises:
        InvalidReferenceError: it is not an image reference, or has not exactly one of tag and digest.
    """
    reference = parse_reference(text)
    if (reference.tag is None) == (reference.digest is None):
        msg = f"{quote(text)} must have a tag or a digest, and not both: tools verify no other name"
        raise InvalidReferenceError(msg)
    return reference


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A store that has one signature, which was fetched before."""

    candidate: Candidate

    def budget_host(self, image: Image) -> str:
        del image
        return ""

    def candidates(self, image: Image, sources: Sources) -> Iterator[Candidate]:
        del image, sources
        yield self.candidate


def _with_only(check: SimpleSigningCheck, candidate: Candidate) -> SimpleSigningCheck:
    return replace(check, store=_Fetched(candidate))
