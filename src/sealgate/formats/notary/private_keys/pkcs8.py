"""Encrypted PKCS#8 with the one set of parameters that docker and notary have (RFC 8018, 6.2).

PBES2 with AES-256-CBC, and PBKDF2 with HMAC-SHA1. Both programs take the hash for granted and ignore what a file says
about it, so that a file that `cryptography` encrypts is unreadable for them. And they write EC keys as PKCS#8 of
version 1, which `cryptography` refuses.

Source: notary, tuf/utils/pkcs8.go.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_der_private_key

from sealgate.keys.encrypted_keys import check_work

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")
_SEQUENCE, _INTEGER, _OCTETS, _LONG_LENGTH = 0x30, 0x02, 0x04, 0x80
_ROUNDS, _SALT_BYTES, _KEY_BYTES, _BLOCK_BYTES = 2048, 8, 32, 16
_VERSION_1, _VERSION_0 = b"\x02\x01\x01", b"\x02\x01\x00"


def load_pkcs8(der: bytes) -> PrivateKeyTypes:
    """Return the key in a PKCS#8 PrivateKeyInfo of version 0 or 1.

    Raises:
        ValueError: it is not one.
        IndexError: it ends too early.
        UnsupportedAlgorithm: the key is of a kind that `cryptography` does not have.
    """
    header = _header_length(der)
    if der[header : header + len(_VERSION_1)] == _VERSION_1:
        der = der[:header] + _VERSION_0 + der[header + len(_VERSION_1) :]
    return load_der_private_key(der, None)


def decrypt_pkcs8(der: bytes, passphrase: str) -> PrivateKeyTypes:
    """Return the key in an EncryptedPrivateKeyInfo, with the clients' parameters or those that `cryptography` knows.

    Raises:
        InvalidKeyError: to undo its encryption takes too long.
        ValueError: the passphrase is wrong, or it is not one.
        IndexError: it ends too early.
        UnsupportedAlgorithm: its encryption, or the key, is of a kind that is not supported.
    """
    check_work(der)
    parameters = _read_parameters(der)
    if parameters is None:
        return load_der_private_key(der, passphrase.encode())
    salt, rounds, vector, encrypted = parameters
    decryptor = _cipher(passphrase, salt, rounds, vector).decryptor()
    unpadder = PKCS7(8 * _BLOCK_BYTES).unpadder()
    padded = decryptor.update(encrypted) + decryptor.finalize()
    return load_pkcs8(unpadder.update(padded) + unpadder.finalize())


def encrypt_pkcs8(der: bytes, passphrase: str) -> bytes:
    """Return an EncryptedPrivateKeyInfo of a PrivateKeyInfo."""
    salt, vector = os.urandom(_SALT_BYTES), os.urandom(_BLOCK_BYTES)
    padder = PKCS7(8 * _BLOCK_BYTES).padder()
    encryptor = _cipher(passphrase, salt, _ROUNDS, vector).encryptor()
    encrypted = encryptor.update(padder.update(der) + padder.finalize()) + encryptor.finalize()
    rounds = _element(_INTEGER, _ROUNDS.to_bytes(2, "big"))
    derivation = _PBKDF2 + _element(_SEQUENCE, _element(_OCTETS, salt) + rounds)
    encryption = _AES_256_CBC + _element(_OCTETS, vector)
    schemes = _element(_SEQUENCE, _element(_SEQUENCE, derivation) + _element(_SEQUENCE, encryption))
    return _element(_SEQUENCE, _element(_SEQUENCE, _PBES2 + schemes) + _element(_OCTETS, encrypted))


def _cipher(passphrase: str, salt: bytes, rounds: int, vector: bytes) -> Cipher[modes.CBC]:
    key = hashlib.pbkdf2_hmac("sha1", passphrase.encode(), salt, rounds, _KEY_BYTES)
    return Cipher(algorithms.AES256(key), modes.CBC(vector))


def _read_parameters(der: bytes) -> tuple[bytes, int, bytes, bytes] | None:
    """Return salt, rounds, initialisation vector and encrypted key of PBES2 with the clients' parameters.

    None for other parameters, which `cryptography` knows.

    Raises:
        ValueError: it is not DER.
    """
    (_, outer), *_ = _elements(der)
    (_, algorithm), (_, encrypted) = _elements(outer)
    if not algorithm.startswith(_PBES2):
        return None
    (_, schemes), *_ = _elements(algorithm[len(_PBES2) :])
    (_, derivation), (_, encryption) = _elements(schemes)
    if not derivation.startswith(_PBKDF2) or not encryption.startswith(_AES_256_CBC):
        return None
    (_, values), *_ = _elements(derivation[len(_PBKDF2) :])
    (_, salt), (tag, rounds), *others = _elements(values)
    if tag != _INTEGER:
        raise ValueError("the number of rounds is not a number")
    if any(tag == _SEQUENCE for tag, _ in others):
        return None  # it names another hash than SHA-1
    (_, vector), *_ = _elements(encryption[len(_AES_256_CBC) :])
    return salt, int.from_bytes(rounds, "big"), vector, encrypted


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each DER element."""
    found = []
    while data:
        start = _header_length(data)
        length = data[1] if data[1] < _LONG_LENGTH else int.from_bytes(data[2:start], "big")
        if start + length > len(data):
            raise ValueError("a DER element ends after its parent")
        found.append((data[0], data[start : start + length]))
        data = data[start + length :]
    return found


def _header_length(data: bytes) -> int:
    """Return the length of a DER element's header."""
    return 2 if data[1] < _LONG_LENGTH else 2 + (data[1] & ~_LONG_LENGTH)


def _element(tag: int, content: bytes) -> bytes:
    if len(content) < _LONG_LENGTH:
        return bytes([tag, len(content)]) + content
    size = (len(content).bit_length() + 7) // 8
    return bytes([tag, _LONG_LENGTH | size]) + len(content).to_bytes(size, "big") + content
