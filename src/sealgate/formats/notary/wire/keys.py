"""Public keys as Notary metadata carries them, and the five ways in which they sign.

A key is looked up by its id, which is computed from its content here and never believed. One key may be in
several entries (bare, or inside certificates), so signers are distinguished by the bare key alone: its
SubjectPublicKeyInfo, or what Notary calls its canonical id.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.formats.notary.certificates import check_dates
from sealgate.keys.algorithms import Algorithm
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.spki import read_certificate_key, read_spki
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

SupportedKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

#: What `cryptography` raises for keys and certificates that are none; the last only where warnings are errors.
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, CryptographyDeprecationWarning)

_PSS = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=SHA256.digest_size)


class KeyEntry(NamedTuple):
    """A public key as metadata lists it.

    Attributes:
        kind: its `keytype` ("ecdsa-x509").
        public: the decoded `public` of its `keyval`.
    """

    kind: str
    public: bytes

    @property
    def key_id(self) -> str:
        """The id under which metadata lists it."""
        return key_id(self.kind, self.public)


@dataclass(frozen=True, slots=True)
class MetadataKey:
    """A usable key of a metadata file.

    Attributes:
        key_id: hex; the hash of the key as the file has it.
        canonical_id: hex; the id that the bare key has.
        fingerprint: `sha256:<hex>` of the bare key's SubjectPublicKeyInfo.
        certificates: the bundle that the key came in, the signer's own first; empty for a bare key.
    """

    key_id: str
    canonical_id: str
    fingerprint: str
    certificates: tuple[x509.Certificate, ...] = field(compare=False)
    _key: SupportedKey = field(repr=False, compare=False)

    def verify(self, method: str, signature: bytes, message: bytes) -> None:
        """Verify one signature.

        Args:
            method: what the signature says it is; it only selects among what this type of key can do.
            signature: decoded.
            message: the canonical bytes.

        Raises:
            VerificationError: this key did not make that signature over that message in that way.
        """
        verify = _METHODS.get(method)
        if verify is None:
            raise _invalid(f"the signature method {quote(method, 40)} is not supported")
        try:
            verify(self._key, signature, message)
        except InvalidSignature as error:
            raise _invalid(f"the signature was not made by the key {self.canonical_id}") from error

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm with which the private half signs metadata; the same for every curve and size."""
        return _ALGORITHMS[self._type]

    def encode(self, signature: bytes) -> tuple[str, bytes]:
        """Return the method and the value with which metadata shows a signature of this key.

        Args:
            signature: by `algorithm`, ECDSA in DER.
        """
        if isinstance(self._key, ec.EllipticCurvePublicKey):
            size = (self._key.key_size + 7) // 8
            signature = b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(signature))
        return _SIGNING_METHODS[self._type], signature

    @property
    def _type(self) -> str:
        return _type_of(self._key)

    def check_dates(self, now: datetime) -> None:
        """Refuse a key whose certificate is not valid now; a bare key has no dates.

        Raises:
            VerificationError: it is not valid yet, or no longer.
        """
        if self.certificates:
            check_dates(self.certificates[0], now)

    @property
    def ends(self) -> datetime | None:
        """When the certificate ends that `check_dates` goes by; None for a bare key."""
        return self.certificates[0].not_valid_after_utc if self.certificates else None


def key_id(kind: str, public: bytes) -> str:
    """Return the id that Notary gives a key: the hash of its canonical JSON."""
    members = key_members(kind, public)
    return hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def canonical_id(key: SupportedKey) -> str:
    """Return the id that a bare key has, however it was written."""
    return bare_entry(key).key_id


def bare_entry(key: SupportedKey) -> KeyEntry:
    """Return a bare key as metadata lists it."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return KeyEntry("ed25519", key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    return KeyEntry(_type_of(key), key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def certificate_entry(certificate: x509.Certificate) -> KeyEntry:
    """Return a certificate as metadata lists it: PEM, with the last newline.

    Raises:
        InvalidKeyError: its key is of an unsupported kind or too weak.
    """
    try:
        key, _ = check_strength(read_certificate_key(certificate))
    except UNREADABLE as error:
        raise InvalidKeyError("the certificate holds a key of a kind that is not supported") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        raise InvalidKeyError("Notary has no certificates of Ed25519 keys; make a certificate of an ECDSA or RSA key")
    return KeyEntry(f"{_type_of(key)}-x509", certificate.public_bytes(Encoding.PEM))


def key_members(kind: str, public: bytes) -> dict[str, object]:
    """Return the entry of a key in metadata."""
    return {"keytype": kind, "keyval": {"private": None, "public": b64encode(public).decode()}}


def read_key(kind: str, public: bytes) -> MetadataKey:
    """Return the key of a metadata entry.

    Args:
        kind: its `keytype`.
        public: the decoded `public` of its `keyval`.

    Raises:
        InvalidKeyError: it is of an unknown type, does not parse or is too weak.
    """
    read = _KINDS.get(kind)
    if read is None:
        raise InvalidKeyError(f"the key type {quote(kind, 40)} is not supported")
    try:
        certificates, key = read(public)
    except UNREADABLE as error:
        raise InvalidKeyError(f"the key is not one of type {kind}") from error
    if isinstance(key, rsa.RSAPublicKey) != kind.startswith("rsa"):
        raise InvalidKeyError(f"the key is of another type than {kind}")
    usable, fingerprint = check_strength(key)
    return MetadataKey(key_id(kind, public), canonical_id(usable), fingerprint, certificates, usable)


def check_strength(key: object) -> tuple[SupportedKey, str]:
    """Return a key that may be used, and its fingerprint.

    Raises:
        InvalidKeyError: it is of an unsupported kind or too weak.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise InvalidKeyError("the key is neither ECDSA nor RSA nor Ed25519")
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return key, load_public_key(pem).fingerprint


def _read_bare(public: bytes) -> tuple[tuple[x509.Certificate, ...], object]:
    return (), read_spki(public)


def _read_certificates(public: bytes) -> tuple[tuple[x509.Certificate, ...], object]:
    certificates = tuple(x509.load_pem_x509_certificates(public))
    # All of them, as Go reads a bundle: one that cannot be read makes it none.
    key, *_others = [read_certificate_key(certificate) for certificate in certificates]
    return certificates, key


def _read_ed25519(public: bytes) -> tuple[tuple[x509.Certificate, ...], object]:
    return (), ed25519.Ed25519PublicKey.from_public_bytes(public)


_KINDS: Mapping[str, Callable[[bytes], tuple[tuple[x509.Certificate, ...], object]]] = {
    "ecdsa": _read_bare,
    "rsa": _read_bare,
    "ecdsa-x509": _read_certificates,
    "rsa-x509": _read_certificates,
    "ed25519": _read_ed25519,
}


def _verify_ecdsa(key: SupportedKey, signature: bytes, message: bytes) -> None:
    """Verify r and s, each as long as the curve, over SHA-256 for every curve."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise InvalidSignature
    half = (key.key_size + 7) // 8
    if len(signature) != 2 * half:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))


def _verify_pss(key: SupportedKey, signature: bytes, message: bytes) -> None:
    if not isinstance(key, rsa.RSAPublicKey):
        raise InvalidSignature
    key.verify(signature, message, _PSS, SHA256())


def _verify_pkcs1(key: SupportedKey, signature: bytes, message: bytes) -> None:
    if not isinstance(key, rsa.RSAPublicKey):
        raise InvalidSignature
    key.verify(signature, message, padding.PKCS1v15(), SHA256())


def _verify_ed25519(key: SupportedKey, signature: bytes, message: bytes) -> None:
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InvalidSignature
    key.verify(signature, message)


_METHODS: Mapping[str, Callable[[SupportedKey, bytes, bytes], None]] = {
    "ecdsa": _verify_ecdsa,
    "rsapss": _verify_pss,
    "rsapkcs1v15": _verify_pkcs1,
    "eddsa": _verify_ed25519,
}


# How this project signs: the strongest method that the server accepts for each type of key.
_SIGNING_METHODS = {"ecdsa": "ecdsa", "rsa": "rsapss", "ed25519": "eddsa"}
_ALGORITHMS = {"ecdsa": Algorithm.ECDSA_SHA_256, "rsa": Algorithm.RSA_PSS_SHA_256, "ed25519": Algorithm.ED25519}


def _type_of(key: SupportedKey) -> str:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    return "rsa" if isinstance(key, rsa.RSAPublicKey) else "ecdsa"


def _invalid(message: str) -> VerificationError:
    return VerificationError(message, reason=Reason.INVALID_SIGNATURE)
