"""Verifying SM2 signatures with SM3 (GB/T 32918.2), which `cryptography` has no key type for.

Verification handles only what is public (key, signature, message), so it need not take constant time. What is secret in
SM2, the signing, is in `sealgate.keys.sm2_signing`; of this module it uses `base_multiple`. The signer's distinguishing
id is part of what is signed: it goes into Z, and e = SM3(Z || M). Two ids are two different keys, so to speak; the
policy says which, and no second one is tried.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SM3, Hash

#: The default ID of GM/T 0009, used by every signer that is not given another.
DEFAULT_ID = "1234567812345678"
#: The most bytes of a distinguishing id.
MAX_ID_BYTES = 128
#: Object identifier 1.2.156.10197.1.301, the curve sm2p256v1, in DER.
CURVE_OID = bytes.fromhex("06082a811ccf5501822d")

# Every public key on the curve, uncompressed, is this and 64 bytes: comparing with it is all the parsing there is.
_PREFIX = bytes.fromhex("3059301306072a8648ce3d0201") + CURVE_OID + bytes.fromhex("03420004")
_SIZE = 32

_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_A = _P - 3
_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
#: The order of the curve's group.
ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)

#: Jacobian coordinates: x = X/Z², y = Y/Z³; Z is 0 at infinity and nowhere else.
_Point = tuple[int, int, int]
_INFINITY: _Point = (1, 1, 0)


class SM2Key:
    """A public key together with the distinguishing id of its owner. Immutable, thread-safe.

    Args:
        der: its SubjectPublicKeyInfo.
        distinguishing_id: 1 to 128 bytes in UTF-8.

    Attributes:
        z: Z, the hash of id, curve and key: what is signed is SM3(Z || message) (GB/T 32918.2, 5.5).

    Raises:
        ValueError: it is no SM2 key in its one spelling (uncompressed), its point is not on the curve, or the id is
            empty or too long.
    """

    def __init__(self, der: bytes, distinguishing_id: str = DEFAULT_ID) -> None:
        if len(der) != len(_PREFIX) + 2 * _SIZE or not der.startswith(_PREFIX):
            raise ValueError("it is not spelt as an uncompressed SM2 key is")
        coordinates = der[len(_PREFIX) :]
        x, y = int.from_bytes(coordinates[:_SIZE], "big"), int.from_bytes(coordinates[_SIZE:], "big")
        if x >= _P or y >= _P or (y * y - (x * x + _A) * x - _B) % _P:
            raise ValueError("its point is not on the curve")
        self._point = (x, y)
        self.z = _digest(_entitled(distinguishing_id), *map(_bytes, (_A, _B, *_G, x, y)))

    def verify(self, signature: bytes, message: bytes) -> None:
        """Verify a signature: DER, the shortest spelling of r and s, both from 1 to n - 1.

        Raises:
            InvalidSignature: it does not fit.
        """
        try:
            r, s = decode_dss_signature(signature)
        except ValueError as error:
            raise InvalidSignature from error
        t = (r + s) % ORDER
        if not (0 < r < ORDER and 0 < s < ORDER) or t == 0:
            raise InvalidSignature
        x = _affine_x(_sum_of_products(s, _G, t, self._point))
        if x is None or (self.message_number(message) + x) % ORDER != r:
            raise InvalidSignature

    def message_number(self, message: bytes) -> int:
        """Return e = SM3(Z || M), which a signature of a message is about."""
        return int.from_bytes(_digest(self.z, message), "big")


def public_der(x: int, y: int) -> bytes:
    """Return the SubjectPublicKeyInfo of a point, uncompressed."""
    return _PREFIX + _bytes(x) + _bytes(y)


def base_multiple(scalar: int) -> tuple[int, int]:
    """Return the affine coordinates of a multiple of the base point, with the same steps for every scalar.

    Args:
        scalar: from 1 to the order - 1.
    """
    # The same multiple, always of 257 bits, so that the number of steps does not depend on the scalar.
    fixed = scalar + ORDER
    fixed += ORDER if fixed.bit_length() <= ORDER.bit_length() else 0
    total: _Point = (*_G, 1)
    for bit in range(fixed.bit_length() - 2, -1, -1):
        total = _double(total)
        total = (total, _add(total, (*_G, 1)))[fixed >> bit & 1]
    x, y, z = total
    inverse = pow(z, -1, _P)
    return x * inverse * inverse % _P, y * inverse * inverse * inverse % _P


def _entitled(distinguishing_id: str) -> bytes:
    """Return the id behind its length in bits, two bytes."""
    raw = distinguishing_id.encode()
    if not 1 <= len(raw) <= MAX_ID_BYTES:
        raise ValueError(f"a distinguishing id has 1 to {MAX_ID_BYTES} bytes")
    return (8 * len(raw)).to_bytes(2, "big") + raw


def _bytes(number: int) -> bytes:
    return number.to_bytes(_SIZE, "big")


def _digest(*parts: bytes) -> bytes:
    sm3 = Hash(SM3())
    for part in parts:
        sm3.update(part)
    return sm3.finalize()


def _affine_x(point: _Point) -> int | None:
    x, _, z = point
    return x * pow(z * z, -1, _P) % _P if z else None


def _sum_of_products(scalar: int, point: tuple[int, int], other_scalar: int, other: tuple[int, int]) -> _Point:
    # Both products in one pass over the bits, which halves the doublings.
    one, two = (*point, 1), (*other, 1)
    choices = (_INFINITY, one, two, _add(one, two))
    total = _INFINITY
    for bit in range(max(scalar.bit_length(), other_scalar.bit_length()) - 1, -1, -1):
        total = _double(total)
        choice = (scalar >> bit & 1) | (other_scalar >> bit & 1) << 1
        if choice:
            total = _add(total, choices[choice])
    return total


def _double(point: _Point) -> _Point:
    # A point of order two would need y = 0; the curve's order is prime, so there is none. Infinity stays infinity.
    x, y, z = point
    square = y * y % _P
    beta = x * square % _P
    slope = 3 * (x - z * z) * (x + z * z) % _P  # a is -3
    new_x = (slope * slope - 8 * beta) % _P
    return (new_x, (slope * (4 * beta - new_x) - 8 * square * square) % _P, 2 * y * z % _P)


def _add(one: _Point, other: _Point) -> _Point:
    x1, y1, z1 = one
    x2, y2, z2 = other
    if not z1 or not z2:
        return other if not z1 else one
    z1z1, z2z2 = z1 * z1 % _P, z2 * z2 % _P
    u1, s1 = x1 * z2z2 % _P, y1 * z2 * z2z2 % _P
    h, r = (x2 * z1z1 - u1) % _P, (y2 * z1 * z1z1 - s1) % _P
    if not h:
        return _double(one) if not r else _INFINITY
    hh = h * h % _P
    hhh, v = h * hh % _P, u1 * hh % _P
    x = (r * r - hhh - 2 * v) % _P
    return (x, (r * (v - x) - s1 * hhh) % _P, z1 * z2 * h % _P)
