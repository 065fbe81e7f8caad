"""Public keys out of SubjectPublicKeyInfo, where an EC key must name its curve.

RFC 5480, 2.1.1 allows one way to say which curve a key is on: its object identifier. Parameters written out in full
describe a curve that the writer chose, which is how CVE-2020-0601 made keys for other people's certificates.
`cryptography` accepts such parameters where they equal those of a known curve, and the parsed key no longer shows
how it was written. So every key and certificate is read through this module, which checks the bytes themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sealgate.errors import InvalidKeyError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes

_OBJECT_IDENTIFIER = 0x06
_EXPLICIT_VERSION = 0xA0
#: Elements of a TBSCertificate before its key, after the version: serial number, algorithm, issuer, dates, subject.
_BEFORE_THE_KEY = 5
_LONG_LENGTH = 0x80


def read_spki(der: bytes) -> PublicKeyTypes:
    """Return the public key in a SubjectPublicKeyInfo.

    Args:
        der: the bytes.

    Raises:
        InvalidKeyError: it is an EC key whose curve is not named.
        ValueError: the bytes are not a SubjectPublicKeyInfo.
        UnsupportedAlgorithm: it is a key of a kind that `cryptography` does not have.
    """
    key = load_der_public_key(der)
    if isinstance(key, ec.EllipticCurvePublicKey):
        _require_named_curve(der)
    return key


def read_certificate_key(certificate: x509.Certificate) -> CertificatePublicKeyTypes:
    """Return the public key in a certificate.

    Raises:
        InvalidKeyError: it is an EC key whose curve is not named.
        ValueError: the certificate's key is malformed.
        UnsupportedAlgorithm: it is a key of a kind that `cryptography` does not have.
    """
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        fields = _content(certificate.tbs_certificate_bytes)
        if fields[0] == _EXPLICIT_VERSION:
            fields = _after(fields)
        for _ in range(_BEFORE_THE_KEY):
            fields = _after(fields)
        _require_named_curve(fields)
    return key


def _require_named_curve(spki: bytes) -> None:
    """Refuse explicit curve parameters.

    Args:
        spki: bytes that begin with the SubjectPublicKeyInfo of an EC key and that `cryptography` has parsed, so that
            the lengths in them are in range.
    """
    algorithm = _content(_content(spki))
    parameters = _after(algorithm)
    if parameters[0] != _OBJECT_IDENTIFIER:
        raise InvalidKeyError(
            "the EC key spells out the parameters of its curve; they must be the curve's name alone (RFC 5480, 2.1.1): "
            "convert it with openssl ec -pubin -in key.pem -pubout -param_enc named_curve"
        )


def _content(element: bytes) -> bytes:
    """Return what follows the tag and length of a DER element."""
    first = element[1]
    return element[2:] if first < _LONG_LENGTH else element[2 + (first & ~_LONG_LENGTH) :]


def _after(element: bytes) -> bytes:
    """Return what follows a DER element."""
    first, content = element[1], _content(element)
    if first < _LONG_LENGTH:
        return content[first:]
    return content[int.from_bytes(element[2 : 2 + (first & ~_LONG_LENGTH)], "big") :]
