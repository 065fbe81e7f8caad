"""A timestamp authority (RFC 3161) that makes right and wrong timestamps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.builders import der
from tests.support.signers.certificates import CertifiedKey, make_root, purposes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
_SHA256 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"))
_SHA1 = der.sequence(der.oid("1.3.14.3.2.26"))
_TST_INFO = der.oid("1.2.840.113549.1.9.16.1.4")


@dataclass(frozen=True)
class TSA:
    """A TSA below a root of its own. `replace` an attribute to have it make wrong timestamps.

    Attributes:
        root: the root's certificate.
        signer: key and certificate of the TSA.
        named: the certificate that the timestamp names as the signer's.
        embedded: certificates in the timestamp.
        signer_count: number of signers.
        status: PKIStatus of the response.
        imprint: AlgorithmIdentifier of the hash, and its name in `hashlib`.
        extensions: of the TSTInfo, each DER.
        more_attributes: further signed attributes, each DER.
        content_type: DER of the OID in the attribute content-type.
        swapped_content: content put in place of the one that was signed.
        algorithm: OID of the signature's algorithm; None for the right one.
    """

    root: CertifiedKey
    signer: CertifiedKey
    named: x509.Certificate
    embedded: tuple[x509.Certificate, ...]
    signer_count: int = 1
    status: int = 0
    imprint: tuple[bytes, str] = (_SHA256, "sha256")
    extensions: tuple[bytes, ...] = ()
    more_attributes: tuple[bytes, ...] = ()
    content_type: bytes = _TST_INFO
    swapped_content: bytes = b""
    algorithm: str | None = None
    accuracy: Sequence[bytes] = field(default=(der.integer(1), der.element(0x80, b"\x01")))

    def respond(self, message: bytes, at: datetime = NOON) -> bytes:
        """Return a TimeStampResp."""
        return der.sequence(der.sequence(der.integer(self.status)), self.token(message, at))

    def token(self, message: bytes, at: datetime = NOON) -> bytes:
        """Return a TimeStampToken."""
        content = self.info(message, at)
        signers = [self._sign(content)] * self.signer_count
        wrapped = der.element(0xA0, der.octets(self.swapped_content or content))
        certificates = b"".join(certificate.public_bytes(Encoding.DER) for certificate in self.embedded)
        members = [der.integer(3), der.set_of(_SHA256), der.sequence(_TST_INFO, wrapped)]
        members += [der.element(0xA0, certificates)] if certificates else []
        signed_data = der.sequence(*members, der.element(0x31, *signers))
        return der.sequence(der.oid("1.2.840.113549.1.7.2"), der.element(0xA0, signed_data))

    def info(self, message: bytes, at: datetime = NOON) -> bytes:
        """Return a TSTInfo."""
        algorithm, name = self.imprint
        members = [
            der.integer(1),
            der.oid("1.3.6.1.4.1.57264.2"),
            der.sequence(algorithm, der.octets(hashlib.new(name, message).digest())),
            der.integer(7),
            der.generalized_time(at),
            der.sequence(*self.accuracy),
        ]
        members += [der.element(0xA1, *self.extensions)] if self.extensions else []
        return der.sequence(*members)

    def _sign(self, content: bytes) -> bytes:
        identifier = der.sequence(der.octets(hashlib.sha256(self.named.public_bytes(Encoding.DER)).digest()))
        attributes = (
            _attribute("1.2.840.113549.1.9.3", self.content_type),
            _attribute("1.2.840.113549.1.9.4", der.octets(hashlib.sha256(content).digest())),
            _attribute("1.2.840.113549.1.9.16.2.47", der.sequence(der.sequence(identifier))),
            *self.more_attributes,
        )
        signed = der.set_of(*attributes)
        key = self.signer.key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            signature, algorithm = key.sign(signed, ec.ECDSA(SHA256())), "1.2.840.10045.4.3.2"
        else:
            signature, algorithm = key.sign(signed, padding.PKCS1v15(), SHA256()), "1.2.840.113549.1.1.1"
        return der.sequence(
            der.integer(1),
            der.sequence(self.named.issuer.public_bytes(), der.integer(self.named.serial_number)),
            _SHA256,
            b"\xa0" + signed[1:],
            der.sequence(der.oid(self.algorithm or algorithm)),
            der.octets(signature),
        )


def make_tsa(name: str = "tsa") -> TSA:
    """Return a TSA with a root, an intermediate and a certificate for timestamps."""
    root = make_root(f"{name} root")
    middle = root.issue(f"{name} intermediate", ca=True, path_length=0)
    signer = middle.issue(name, [purposes(ExtendedKeyUsageOID.TIME_STAMPING)])
    return TSA(root, signer, signer.certificate, (signer.certificate, middle.certificate))


def certified_as(tsa: TSA, signer: CertifiedKey) -> TSA:
    """Return the same TSA with another key and certificate."""
    return replace(tsa, signer=signer, named=signer.certificate, embedded=(signer.certificate, *tsa.embedded[1:]))


def sha1_imprint(tsa: TSA) -> TSA:
    """Return the same TSA, hashing what it timestamps with SHA-1."""
    return replace(tsa, imprint=(_SHA1, "sha1"))


def _attribute(name: str, value: bytes) -> bytes:
    return der.sequence(der.oid(name), der.element(0x31, value))
