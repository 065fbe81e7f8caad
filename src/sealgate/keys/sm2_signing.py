"""Signing with SM2 keys from files (GB/T 32918.2), and their encoding.

`cryptography` has no SM2 keys. The product of nonce and base point, and the arithmetic modulo the order, take the same
steps for every secret, but Python's integers do not take the same time for every value: keys that must
resist timing attacks from this machine belong in a KMS.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sealgate.errors import InvalidKeyError
from sealgate.keys.pem import write_pem
from sealgate.keys.sm2 import CURVE_OID, DEFAULT_ID, ORDER, SM2Key, base_multiple, public_der

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = 32
_INTEGER, _BIT_STRING, _OCTET_STRING, _SEQUENCE, _PARAMETERS, _PUBLIC = 0x02, 0x03, 0x04, 0x30, 0xA0, 0xA1
_EC_OID = bytes.fromhex("06072a8648ce3d0201")


@dataclass(frozen=True, slots=True)
class SM2PrivateKey:
    """An SM2 private key. Immutable, thread-safe.

    Attributes:
        scalar: the private key d, from 1 to n - 2.
    """

    scalar: int = field(repr=False)

    @classmethod
    def generate(cls) -> SM2PrivateKey:
        """Return a new key."""
        return cls(1 + secrets.randbelow(ORDER - 2))

    @property
    def public_pem(self) -> bytes:
        """The public key in PEM (`PUBLIC KEY`), uncompressed."""
        return write_pem("PUBLIC KEY", public_der(*base_multiple(self.scalar)))

    @property
    def pkcs8(self) -> bytes:
        """The key as PKCS#8, DER, as openssl 3 writes it."""
        point = public_der(*base_multiple(self.scalar))[-(2 * _SIZE + 1) :]
        public = _element(_PUBLIC, _element(_BIT_STRING, b"\0" + point))
        key = _element(
            _SEQUENCE,
            _element(_INTEGER, b"\1") + _element(_OCTET_STRING, self.scalar.to_bytes(_SIZE, "big")) + public,
        )
        algorithm = _element(_SEQUENCE, _EC_OID + CURVE_OID)
        return _element(_SEQUENCE, _element(_INTEGER, b"\0") + algorithm + _element(_OCTET_STRING, key))

    def signer(self, distinguishing_id: str = DEFAULT_ID) -> Callable[[bytes], bytes]:
        """Return the function from a message to its signature, DER.

        Args:
            distinguishing_id: 1 to 128 bytes in UTF-8; signed with every message.
        """
        public = SM2Key(public_der(*base_multiple(self.scalar)), distinguishing_id)
        return lambda message: self._sign(public.message_number(message))

    def _sign(self, e: int) -> bytes:
        while True:
            k = 1 + secrets.randbelow(ORDER - 1)
            r = (e + base_multiple(k)[0]) % ORDER
            s = pow(1 + self.scalar, -1, ORDER) * (k - r * self.scalar) % ORDER
            if r and s and (r + k) % ORDER:
                return encode_dss_signature(r, s)


def read_sm2_private_key(der: bytes) -> SM2PrivateKey | None:
    """Return the SM2 key in PKCS#8 or SEC1 DER; None if it is not an SM2 key.

    Raises:
        InvalidKeyError: it is an SM2 key that is malformed.
    """
    if CURVE_OID not in der:
        return None
    try:
        scalar = _read(der)
    except (ValueError, IndexError) as error:
        raise InvalidKeyError("the SM2 private key is malformed; export it again") from error
    if not 1 <= scalar <= ORDER - 2:
        raise InvalidKeyError("the SM2 private key is not a number that a key can be; make a new key")
    return SM2PrivateKey(scalar)


def _read(der: bytes) -> int:
    version, after = _take(_take(der, _SEQUENCE)[0], _INTEGER)
    if version == b"\1":
        return _read_sec1(der)
    algorithm, after = _take(after, _SEQUENCE)
    if algorithm != _EC_OID + CURVE_OID:
        raise ValueError("not an SM2 key")
    return _read_sec1(_take(after, _OCTET_STRING)[0])


def _read_sec1(der: bytes) -> int:
    version, after = _take(_take(der, _SEQUENCE)[0], _INTEGER)
    private, after = _take(after, _OCTET_STRING)
    if version != b"\1" or len(private) != _SIZE:
        raise ValueError("not version 1, or of another size")
    if after[:1] == bytes((_PARAMETERS,)):
        curve, after = _take(after, _PARAMETERS)
        if curve != CURVE_OID:
            raise ValueError("on another curve")
    return int.from_bytes(private, "big")


def _take(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the first element, which must have that tag, and what follows the element."""
    if data[0] != tag:
        raise ValueError("another element")
    length, start = data[1], 2
    if length == 0x81:  # noqa: PLR2004 - DER: one byte of length follows
        length, start = data[2], 3
    if (length >= 0x80 and start == 2) or len(data) < start + length:  # noqa: PLR2004 - no key of SM2 is longer
        raise ValueError("a length that is not right")
    return data[start : start + length], data[start + length :]


def _element(tag: int, content: bytes) -> bytes:
    length = len(content)
    head = bytes((tag, length)) if length < 0x80 else bytes((tag, 0x81, length))  # noqa: PLR2004 - DER's long form
    return head + content
