"""Client certificates with any defect, and the CAs that issue them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
#: A day on either side of any test.
DAY: Final = timedelta(days=1)


class ClientCA:
    """A CA that issues client certificates.

    Args:
        name: common name of the CA.
        issuer: the CA that issued this one; itself by default.
    """

    def __init__(self, name: str = "callers", issuer: ClientCA | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name([name])
        signer = issuer or self
        begin = datetime.now(UTC) - DAY
        self.certificate = (
            _builder(self.name, signer.name, self.key, begin, begin + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        folder: Path,
        *common_names: str,
        alternatives: Sequence[x509.GeneralName] = (),
        usages: Iterable[ObjectIdentifier] = (CLIENT,),
        ends: timedelta = DAY,
        chain: Sequence[ClientCA] = (),
    ) -> Path:
        """Write a certificate, the chain and the key to one PEM file and return that.

        Args:
            folder: for the file.
            common_names: of the subject.
            alternatives: subject alternative names.
            usages: extended key usages; empty for no such extension.
            ends: when it ends, from now.
            chain: CAs that the client sends along.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        builder = _builder(_name(common_names), self.name, key, now - 2 * DAY, now + ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = folder / f"client-{certificate.serial_number:x}.pem"
        pems = [certificate.public_bytes(Encoding.PEM), *(ca.pem for ca in chain), private]
        path.write_bytes(b"".join(pems))
        return path


def client_context(trust: str, certificate: Path | None = None) -> ssl.SSLContext:
    """Return a client's TLS context.

    Args:
        trust: PEM of the server's CA.
        certificate: PEM file with the client's certificate and key; None to present none.
    """
    context = ssl.create_default_context(cadata=trust)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


def _name(common_names: Iterable[str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_names])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
