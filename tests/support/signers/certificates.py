"""Certificate authorities with certificates of any kind, valid whenever a test wants it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class CertifiedKey:
    """A private key with its certificate."""

    key: ec.EllipticCurvePrivateKey | RSAPrivateKey
    certificate: x509.Certificate

    def issue(
        self,
        name: str,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        *,
        key: ec.EllipticCurvePrivateKey | RSAPrivateKey | None = None,
        ca: bool = False,
        begin: datetime = BEGIN,
        end: datetime = END,
        path_length: int | None = None,
        serial_number: int | None = None,
    ) -> CertifiedKey:
        """Return a key with a certificate issued by this one."""
        own = key or ec.generate_private_key(ec.SECP256R1())
        number = serial_number or x509.random_serial_number()
        return CertifiedKey(own, _build(name, own, self, extensions, (ca, path_length), (begin, end), number))


def make_root(name: str, *, begin: datetime = BEGIN, end: datetime = END) -> CertifiedKey:
    """Return a CA that certifies itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    return CertifiedKey(key, _build(name, key, None, (), (True, None), (begin, end), 1))


def purposes(*names: x509.ObjectIdentifier, critical: bool = True) -> tuple[x509.ExtensionType, bool]:
    """Return an extended key usage."""
    return x509.ExtendedKeyUsage(names), critical


def _build(
    name: str,
    key: ec.EllipticCurvePrivateKey | RSAPrivateKey,
    issuer: CertifiedKey | None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    constraints: tuple[bool, int | None],
    period: tuple[datetime, datetime],
    serial_number: int,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    ca, path_length = constraints
    usage = {
        usage: usage in (("key_cert_sign", "crl_sign") if ca else ("digital_signature",))
        for usage in (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        )
    }  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial_number)
        .not_valid_before(period[0])
        .not_valid_after(period[1] - timedelta(seconds=1))
        .add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key if issuer else key, SHA256())
