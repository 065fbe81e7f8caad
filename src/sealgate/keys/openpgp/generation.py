"""New OpenPGP keys that every tool of simple signing accepts: RSA, 3072 bits, and the primary key itself signs.

The OpenPGP library makes keys whose signing key is a subkey. Releases of skopeo and podman that are still in use refuse
signatures by subkeys (skopeo 1.9.3 was tried), and gpg before 2.1 has no Ed25519. So the few packets are written here
(RFC 4880, 5.5 and 5.2), and read back by the code that verifies with them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pysequoia
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA512

from sealgate.errors import InvalidKeyError
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.keys.openpgp.packets import Packet, Subpacket, Tag
from sealgate.keys.openpgp.signatures import certification_data, read_key
from sealgate.messages import quote

if TYPE_CHECKING:
    from datetime import datetime

_BITS = 3072
_VERSION, _RSA, _SHA512 = 4, 1, 10
_SECRET_KEY, _PUBLIC_KEY, _USER_ID = 5, 6, 13
_POSITIVE_CERTIFICATION = 0x13
_CERTIFY_AND_SIGN = 0x03
#: SHA-512, SHA-384, SHA-256: the hashes that signers of this key should choose from.
_HASHES = bytes([10, 9, 8])
_MAX_USER_ID = 256
#: How a secret half is encrypted: AES-256 with a key from SHA-256 over salt and passphrase, repeated up to the most
#: octets that OpenPGP can say (RFC 4880, 3.7.1.3), and checked by SHA-1, as OpenPGP prescribes.
_CHECKED_BY_SHA1, _AES256, _ITERATED_AND_SALTED, _SHA256 = 254, 9, 3, 8
_HASHED_OCTETS_CODE, _HASHED_OCTETS = 0xFF, 65_011_712
_SALT, _BLOCK = 8, 16


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key.

    Attributes:
        secret: the secret key, armored.
        public: the public half, armored.
        fingerprint: of the key, 40 upper-case hex digits.
    """

    secret: str
    public: str
    fingerprint: str


def generate_key(user_id: str, now: datetime, passphrase: bytes | None = None) -> NewKey:
    """Return a new key that never expires.

    Args:
        user_id: who the key belongs to, for people ("Release <release@example.org>"); 1 to 256 characters.
        now: when it is made, timezone-aware.
        passphrase: encrypts the secret half, with AES-256; None for a key that is not encrypted.

    Raises:
        InvalidKeyError: the user ID is empty, too long, or not printable text on one line.
    """
    if not 0 < len(user_id) <= _MAX_USER_ID or not user_id.isprintable():
        raise InvalidKeyError(f"{quote(user_id)} is not a user ID: write 1 to {_MAX_USER_ID} printable characters")
    private = rsa.generate_private_key(65537, _BITS)
    numbers = private.private_numbers()
    made = int(now.timestamp()).to_bytes(4, "big")
    public = bytes([_VERSION]) + made + bytes([_RSA])
    public += _number(numbers.public_numbers.n) + _number(numbers.public_numbers.e)
    user = user_id.encode()
    rest = bytes(Packet(_USER_ID, user)) + bytes(Packet(Tag.SIGNATURE, _self_signature(private, public, user, made)))
    certificate = bytes(Packet(_PUBLIC_KEY, public)) + rest
    secret = bytes(Packet(_SECRET_KEY, public + _secret_half(numbers, passphrase))) + rest
    (fingerprint,) = load_keyring(certificate).fingerprints
    return NewKey(
        pysequoia.armor(secret, pysequoia.ArmorKind.SecretKey),
        pysequoia.armor(certificate, pysequoia.ArmorKind.PublicKey),
        fingerprint,
    )


def _secret_half(numbers: rsa.RSAPrivateNumbers, passphrase: bytes | None) -> bytes:
    """Return the secret numbers with their checksum (RFC 4880, 5.5.3)."""
    # OpenPGP wants the inverse of its first prime modulo its second one; here it is the other way round.
    secret = b"".join(map(_number, (numbers.d, numbers.q, numbers.p, numbers.iqmp)))
    if passphrase is None:
        return b"\0" + secret + (sum(secret) % 65536).to_bytes(2, "big")
    salt, start = os.urandom(_SALT), os.urandom(_BLOCK)
    salted = salt + passphrase
    key = hashlib.sha256((salted * (_HASHED_OCTETS // len(salted) + 1))[:_HASHED_OCTETS]).digest()
    checked = secret + hashlib.sha1(secret, usedforsecurity=False).digest()
    head = bytes([_CHECKED_BY_SHA1, _AES256, _ITERATED_AND_SALTED, _SHA256])
    return head + salt + bytes([_HASHED_OCTETS_CODE]) + start + _encrypt(key, start, checked)


def _encrypt(key: bytes, start: bytes, data: bytes) -> bytes:
    """Encrypt in cipher feedback mode, which OpenPGP prescribes and `cryptography` is about to drop."""
    cipher = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - single blocks, chained below
    encrypted, block = b"", start
    for at in range(0, len(data), _BLOCK):
        piece = data[at : at + _BLOCK]
        block = bytes(one ^ other for one, other in zip(piece, cipher.update(block), strict=False))
        encrypted += block
    return encrypted


def _self_signature(private: rsa.RSAPrivateKey, public: bytes, user_id: bytes, made: bytes) -> bytes:
    """Return the body of the signature by which the key certifies its user ID, and itself to sign."""
    key = read_key(public)
    fingerprint = bytes.fromhex(key.fingerprint)
    hashed = (
        _subpacket(Subpacket.CREATED, made)
        + _subpacket(Subpacket.ISSUER_FINGERPRINT, bytes([_VERSION]) + fingerprint)
        + _subpacket(Subpacket.KEY_FLAGS, bytes([_CERTIFY_AND_SIGN]))
        + _subpacket(Subpacket.PREFERRED_HASHES, _HASHES)
    )
    head = bytes([_VERSION, _POSITIVE_CERTIFICATION, _RSA, _SHA512]) + len(hashed).to_bytes(2, "big") + hashed
    trailer = head + bytes([_VERSION, 0xFF]) + len(head).to_bytes(4, "big")
    digest = hashlib.sha512(certification_data(key, user_id) + trailer).digest()
    signature = private.sign(digest, padding.PKCS1v15(), Prehashed(SHA512()))
    unhashed = _subpacket(Subpacket.ISSUER, fingerprint[-8:])
    return head + len(unhashed).to_bytes(2, "big") + unhashed + digest[:2] + _number(int.from_bytes(signature, "big"))


def _number(number: int) -> bytes:
    """Return a multiprecision integer (RFC 4880, 3.2)."""
    bits = number.bit_length()
    return bits.to_bytes(2, "big") + number.to_bytes((bits + 7) // 8, "big")


def _subpacket(kind: int, body: bytes) -> bytes:
    return bytes([1 + len(body), kind]) + body
