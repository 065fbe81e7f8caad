"""Timestamp tokens verified: who made them, and for which bytes."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.certificate_chains import UNREADABLE, verify_chain
from sealgate.keys.pem import write_pem
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.spki import read_certificate_key
from sealgate.reasons import Reason
from sealgate.timestamps.tokens import HASHES, parse_response, parse_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime, timedelta

    from sealgate.timestamps.tokens import Token

# The algorithm of a signer's signature: its key's type, and its hash; None where the signer names the hash apart.
_RSA, _ECDSA, _ED25519 = "RSA_PKCS1", "ECDSA", "ED25519"
_SIGNATURES: Mapping[str, tuple[str, str | None]] = {
    "1.2.840.113549.1.1.1": (_RSA, None),
    "1.2.840.113549.1.1.11": (_RSA, "sha256"),
    "1.2.840.113549.1.1.12": (_RSA, "sha384"),
    "1.2.840.113549.1.1.13": (_RSA, "sha512"),
    "1.2.840.10045.4.3.2": (_ECDSA, "sha256"),
    "1.2.840.10045.4.3.3": (_ECDSA, "sha384"),
    "1.2.840.10045.4.3.4": (_ECDSA, "sha512"),
    "1.3.101.112": (_ED25519, None),
}
_KEY_TYPES: Mapping[str, type] = {
    _RSA: rsa.RSAPublicKey,
    _ECDSA: ec.EllipticCurvePublicKey,
    _ED25519: ed25519.Ed25519PublicKey,
}


@dataclass(frozen=True, slots=True)
class Authorities:
    """The TSAs that are trusted.

    Attributes:
        roots: certificates that the TSA's certificate must lead to; at least one.
        certificates: further certificates: intermediates, and those of TSAs that leave theirs out of their tokens.
        embedded_issuers: whether intermediates may come with a token too; if not, only the signer's certificate may.
    """

    roots: tuple[x509.Certificate, ...]
    certificates: tuple[x509.Certificate, ...] = ()
    embedded_issuers: bool = True


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A verified timestamp.

    Attributes:
        time: the time at which the bytes existed, UTC.
        accuracy: how far the true time may be from it; zero if the token states none.
        chain: the TSA's certificate first, the root last; all valid at that time.
    """

    time: datetime
    accuracy: timedelta
    chain: tuple[x509.Certificate, ...]


def verify_response(response: bytes, message: bytes, authorities: Authorities) -> Timestamp:
    """Verify a `TimeStampResp`, as sigstore stores timestamps; see `verify_token`."""
    return _verify(parse_response(response), message, authorities)


def verify_token(token: bytes, message: bytes, authorities: Authorities) -> Timestamp:
    """Verify a `TimeStampToken`, as CMS and JWS signatures carry it.

    Args:
        token: DER, of at most 64 KiB.
        message: the exact bytes that it must be about.
        authorities: the trusted TSAs.

    Raises:
        VerificationError: it is malformed, about other bytes, not made by a trusted TSA, or made at a time when a
            certificate of the TSA's chain was not valid.
    """
    return _verify(parse_token(token), message, authorities)


def _verify(token: Token, message: bytes, authorities: Authorities) -> Timestamp:
    if not hmac.compare_digest(hashlib.new(token.hash_name, message).digest(), token.imprint):
        msg = "the timestamp was made for something else"
        raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
    others = (*authorities.certificates, *_embedded(token))
    signer = _signer(token, (*others, *authorities.roots))
    _check_purpose(signer)
    issuers = _without(signer, others if authorities.embedded_issuers else authorities.certificates)
    chain = verify_chain(signer, issuers, authorities.roots, token.time, ExtendedKeyUsageOID.TIME_STAMPING)
    _check_signature(token, signer)
    return Timestamp(token.time, token.accuracy, chain)


def _embedded(token: Token) -> Iterator[x509.Certificate]:
    for der in token.certificates:
        # One that cannot be read can be neither the signer's nor an issuer's.
        with suppress(*UNREADABLE):
            certificate = x509.load_der_x509_certificate(der)
            # The names are parsed when they are asked for.
            _ = certificate.issuer, certificate.subject
            yield certificate


def _without(signer: x509.Certificate, others: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
    return tuple(dict.fromkeys(certificate for certificate in others if certificate != signer))


def _signer(token: Token, certificates: tuple[x509.Certificate, ...]) -> x509.Certificate:
    """Return the certificate that the signed attributes name by hash, and the signer by issuer and number."""
    for certificate in certificates:
        der = certificate.public_bytes(Encoding.DER)
        if (
            certificate.serial_number == token.serial_number
            and certificate.issuer.public_bytes() == token.issuer
            and all(hashlib.new(name, der).digest() == value for name, value in token.certificate_hashes)
        ):
            return certificate
    msg = "the certificate of the TSA is neither in the timestamp nor among the trusted ones"
    raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)


def _check_purpose(signer: x509.Certificate) -> None:
    """Require the one purpose, critical (RFC 3161, 2.3): a certificate for anything else does not make timestamps."""
    try:
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, *UNREADABLE):
        usage = None
    if usage is None or not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        msg = "the certificate that made the timestamp is not for timestamps alone"
        raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)


def _check_signature(token: Token, signer: x509.Certificate) -> None:
    digest = HASHES.get(token.digest_algorithm, "")
    family, hash_name = _SIGNATURES.get(token.signature_algorithm, ("", None))
    if not family or digest in ("", "sha1") or hash_name not in (None, digest):
        msg = "the timestamp is signed with an algorithm that is not supported"
        raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE)
    if not hmac.compare_digest(hashlib.new(digest, token.content).digest(), token.content_digest):
        msg = "the timestamp was changed after it was signed"
        raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE)
    algorithm = family if family == _ED25519 else f"{family}_SHA_{digest.removeprefix('sha')}"
    try:
        key = read_certificate_key(signer)
        if not isinstance(key, _KEY_TYPES[family]):
            msg = "the timestamp's algorithm does not fit the TSA's key"
            raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE)
        pem = write_pem("PUBLIC KEY", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        public = load_public_key(pem, algorithm)
    except (InvalidKeyError, *UNREADABLE) as error:
        raise VerificationError("the TSA's key cannot be used", reason=Reason.UNKNOWN_KEY) from error
    try:
        public.verify(token.signature, token.signed_attributes)
    except VerificationError as error:
        msg = "the timestamp was not signed by the TSA that it names, or was changed afterwards"
        raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE) from error
