"""OCSP (RFC 6960): the request about a certificate, and what the response of its issuer says."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from sealgate.errors import UnavailableError, VerificationError
from sealgate.formats.notation.certificates import UNREADABLE, extension_of, is_issued_by, name_of
from sealgate.formats.notation.crl import UnknownStatusError
from sealgate.keys.spki import read_certificate_key
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from datetime import datetime

REQUEST_TYPE = "application/ocsp-request"
#: Limit for a response in bytes; real ones have less than 4 KiB.
MAX_RESPONSE_BYTES = 65536
#: How far a responder's clock may be ahead.
_SKEW = timedelta(minutes=5)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_MAX_CERTIFICATES = 4
_LATER = (ocsp.OCSPResponseStatus.TRY_LATER, ocsp.OCSPResponseStatus.INTERNAL_ERROR)


def responders(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the addresses of the OCSP responders that a certificate names.

    Raises:
        ValueError: its extensions cannot be read (and the others of `UNREADABLE`).
    """
    access = extension_of(certificate, x509.AuthorityInformationAccess)
    return (
        ()
        if access is None
        else tuple(
            each.access_location.value
            for each in access.value
            if each.access_method == AuthorityInformationAccessOID.OCSP
            and isinstance(each.access_location, x509.UniformResourceIdentifier)
        )
    )


def build_request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """Return a request about one certificate, DER.

    SHA-1 only names the issuer here, and is the one hash that every responder knows (RFC 5019, 2.1.1).
    """
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303 - see above
    return builder.build().public_bytes(Encoding.DER)


def check_response(data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> datetime:
    """Return until when a response says that a certificate is not revoked.

    Args:
        data: DER.
        certificate: the certificate that was asked about.
        issuer: its issuer.
        now: the time, UTC.

    Raises:
        VerificationError: the certificate is revoked.
        UnknownStatusError: the response does not say that it is not, or is not to be trusted.
        UnavailableError: the responder asks to try again later.
    """
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status in _LATER:
            raise UnavailableError("its OCSP responder cannot answer now, and asks to try again later")
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise UnknownStatusError(f"its OCSP responder answers {response.response_status.name.lower()}")
        signer = _check_signature(response, issuer, now)
        answer = _answer(response, certificate, issuer)
        status, begins, ends = answer.certificate_status, answer.this_update_utc, answer.next_update_utc
    except UNREADABLE as error:
        raise UnknownStatusError("the response of its OCSP responder cannot be read") from error
    if status is ocsp.OCSPCertStatus.REVOKED:
        msg = f"{name_of(certificate)} is revoked, its OCSP responder says"
        raise VerificationError(msg, reason=Reason.REVOKED)
    if begins > now + _SKEW or ends is None or ends <= now:
        # Without an end a response could be replayed for ever, revoked or not.
        raise UnknownStatusError("the response of its OCSP responder is not valid now, or has no end")
    if status is not ocsp.OCSPCertStatus.GOOD:
        raise UnknownStatusError("its OCSP responder does not know it")
    # The issuer's own certificate is judged with the chain, not always by the current time.
    return ends if signer == issuer else min(ends, signer.not_valid_after_utc)


def _answer(
    response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse:
    for answer in response.responses:
        if answer.serial_number == certificate.serial_number and _names(answer, issuer):
            return answer
    raise UnknownStatusError("the response of its OCSP responder is about other certificates")


def _names(answer: ocsp.OCSPSingleResponse, issuer: x509.Certificate) -> bool:
    name = hashlib.new(answer.hash_algorithm.name, issuer.subject.public_bytes()).digest()
    key = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest
    if answer.hash_algorithm.name != "sha1":
        bits = _key_bits(issuer)
        key = hashlib.new(answer.hash_algorithm.name, bits).digest()
    return (answer.issuer_name_hash, answer.issuer_key_hash) == (name, key)


def _key_bits(issuer: x509.Certificate) -> bytes:
    """Return the key of a certificate without its algorithm: what OCSP hashes (RFC 6960, 4.1.1)."""
    key = issuer.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    raise UnknownStatusError("its issuer's key is of an unknown kind")


def _check_signature(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> x509.Certificate:
    """Return the certificate that made the response: the issuer's, or one that it has certified for that alone."""
    embedded = list(response.certificates)[:_MAX_CERTIFICATES]
    for signer in (issuer, *(each for each in embedded if _is_responder(each, issuer, now))):
        if _signed(response, signer):
            return signer
    raise UnknownStatusError("the response of its OCSP responder is not signed by its issuer, or for it")


def _is_responder(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        purposes = extension_of(certificate, x509.ExtendedKeyUsage)
        return (
            purposes is not None
            and ExtendedKeyUsageOID.OCSP_SIGNING in purposes.value
            # Without it the responder's own certificate would have to be checked for revocation (4.2.2.2.1).
            and extension_of(certificate, x509.OCSPNoCheck) is not None
            and certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
            and is_issued_by(certificate, issuer)
        )
    except UNREADABLE:
        return False


def _signed(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    algorithm = response.signature_hash_algorithm
    if not isinstance(algorithm, _HASHES):
        return False
    key = read_certificate_key(signer)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True
