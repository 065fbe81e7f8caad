"""Signing images as Notation does: an envelope in a manifest that refers to the image.

The signature is verified through the rules of Notation authenticators before anything is stored, so that a chain that
no verifier accepts is an error here. Each signature is a manifest of its own: no writer can drop another's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import version
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealgate.errors import InvalidKeyError, SigningError, VerificationError
from sealgate.formats.notation.certificates import (
    UNREADABLE,
    check_validity,
    fingerprint_of,
    is_issued_by,
    name_of,
    verify_chain,
)
from sealgate.formats.notation.envelopes import EnvelopeRules
from sealgate.formats.notation.identities import TrustedIdentities
from sealgate.formats.notation.revocation import RevocationRules
from sealgate.formats.notation.search import CREATED_ANNOTATION
from sealgate.formats.notation.signatures import signer_key
from sealgate.formats.notation.verify import NotationCheck
from sealgate.formats.notation.wire import cose, jws
from sealgate.formats.notation.wire.envelope import ARTIFACT_TYPE, COSE_TYPE, JWS_TYPE, MAX_CHAIN, Scheme, build_payload
from sealgate.formats.read_back import sign_once
from sealgate.formats.referrers import EMPTY, describe, list_referrer, referrer_entry
from sealgate.formats.signing import SigningResult
from sealgate.keys.signing_keys import sign_verified
from sealgate.messages import quote
from sealgate.registry.interface import OCI_MANIFEST
from sealgate.registry.names import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sealgate.clocks import Deadline
    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext
    from sealgate.keys.signing_keys import SigningKey
    from sealgate.registry.interface import Manifest

_THUMBPRINTS = "io.cncf.notary.x509chain.thumbprint#S256"


class EnvelopeType(StrEnum):
    """The kind of envelope, by the type of its layer."""

    JWS = JWS_TYPE
    COSE = COSE_TYPE


def read_chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Read the certificate chain of a key that signs.

    Args:
        pem: the certificates in PEM, the signer's first.

    Raises:
        InvalidKeyError: it holds anything else, is not complete and in order, or no verifier would ever accept a
            signature by it. When it is valid is not checked here; see `check_current`.
    """
    try:
        chain = tuple(x509.load_pem_x509_certificates(pem))
    except UNREADABLE as error:
        raise InvalidKeyError("it does not hold certificates in PEM; write the whole chain into it") from error
    if len(chain) > MAX_CHAIN:
        raise InvalidKeyError(f"it has {len(chain)} certificates; a chain has {MAX_CHAIN} at most")
    if not is_issued_by(chain[-1], chain[-1]):
        raise InvalidKeyError(
            f"it ends with {name_of(chain[-1])}, which another CA has issued; append the certificates of its issuers, "
            "up to the self-signed root"
        )
    try:
        signer_key(chain[0])
        encoded = [certificate.public_bytes(Encoding.DER) for certificate in chain]
        verify_chain(encoded, {fingerprint_of(encoded[-1])}, "ca")
    except VerificationError as error:
        raise InvalidKeyError(error.message) from error
    return chain


def check_current(chain: Sequence[x509.Certificate], now: datetime) -> None:
    """Check that every certificate of a chain is valid now: a verifier without timestamps would refuse it.

    Raises:
        VerificationError: one is not.
    """
    check_validity(chain, now, now, "now")


def algorithm_for(chain: Sequence[x509.Certificate], chosen: str | None) -> str:
    """Return the name of the one algorithm that the key of a chain signs with.

    Args:
        chain: see `read_chain`.
        chosen: the algorithm that a user or policy names; None for none.

    Raises:
        InvalidKeyError: another one is chosen.
    """
    wanted = signer_key(chain[0]).algorithm.value
    if chosen not in (None, wanted):
        raise InvalidKeyError(f"Notation has one algorithm for each type of key, for this one {wanted}; leave it out")
    return wanted


def build_signer(
    key: SigningKey, chain: tuple[x509.Certificate, ...], kind: EnvelopeType, annotations: Mapping[str, str]
) -> NotationSigner:
    """Return a signer; arguments as the attributes of `NotationSigner`.

    Raises:
        InvalidKeyError: the first certificate is of another key.
    """
    if key.public.fingerprint != signer_key(chain[0]).fingerprint:
        raise InvalidKeyError(
            f"the first certificate of the chain is not of {key.name}; give the chain of that key, its own "
            "certificate first"
        )
    return NotationSigner(key, chain, kind, annotations)


def build_envelope(  # noqa: PLR0913, PLR0917 - the parts of an envelope
    kind: EnvelopeType,
    key: SigningKey,
    chain: Sequence[x509.Certificate],
    payload: bytes,
    now: datetime,
    deadline: Deadline,
) -> bytes:
    """Return an envelope around a payload, signed by the scheme `notary.x509`.

    Args:
        kind: of the envelope.
        key: signs; that of the first certificate, with the algorithm that Notation has for it.
        chain: the signer's certificate first, the root last.
        payload: see `sealgate.formats.notation.wire.envelope.build_payload`.
        now: the time of signing, UTC.
        deadline: when the signature must be there.

    Raises:
        SigningError: the key cannot sign.
        VerificationError: the certificate's key is not one that signs images.
        UnavailableError: the service that holds the key could not be asked.
    """
    signer = signer_key(chain[0])
    wire = jws if kind is EnvelopeType.JWS else cose
    build = jws.build_jws if kind is EnvelopeType.JWS else cose.build_cose
    protected = wire.protected_header(signer.name, now)
    made = sign_verified(key, wire.signing_input(protected, payload), deadline)
    certificates = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    return build(protected, payload, signer.from_key(made), certificates, f"sealgate/{version('sealgate')}")


@dataclass(frozen=True, slots=True)
class NotationSigner:
    """Signs images as Notation does; see `sealgate.formats.signing.Signer`. Immutable, thread-safe.

    Attributes:
        key: signs; that of the first certificate.
        chain: the signer's certificate first, the root last.
        kind: of the envelope.
        annotations: signed metadata; may be empty.
        format: "notation".
    """

    key: SigningKey
    chain: tuple[x509.Certificate, ...]
    kind: EnvelopeType = EnvelopeType.JWS
    annotations: Mapping[str, str] = field(default_factory=dict)
    format: str = "notation"

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        return self.key.public.fingerprint

    def lock_name(self, image: Image) -> str:
        """Return the image's repository: without the referrers API, all writers extend one tag."""
        return image.reference.repository.name

    def sign(self, image: Image, context: SigningContext) -> SigningResult:
        """Sign an image; see `sealgate.formats.signing.Signer`."""
        rules = self._rules()
        outcome, location = sign_once(
            NotationCheck(rules, ""),
            self.fingerprint,
            image,
            context.sources,
            lambda: self._store(rules, image, context),
        )
        public = self.key.public
        return SigningResult(outcome, public.fingerprint, public.version, public.algorithm.value, location)

    def _rules(self) -> EnvelopeRules:
        """Return rules that accept a signature by this key with this content, and nothing else of this chain's CA."""
        root = fingerprint_of(self.chain[-1].public_bytes(Encoding.DER))
        return EnvelopeRules(
            trusted={Scheme.X509: frozenset({root}), Scheme.SIGNING_AUTHORITY: frozenset()},
            identities=TrustedIdentities(None),
            authorities=None,
            timestamp_after_expiry_only=False,
            accept_expired=False,
            annotations=self.annotations,
            # Verifiers ask whether a certificate is revoked: it may be so at any later time.
            revocation=RevocationRules((), frozenset(), accept_unknown=True),
        )

    def _store(self, rules: EnvelopeRules, image: Image, context: SigningContext) -> str:
        repository = image.reference.repository
        subject = context.sources.registry.manifest(repository, image.digest)
        now = context.sources.clock.now()
        payload = build_payload(subject.media_type, image.digest, len(subject.body), self.annotations)
        try:
            check_current(self.chain, now)
            envelope = build_envelope(self.kind, self.key, self.chain, payload, now, context.sources.deadline)
            rules.authenticate(self.kind, envelope)
        except VerificationError as error:
            msg = f"the certificate chain cannot sign images: {error.message}; nothing was stored"
            raise SigningError(msg) from error
        for blob in (envelope, EMPTY):
            context.writer.put_blob(repository, blob)
        body = self._manifest(envelope, subject, now)
        stored = context.writer.put_manifest(repository, digest_of(body), body, OCI_MANIFEST)
        list_referrer(stored, referrer_entry(body, ARTIFACT_TYPE), image.digest, repository, context)
        return f"{quote(repository.name)}@{stored.digest}"

    def _manifest(self, envelope: bytes, subject: Manifest, now: datetime) -> bytes:
        """Return the manifest of a signature, as Notation writes it."""
        thumbprints = [fingerprint_of(each.public_bytes(Encoding.DER)) for each in self.chain]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": describe(ARTIFACT_TYPE, EMPTY),
            "layers": [describe(self.kind.value, envelope)],
            "subject": describe(subject.media_type, subject.body),
            "annotations": {
                _THUMBPRINTS: json.dumps(thumbprints, separators=(",", ":")),
                CREATED_ANNOTATION: now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
