"""Private key files as docker and notary write and read them: PEM with the headers `role` and `gun`.

Source: notary, trustmanager/keys.go; the encryption is in `pkcs8`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from sealgate.errors import InvalidKeyError
from sealgate.formats.notary.private_keys.pkcs8 import decrypt_pkcs8, encrypt_pkcs8, load_pkcs8
from sealgate.formats.notary.wire.keys import UNREADABLE, KeyEntry, bare_entry, canonical_id
from sealgate.keys.algorithms import Algorithm
from sealgate.keys.public_keys import load_public_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealgate.clocks import Deadline
    from sealgate.keys.public_keys import PublicKey

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_BLOCK = re.compile(
    rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\s*((?:[A-Za-z-]+:[^\n]*\n)*)([A-Za-z0-9+/=\s]+)-----END \1-----", re.ASCII
)
_ENCRYPTED = b"ENCRYPTED PRIVATE KEY"
_PSS = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=SHA256.digest_size)
_LINE = 64


@dataclass(frozen=True, slots=True)
class LocalKey:
    """A private key in memory, as a `SigningKey`: it signs as Notary asks of its type.

    Attributes:
        public: the public half.
        name: the key for a person.
        private: the key.
    """

    public: PublicKey
    name: str
    private: PrivateKey

    @property
    def canonical_id(self) -> str:
        """The id that Notary gives the bare key."""
        return canonical_id(self.private.public_key())

    @property
    def entry(self) -> KeyEntry:
        """The bare public half as metadata lists it."""
        return bare_entry(self.private.public_key())

    def sign(self, message: bytes, deadline: Deadline) -> bytes:
        """Sign a message; ECDSA signatures are DER."""
        del deadline
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(message, ec.ECDSA(SHA256()))
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(message, _PSS, SHA256())
        return self.private.sign(message)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A private key file, not decrypted yet.

    Attributes:
        label: of the PEM block.
        headers: by name; docker and notary write `role` and, for snapshot and targets, `gun`.
        der: what the block holds.
    """

    label: str
    headers: dict[str, str]
    der: bytes = field(repr=False)

    @property
    def is_encrypted(self) -> bool:
        """Whether a passphrase is needed."""
        return self.label == _ENCRYPTED.decode()

    def open(self, passphrase: str | None) -> PrivateKey:
        """Return the private key.

        Args:
            passphrase: of an encrypted file; ignored for others.

        Raises:
            InvalidKeyError: the passphrase is wrong, or the file does not hold a key of a supported kind.
        """
        try:
            key = decrypt_pkcs8(self.der, passphrase or "") if self.is_encrypted else self._load()
        except (*UNREADABLE, IndexError) as error:
            raise InvalidKeyError(_WRONG if self.is_encrypted else "it does not hold a private key") from error
        if not isinstance(key, PrivateKey):
            raise InvalidKeyError("it holds a key that is neither ECDSA nor RSA nor Ed25519")
        return key

    def _load(self) -> object:
        if self.label == "PRIVATE KEY":
            return load_pkcs8(self.der)
        body = b64encode(self.der).decode()
        return load_pem_private_key(
            f"-----BEGIN {self.label}-----\n{body}\n-----END {self.label}-----\n".encode(), None
        )


_WRONG = "the passphrase is wrong, or the file is damaged"


def read_key_file(content: bytes) -> KeyFile:
    """Parse a private key file, without decrypting it.

    Args:
        content: the file; one PEM block, with or without headers. EC parameters before it are ignored.

    Raises:
        InvalidKeyError: it is not such a file.
    """
    blocks = _BLOCK.findall(content)
    if len(blocks) != 1:
        raise InvalidKeyError("it does not hold one private key in PEM (-----BEGIN ... PRIVATE KEY-----)")
    label, headers, body = blocks[0]
    pairs = (line.partition(":") for line in headers.decode("ascii", "replace").splitlines())
    found = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if "proc-type" in found:
        raise InvalidKeyError("it is encrypted in PEM's old way; convert it: openssl pkcs8 -topk8 -in key.pem")
    try:
        return KeyFile(label.decode(), found, b64decode(b"".join(body.split()), validate=True))
    except ValueError as error:
        raise InvalidKeyError("its base64 is damaged; copy the file again") from error


def write_key_file(key: PrivateKey, passphrase: str, role: str, gun: str = "") -> bytes:
    """Return a private key file that docker and notary read.

    Args:
        key: the private key.
        passphrase: not empty.
        role: `root`, `targets`, `snapshot`, or another name for delegations.
        gun: full name of the repository, for targets and snapshot; empty for keys of any repository.
    """
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    der = encrypt_pkcs8(pkcs8, passphrase)
    headers = "".join(f"{name}: {value}\n" for name, value in (("gun", gun), ("role", role)) if value)
    text = b64encode(der).decode()
    lines = "\n".join(text[start : start + _LINE] for start in range(0, len(text), _LINE))
    label = _ENCRYPTED.decode()
    return f"-----BEGIN {label}-----\n{headers}\n{lines}\n-----END {label}-----\n".encode()


def local_key(key: PrivateKey, name: str) -> LocalKey:
    """Return a private key as a signing key.

    Args:
        key: the private key.
        name: the key for a person.

    Raises:
        InvalidKeyError: it is too weak, or on another curve.
    """
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return LocalKey(load_public_key(pem, _algorithm_of(key)), name, key)


def open_key_file(file: KeyFile, passphrases: Iterable[str], name: str) -> LocalKey:
    """Return the key of a file, with the first passphrase that opens it.

    Args:
        file: the file.
        passphrases: to be tried in order, for an encrypted file.
        name: the file for a person.

    Raises:
        InvalidKeyError: none opens it, or the key cannot be used; the message names it.
    """
    refusal = "it is encrypted, and no passphrase is given"
    for passphrase in passphrases if file.is_encrypted else [None]:
        try:
            return local_key(file.open(passphrase), name)
        except InvalidKeyError as error:
            refusal = error.message
    raise InvalidKeyError(f"{name} cannot be used: {refusal}")


def _algorithm_of(key: PrivateKey) -> Algorithm:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return Algorithm.ECDSA_SHA_256
    return Algorithm.RSA_PSS_SHA_256 if isinstance(key, rsa.RSAPrivateKey) else Algorithm.ED25519
