"""Signed certificate timestamps embedded in a certificate (RFC 6962, 3.2 and 3.3)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.certificate_transparency import LogEntryType, SignatureAlgorithm

from sealgate.errors import VerificationError
from sealgate.keys.algorithms import Algorithm
from sealgate.keys.certificate_chains import UNREADABLE
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509.certificate_transparency import SignedCertificateTimestamp

    from sealgate.sigstore.trusted_root import LogKey

_MAX_SCTS = 8
# How far the clocks of a CA and of a CT log may be apart.
_MAX_SKEW = timedelta(hours=1)
_ALGORITHMS = {
    SignatureAlgorithm.ECDSA: (Algorithm.ECDSA_SHA_256,),
    SignatureAlgorithm.RSA: (Algorithm.RSA_PKCS1_SHA_256,),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_V1, _CERTIFICATE_TIMESTAMP, _PRECERTIFICATE = b"\x00", b"\x00", b"\x00\x01"


def check_sct(certificate: x509.Certificate, issuer: x509.Certificate, logs: Sequence[LogKey]) -> None:
    """Accept a certificate that a trusted CT log has published.

    Args:
        certificate: the signer's, with its SCTs inside.
        issuer: the certificate of the CA that issued it, verified.
        logs: the trusted CT logs.

    Raises:
        VerificationError: none of its SCTs was made by a trusted log, in the period of its key and of the certificate.
    """
    try:
        scts = list(
            certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
        )
        published = certificate.tbs_precertificate_bytes
    except (x509.ExtensionNotFound, *UNREADABLE) as error:
        raise _unpublished("it has no SCT") from error
    if len(scts) > _MAX_SCTS:
        raise _unpublished(f"it has more than {_MAX_SCTS} SCTs")
    key = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    entry = hashlib.sha256(key).digest() + _with_length(published, 3)
    refusal = _unpublished("its SCT is of a log that the trusted root does not have")
    for sct in scts:
        for log in logs:
            if log.key_id == sct.log_id:
                try:
                    _check(sct, entry, log)
                    _check_time(sct, certificate)
                except VerificationError as error:
                    refusal = error
                else:
                    return
    raise refusal


def _check(sct: SignedCertificateTimestamp, entry: bytes, log: LogKey) -> None:
    allowed = _ALGORITHMS.get(sct.signature_algorithm, ())
    supported = sct.entry_type is LogEntryType.PRE_CERTIFICATE  # of version 1, the only one that the library reads
    if not supported or log.key.algorithm not in allowed or not isinstance(sct.signature_hash_algorithm, SHA256):
        raise _unpublished("its SCT is signed with an algorithm that does not fit the log's key")
    time = sct.timestamp.replace(tzinfo=UTC)
    milliseconds = (time - _EPOCH) // timedelta(milliseconds=1)
    signed = (
        _V1 + _CERTIFICATE_TIMESTAMP + milliseconds.to_bytes(8, "big") + _PRECERTIFICATE + entry
        + _with_length(sct.extension_bytes, 2)
    )  # fmt: skip
    try:
        log.key.verify(sct.signature, signed)
    except VerificationError as error:
        raise _unpublished("its SCT was not made by the log, or for another certificate") from error
    log.period.check(time, f"the key of the CT log {log.host}")


def _check_time(sct: SignedCertificateTimestamp, certificate: x509.Certificate) -> None:
    """Refuse an SCT of another time than its certificate: the key of a log that has ended could say any time before."""
    begins, ends = certificate.not_valid_before_utc - _MAX_SKEW, certificate.not_valid_after_utc + _MAX_SKEW
    if not begins <= sct.timestamp.replace(tzinfo=UTC) <= ends:
        raise _unpublished("its SCT is of a time when the certificate was not valid")


def _with_length(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size, "big") + data


def _unpublished(why: str) -> VerificationError:
    msg = f"its certificate is not proven to be in a certificate transparency log: {why}"
    return VerificationError(msg, reason=Reason.UNKNOWN_KEY)
