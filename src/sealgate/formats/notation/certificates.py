"""Certificate chains of envelopes: what the Notary Project requires of them ("Certificate Requirements").

A chain is in order, the signer's certificate first and a self-signed root last, and is complete. Trust comes from one
certificate of it that is byte for byte in the policy's trust store. Signatures are verified from that certificate
downwards, so that no key of an attacker is used before one that is trusted has vouched for it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from sealgate.clocks import earliest
from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.certificate_chains import UNREADABLE as MALFORMED
from sealgate.keys.spki import read_certificate_key
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime
    from typing import NoReturn

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

#: What is raised for certificates and their keys that cannot be read.
UNREADABLE = (*MALFORMED, InvalidKeyError)
#: Limit for one certificate in bytes; real ones have less than 4 KiB.
MAX_CERTIFICATE_BYTES = 16384
#: Keys of CAs: their bits. Longer ones only cost time.
_RSA_BITS = range(2048, 8193)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
#: Critical extensions that are checked here, or that restrict nothing which is asked for here. A certificate with
#: another one restricts itself in a way that is not understood (RFC 5280, 4.2).
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
#: Purposes that a signer's certificate must not have, since it is in use elsewhere.
_OTHER_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "server authentication",
    ExtendedKeyUsageOID.CLIENT_AUTH: "client authentication",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "email protection",
    ExtendedKeyUsageOID.TIME_STAMPING: "timestamps",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSP responses",
}


def fingerprint_of(der: bytes) -> str:
    """Return the SHA-256 of a certificate, hex: what trust stores compare."""
    return hashlib.sha256(der).hexdigest()


def name_of(certificate: x509.Certificate) -> str:
    """Return a certificate's subject for a message."""
    try:
        return f'the certificate "{quote(certificate.subject.rfc4514_string(), 160)}"'
    except UNREADABLE:
        return f"the certificate {fingerprint_of(certificate.public_bytes(Encoding.DER))[:16]}..."


def verify_chain(chain: Sequence[bytes], trusted: Collection[str], store: str) -> tuple[x509.Certificate, ...]:
    """Verify that a chain is fit for signing images and leads to a trusted certificate; its times are not checked.

    Args:
        chain: DER of the certificates, the signer's first; at least one.
        trusted: fingerprints of the trusted certificates; see `fingerprint_of`.
        store: name of the trust store for messages ("ca").

    Raises:
        VerificationError: it is not, or does not.
    """
    # The cheap comparison comes first: an envelope of a stranger costs no signature.
    anchors = [index for index, der in enumerate(chain) if fingerprint_of(der) in trusted]
    if not anchors:
        _refuse(f"its certificate chain leads to no certificate of the trust store {store}", Reason.UNKNOWN_KEY)
    certificates = tuple(_read(der) for der in chain)
    for certificate in certificates:
        _check_key(certificate)
        _check_extensions(certificate)
    # From the trusted certificate down to the signer, then up to the root that it claims.
    for index in (*reversed(range(anchors[0])), *range(anchors[0], len(certificates) - 1)):
        _check_issued(certificates[index], certificates[index + 1])
    _check_issued(certificates[-1], certificates[-1])
    if any(is_issued_by(certificate, certificate) for certificate in certificates[:-1]):
        _refuse("its certificate chain goes on after a certificate that is self-signed")
    for index, certificate in enumerate(certificates[1:]):
        _check_ca(certificate, index)
    _check_signer(certificates[0])
    return certificates


def check_validity(certificates: Sequence[x509.Certificate], earliest: datetime, latest: datetime, when: str) -> None:
    """Check that every certificate was valid during a time.

    Args:
        certificates: the chain.
        earliest: begin of the time, UTC.
        latest: end of the time, UTC; the same where the time is known exactly.
        when: what happened then, for messages ("now", "when the signature was timestamped").

    Raises:
        VerificationError: one was not.
    """
    for certificate in certificates:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if earliest < begins:
            _refuse(f"{name_of(certificate)} is valid from {begins:%Y-%m-%dT%H:%MZ}, not {when}", Reason.EXPIRED)
        if latest > ends:
            _refuse(
                f"{name_of(certificate)} expired on {ends:%Y-%m-%dT%H:%MZ}, and counts no more {when}", Reason.EXPIRED
            )


def ends_of(certificates: Iterable[x509.Certificate]) -> datetime | None:
    """Return when the first of some certificates ends, UTC."""
    return earliest(*(certificate.not_valid_after_utc for certificate in certificates))


def is_ca(certificate: x509.Certificate) -> bool:
    """Return whether a certificate is of a CA by its basic constraints.

    Raises:
        ValueError: its extensions cannot be read (and the others of `UNREADABLE`).
    """
    constraints = extension_of(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.value.ca


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether a certificate names an issuer and bears its signature, by a hash of SHA-2."""
    try:
        if not isinstance(certificate.signature_hash_algorithm, _HASHES):
            return False
        certificate.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _read(der: bytes) -> x509.Certificate:
    if len(der) > MAX_CERTIFICATE_BYTES:
        msg = f"a certificate of its chain is larger than {MAX_CERTIFICATE_BYTES} bytes"
        raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
    try:
        certificate = x509.load_der_x509_certificate(der)
        list(certificate.extensions)  # parsed here, so that a malformed one is refused here
        certificate.subject, certificate.issuer  # noqa: B018 - the same
        certificate.not_valid_before_utc, certificate.not_valid_after_utc  # noqa: B018 - the same
    except UNREADABLE as error:
        msg = "a certificate of its chain cannot be read"
        raise VerificationError(msg, reason=Reason.MALFORMED_EVIDENCE) from error
    return certificate


def extension_of(certificate: x509.Certificate, kind: type[_Extension]) -> x509.Extension[_Extension] | None:
    """Return an extension of a certificate; None if it does not have it.

    Raises:
        ValueError: its extensions cannot be read (and the others of `UNREADABLE`).
    """
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _check_key(certificate: x509.Certificate) -> None:
    try:
        key = read_certificate_key(certificate)
    except UNREADABLE:
        key = None
    fits = (isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    )
    if not fits:
        _refuse(f"{name_of(certificate)} has a key that is too weak, too long or of an unknown kind")


def _check_extensions(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            _refuse(
                f"{name_of(certificate)} has a critical extension that is not supported: {extension.oid.dotted_string}"
            )


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    if not is_issued_by(certificate, issuer):
        _refuse(f"{name_of(certificate)} is not issued by {name_of(issuer)}, which follows it in the chain")


def _check_ca(certificate: x509.Certificate, below: int) -> None:
    """Check the certificate of a CA with so many CAs between it and the signer."""
    constraints = extension_of(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.critical or not constraints.value.ca:
        _refuse(f"{name_of(certificate)} is not of a CA, and has issued another one")
    if constraints.value.path_length is not None and constraints.value.path_length < below:
        _refuse(f"{name_of(certificate)} has issued a longer chain than its path length allows")
    usage = extension_of(certificate, x509.KeyUsage)
    if usage is None or not usage.critical or not usage.value.key_cert_sign:
        _refuse(f"{name_of(certificate)} may not sign certificates by its key usage")


def _check_signer(certificate: x509.Certificate) -> None:
    if is_ca(certificate):
        _refuse(f"{name_of(certificate)} is of a CA, which must not sign images itself")
    usage = extension_of(certificate, x509.KeyUsage)
    if usage is None or not usage.critical or not _signs_only(usage.value):
        _refuse(f"{name_of(certificate)} is not for digital signatures alone by its key usage")
    purposes = extension_of(certificate, x509.ExtendedKeyUsage)
    for purpose in () if purposes is None else purposes.value:
        if purpose in _OTHER_PURPOSES:
            _refuse(f"{name_of(certificate)} is for {_OTHER_PURPOSES[purpose]}, and must not sign images")


def _signs_only(usage: x509.KeyUsage) -> bool:
    # Non-repudiation (contentCommitment) is not excluded by the specification.
    others = (
        usage.key_encipherment,
        usage.data_encipherment,
        usage.key_agreement,
        usage.key_cert_sign,
        usage.crl_sign,
    )
    return usage.digital_signature and not any(others)


def _refuse(message: str, reason: Reason = Reason.INVALID_SIGNATURE) -> NoReturn:
    raise VerificationError(message, reason=reason)
