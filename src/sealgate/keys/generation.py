"""New private keys, and how they are written to files.

With a passphrase a key is written as cosign encrypts it (scrypt and NaCl's secretbox), because cosign reads private
keys in no other form, and because that form takes SM2 keys too, which `cryptography` cannot encrypt. Without one it is
written as PKCS#8, which openssl reads and `cosign import-key-pair` imports.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sealgate.keys.cosign_encryption import LABEL, encrypt_cosign_key
from sealgate.keys.pem import write_pem
from sealgate.keys.sm2_signing import SM2PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.keys.private_keys import AnyPrivateKey

_EXPONENT = 65537


class KeyType(StrEnum):
    """A type of key that can be made."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    ECDSA_P521 = "ecdsa-p521"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ED25519 = "ed25519"
    SM2 = "sm2"


_GENERATORS: Mapping[KeyType, Callable[[], AnyPrivateKey]] = {
    KeyType.ECDSA_P256: lambda: ec.generate_private_key(ec.SECP256R1()),
    KeyType.ECDSA_P384: lambda: ec.generate_private_key(ec.SECP384R1()),
    KeyType.ECDSA_P521: lambda: ec.generate_private_key(ec.SECP521R1()),
    KeyType.RSA_3072: lambda: rsa.generate_private_key(_EXPONENT, 3072),
    KeyType.RSA_4096: lambda: rsa.generate_private_key(_EXPONENT, 4096),
    KeyType.ED25519: ed25519.Ed25519PrivateKey.generate,
    KeyType.SM2: SM2PrivateKey.generate,
}


def generate_key(kind: KeyType) -> AnyPrivateKey:
    """Return a new private key; RSA takes up to some seconds."""
    return _GENERATORS[kind]()


def write_private_key(key: AnyPrivateKey, passphrase: bytes | None) -> bytes:
    """Return a private key in PEM.

    Args:
        key: the key.
        passphrase: encrypts it as cosign does, also if it is empty; None for a key that is not encrypted.
    """
    if isinstance(key, SM2PrivateKey):
        pkcs8 = key.pkcs8
    else:
        pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if passphrase is None:
        return write_pem("PRIVATE KEY", pkcs8)
    return write_pem(LABEL, encrypt_cosign_key(pkcs8, passphrase))
