"""Keys, certificates and signatures as Notary v1's metadata shows them; every part is real.

Canonical JSON and key ids are made here by other means than in sealgate.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from tests.support.signers.kept_keys import kept_rsa_key
from tests.support.signers.private_keys import PrivateKey, fingerprint, public_pem

if TYPE_CHECKING:
    from typing import Self

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_METHODS = {"ecdsa": "ecdsa", "rsa": "rsapss", "ed25519": "eddsa"}


def canonical(value: Any) -> bytes:
    """Return the bytes that are signed; correct for text without control characters."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def wire(value: Any) -> bytes:
    """Return a file's bytes as Go writes them: `<`, `>` and `&` escaped."""
    text = canonical(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()


def key_id(kind: str, public: bytes) -> str:
    entry = {"keytype": kind, "keyval": {"private": None, "public": base64.b64encode(public).decode()}}
    return hashlib.sha256(canonical(entry)).hexdigest()


@dataclass(frozen=True)
class Signer:
    """A private key, and how metadata shows it.

    Attributes:
        private: the private key.
        certificates: what it comes in, the signer's own first; empty for a bare key.
    """

    private: PrivateKey
    certificates: tuple[x509.Certificate, ...] = ()

    @property
    def bare(self) -> Self:
        """Return the same key without a certificate."""
        return type(self)(self.private)

    @property
    def type(self) -> str:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return "ecdsa"
        return "rsa" if isinstance(self.private, rsa.RSAPrivateKey) else "ed25519"

    @property
    def kind(self) -> str:
        return f"{self.type}-x509" if self.certificates else self.type

    @property
    def public(self) -> bytes:
        if self.certificates:
            return "".join(self.certificate_pems).encode()
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def certificate_pems(self) -> list[str]:
        return [certificate.public_bytes(Encoding.PEM).decode() for certificate in self.certificates]

    @property
    def certificate_pem(self) -> str:
        return self.certificate_pems[0]

    @property
    def public_pem(self) -> str:
        return public_pem(self.private)

    @property
    def private_pem(self) -> str:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.private)

    @property
    def key_id(self) -> str:
        return key_id(self.kind, self.public)

    @property
    def canonical_id(self) -> str:
        return self.bare.key_id

    @property
    def entry(self) -> dict[str, Any]:
        """The key as a member of `keys`."""
        public = base64.b64encode(self.public).decode()
        return {"keytype": self.kind, "keyval": {"private": None, "public": public}}

    def sign(self, message: bytes, method: str | None = None) -> dict[str, str]:
        """Return a signature as a member of `signatures`."""
        method = method or _METHODS[self.type]
        return {
            "keyid": self.key_id,
            "method": method,
            "sig": base64.b64encode(self.raw(message, method.lower())).decode(),
        }

    def raw(self, message: bytes, method: str | None = None) -> bytes:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            r, s = utils.decode_dss_signature(self.private.sign(message, ec.ECDSA(SHA256())))
            size = (self.private.key_size + 7) // 8
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if isinstance(self.private, rsa.RSAPrivateKey):
            if method == "rsapkcs1v15":
                return self.private.sign(message, padding.PKCS1v15(), SHA256())
            return self.private.sign(message, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
        return self.private.sign(message)


def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the RSA key of a number; keys are cached since their generation is slow."""
    return kept_rsa_key(bits, f"notary {number}")


def ecdsa_signer(curve: ec.EllipticCurve | None = None) -> Signer:
    return Signer(ec.generate_private_key(curve or ec.SECP256R1()))


def ed25519_signer() -> Signer:
    return Signer(ed25519.Ed25519PrivateKey.generate())


def certified(
    name: str,
    private: PrivateKey | None = None,
    *,
    issuer: Signer | None = None,
    authority: bool = False,
    begins: datetime = NOW - timedelta(days=1),
    ends: datetime = NOW + timedelta(days=3650),
    algorithm: SHA256 | SHA384 | None = None,
    usage: x509.KeyUsage | None = None,
) -> Signer:
    """Return a signer with a certificate, its own or certified by another (whose certificates then follow)."""
    private = private or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificates[0].subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    hashing = None if isinstance(private, ed25519.Ed25519PrivateKey) else algorithm or SHA256()
    certificate = builder.sign(issuer.private if issuer else private, hashing)
    # As in bundles: the intermediate CAs follow, the root CA does not.
    above = issuer.certificates if issuer and issuer.certificates[0].issuer != issuer.certificates[0].subject else ()
    return Signer(private, (certificate, *above))


def key_usage(*wanted: str) -> x509.KeyUsage:
    """Return a key usage with just those bits, by `cryptography`'s names of them."""
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    more = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in wanted for name in (*names, *more)})


def load_signer(private_pem: str, certificate_pem: str | None = None) -> Signer:
    """Return a signer from PEM; the caller removes the headers of a notary key file."""
    private = load_pem_private_key(private_pem.encode(), None)
    assert isinstance(private, PrivateKey)
    certificates = x509.load_pem_x509_certificates(certificate_pem.encode()) if certificate_pem else []
    return Signer(private, tuple(certificates))
