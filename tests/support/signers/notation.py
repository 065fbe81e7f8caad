"""Signers of the Notary Project: a CA, the certificates that it issues, and envelopes with any defect.

Envelopes are built here from their parts, apart from the code under test, so that each part can be wrong.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealgate.formats.notation.wire.envelope import ARTIFACT_TYPE, JWS_TYPE, PAYLOAD_TYPE
from sealgate.parsing import cbor
from sealgate.registry.interface import OCI_MANIFEST
from tests.support.signers.cosign import descriptor
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sealgate.references import Digest
    from tests.support.signers.cosign import Pusher

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_COSE = {"ES256": -7, "ES384": -35, "ES512": -36, "PS256": -37, "PS384": -38, "PS512": -39}
#: Every kind of key that signs images, with its algorithm.
KEY_KINDS = {
    "P-256": "ES256",
    "P-384": "ES384",
    "P-521": "ES512",
    "RSA 2048": "PS256",
    "RSA 3072": "PS384",
    "RSA 4096": "PS512",
}
_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(), "P-224": ec.SECP224R1()}
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
SUBJECT = {"C": "US", "ST": "WA", "O": "acme", "CN": "release"}
IDENTITY = "x509.subject: C=US, ST=WA, O=acme"
_OIDS = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}


def new_key(kind: str = "P-256") -> PrivateKey:
    """Return a new key of a kind ("P-256", "RSA 2048")."""
    family, _, bits = kind.partition(" ")
    return rsa.generate_private_key(65537, int(bits)) if family == "RSA" else ec.generate_private_key(_CURVES[kind])


def name_of(subject: Mapping[str, str]) -> x509.Name:
    """Return a distinguished name with these attributes."""
    return x509.Name([x509.NameAttribute(_OIDS[short], value) for short, value in subject.items()])


def key_usage(**bits: bool) -> x509.KeyUsage:
    """Return a key usage with these bits set."""
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names})


SIGNER_USAGE = (key_usage(digital_signature=True), True)
CA_USAGE = (key_usage(key_cert_sign=True, crl_sign=True), True)
CODE_SIGNING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)


@dataclass(frozen=True)
class Certificate:
    """What a certificate is made of; see `Authority.issue`.

    Attributes:
        subject: of the certificate.
        key: its key.
        begins: begin of its validity.
        lifetime: length of its validity.
        extensions: each with whether it is critical.
        algorithm: hash of the issuer's signature.
    """

    subject: Mapping[str, str]
    key: PrivateKey
    begins: datetime = NOW - timedelta(days=1)
    lifetime: timedelta = YEAR
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (SIGNER_USAGE, CODE_SIGNING)
    algorithm: Any = field(default_factory=hashes.SHA256)

    def signed_by(self, issuer: x509.Name, key: PrivateKey) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name_of(self.subject))
            .issuer_name(issuer)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.begins)
            .not_valid_after(self.begins + self.lifetime)
        )
        for extension, critical in self.extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(key, self.algorithm)


def ca_extensions(path_length: int | None = None) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    """Return the extensions of a CA's certificate."""
    return (x509.BasicConstraints(ca=True, path_length=path_length), True), CA_USAGE


class Authority:
    """A CA: a root, or below another one.

    Args:
        name: its common name.
        begins: begin of its validity.
        lifetime: length of its validity.
        parent: the CA that certifies it; None for a root.
        extensions: of its certificate.
        more: further extensions of its certificate.
    """

    def __init__(
        self,
        name: str,
        begins: datetime = NOW - timedelta(days=2),
        lifetime: timedelta = 2 * YEAR,
        *,
        parent: Authority | None = None,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = ca_extensions(),
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> None:
        self.key = new_key()
        self.begins, self.lifetime = begins, lifetime
        made = Certificate({"CN": name}, self.key, begins, lifetime, (*extensions, *more))
        issuer = parent or self
        subject = name_of({"CN": name})
        name_of_issuer = subject if parent is None else parent.certificate.subject
        self.certificate: x509.Certificate = made.signed_by(name_of_issuer, issuer.key)
        self.chain: tuple[x509.Certificate, ...] = (self.certificate, *(() if parent is None else parent.chain))

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, kind: str = "P-256", **members: Any) -> tuple[PrivateKey, tuple[x509.Certificate, ...]]:
        """Return a new signer: the key, and its chain.

        Args:
            kind: of the key.
            members: of `Certificate`; `more` for extensions beside the usual ones.
        """
        more = members.pop("more", ())
        key = members.pop("key", None) or new_key(kind)
        made = Certificate(
            **{"subject": SUBJECT, "key": key, "begins": self.begins, "lifetime": self.lifetime, **members}
        )
        made = replace(made, extensions=(*made.extensions, *more))
        return key, (made.signed_by(self.certificate.subject, self.key), *self.chain)


def raw_signature(key: PrivateKey, message: bytes, algorithm: str) -> bytes:
    """Return a signature as JWS and COSE have it."""
    digest = _HASHES[algorithm[2:]]
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    size = (key.curve.key_size + 7) // 8
    numbers = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
    return b"".join(number.to_bytes(size, "big") for number in numbers)


@dataclass(frozen=True)
class EnvelopeOf:
    """An envelope in parts, each of which may be wrong.

    Attributes:
        key: signs.
        chain: the certificates that it brings.
        payload: what is signed.
        algorithm: that it states and signs with.
        attributes: protected attributes that differ from a good one; `...` leaves one out.
        timestamp: makes the token for a signature; None for none.
        authority: whether by the scheme of signing authorities.
        expiry: that it states; None for none.
        time: that it states.
    """

    key: PrivateKey
    chain: Sequence[x509.Certificate]
    payload: bytes
    algorithm: str = "ES256"
    attributes: Mapping[Any, Any] = field(default_factory=dict)
    timestamp: Callable[[bytes], bytes] | None = None
    authority: bool = False
    expiry: datetime | None = None
    time: datetime = NOW

    def jws(self) -> bytes:
        protected = encode(self._attributes({"alg": self.algorithm, "cty": PAYLOAD_TYPE}, "crit", _rfc3339))
        header: dict[str, Any] = {"x5c": [base64.b64encode(der).decode() for der in self._ders()]}
        stamp = self._stamp(raw_signature(self.key, _input(protected, self.payload), self.algorithm))
        if stamp[1] is not None:
            header["io.cncf.notary.timestampSignature"] = base64.b64encode(stamp[1]).decode()
        parts = {"payload": _b64u(self.payload), "protected": _b64u(protected), "signature": _b64u(stamp[0])}
        return encode({**parts, "header": header})

    def cose(self) -> bytes:
        attributes = self._attributes({1: _COSE[self.algorithm], 3: PAYLOAD_TYPE}, 2, _epoch)
        protected = cbor.encode(attributes)
        message = cbor.encode(["Signature1", protected, b"", self.payload])
        signature, token = self._stamp(raw_signature(self.key, message, self.algorithm))
        unprotected: dict[int | str, Any] = {33: self._ders()}
        if token is not None:
            unprotected["io.cncf.notary.timestampSignature"] = token
        return cbor.encode(cbor.Tagged(18, [protected, unprotected, self.payload, signature]))

    def of(self, media_type: str) -> bytes:
        return self.jws() if media_type == JWS_TYPE else self.cose()

    def _stamp(self, signature: bytes) -> tuple[bytes, bytes | None]:
        """Return the signature, and the token beside it."""
        return signature, None if self.timestamp is None else self.timestamp(signature)

    def _ders(self) -> list[Any]:
        return [certificate.public_bytes(Encoding.DER) for certificate in self.chain]

    def _attributes(self, common: dict[Any, Any], critical: Any, write: Any) -> dict[Any, Any]:
        scheme = "notary.x509.signingAuthority" if self.authority else "notary.x509"
        time = "io.cncf.notary.authenticSigningTime" if self.authority else "io.cncf.notary.signingTime"
        listed = ["io.cncf.notary.signingScheme"]
        found = {**common, "io.cncf.notary.signingScheme": scheme, time: write(self.time)}
        if self.authority:
            listed.append(time)
        if self.expiry is not None:
            found["io.cncf.notary.expiry"] = write(self.expiry)
            listed.append("io.cncf.notary.expiry")
        found = {**found, critical: listed, **self.attributes}
        return {name: value for name, value in found.items() if value is not ...}


def payload_for(body: bytes, subject: str, /, **members: Any) -> bytes:
    """Return the payload about a manifest, with members that differ."""
    target = {"mediaType": OCI_MANIFEST, "digest": subject, "size": len(body), **members}
    return encode({"targetArtifact": target})


def push_envelope(  # noqa: PLR0917 - the parts of a stored signature
    registry: Pusher,
    repository: str,
    subject: str,
    envelope: bytes,
    media_type: str = JWS_TYPE,
    *,
    layers: int = 1,
    changes: Mapping[str, Any] | None = None,
) -> Digest:
    """Store an envelope as a signature of an image, and return the digest of its manifest.

    Args:
        registry: where.
        repository: path of the repository.
        subject: digest of the image.
        envelope: the envelope.
        media_type: of the layer.
        layers: how often it is a layer.
        changes: members of the manifest that differ.
    """
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(registry, repository, b"{}", ARTIFACT_TYPE),
        "layers": [descriptor(registry, repository, envelope, media_type)] * layers,
        "subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": 10},
        **(changes or {}),
    }
    return registry.push_manifest(repository, None, encode(document))


def _input(protected: bytes, payload: bytes) -> bytes:
    return f"{_b64u(protected)}.{_b64u(payload)}".encode()


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _epoch(time: datetime) -> cbor.Tagged:
    return cbor.Tagged(1, int(time.timestamp()))
