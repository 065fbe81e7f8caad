"""Ed25519ph (RFC 8032): Ed25519 over the SHA-512 of the message, which `cryptography` does not offer.

cosign 3 signs this way with Ed25519 keys. It is another algorithm than Ed25519, with the same keys: a signature of the
one never verifies as the other. Verification handles no secrets, so that Python's uneven timing gives nothing
away; for signing see `sign_ed25519ph`.

Points are in extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature

_Point = tuple[int, int, int, int]

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_IDENTITY: _Point = (0, 1, 1, 0)
_HALF = 32
# dom2(1, ""): what keeps Ed25519ph apart from Ed25519, with the empty context.
_DOMAIN = b"SigEd25519 no Ed25519 collisions\x01\x00"


class Ed25519phKey:
    """A public key for Ed25519ph.

    Args:
        raw: the key's 32 bytes.

    Raises:
        ValueError: they are not a point of the curve, or one of the few that any signature fits.
    """

    def __init__(self, raw: bytes) -> None:
        x, y, z, t = check_point(raw)
        self._raw = raw
        self._negative: _Point = (-x % _P, y, z, -t % _P)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Verify a signature: S·B - h·A, encoded, must be exactly its first half.

        Raises:
            InvalidSignature: it does not fit.
        """
        scalar = int.from_bytes(signature[_HALF:], "little")
        if len(signature) != 2 * _HALF or scalar >= _ORDER:
            raise InvalidSignature
        commitment = signature[:_HALF]
        hashed = hashlib.sha512(_DOMAIN + commitment + self._raw + hashlib.sha512(message).digest()).digest()
        challenge = int.from_bytes(hashed, "little") % _ORDER
        if _encode(_sum_of_products(scalar, _BASE, challenge, self._negative)) != commitment:
            raise InvalidSignature


def sign_ed25519ph(seed: bytes, message: bytes) -> bytes:
    """Sign a message (RFC 8032, 5.1.6, with the empty context); the nonce follows from key and message.

    The products take the same steps for every secret; the time that Python's integers take may still differ a little.

    Args:
        seed: the private key's 32 bytes.
        message: the exact bytes, before any hash.
    """
    expanded, hashed = hashlib.sha512(seed).digest(), hashlib.sha512(message).digest()
    secret = int.from_bytes(expanded[:_HALF], "little") & ((1 << 254) - 8) | 1 << 254
    public = _encode(_base_multiple(secret))
    nonce = int.from_bytes(hashlib.sha512(_DOMAIN + expanded[_HALF:] + hashed).digest(), "little") % _ORDER
    commitment = _encode(_base_multiple(nonce))
    challenge = int.from_bytes(hashlib.sha512(_DOMAIN + commitment + public + hashed).digest(), "little")
    return commitment + ((nonce + challenge * secret) % _ORDER).to_bytes(_HALF, "little")


def check_point(raw: bytes) -> _Point:
    """Decode a public key's point.

    Raises:
        ValueError: it is not on the curve, not in its one spelling, or of small order.
    """
    point = _decode(raw)
    multiple = point
    for _ in range(3):
        multiple = _add(multiple, multiple)
    if _encode(multiple) == _encode(_IDENTITY):
        raise ValueError("a point of small order is no public key")
    return point


def _decode(raw: bytes) -> _Point:
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if len(raw) != _HALF or y >= _P:
        raise ValueError("not a point in its one spelling")
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if x * x % _P != square or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    if x & 1 != sign:
        x = _P - x
    return (x, y, 1, x * y % _P)


def _encode(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(_HALF, "little")


def _add(one: _Point, other: _Point) -> _Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _sum_of_products(scalar: int, point: _Point, other_scalar: int, other_point: _Point) -> _Point:
    # Both products in one pass over the bits, which halves the doublings.
    choices = (_IDENTITY, point, other_point, _add(point, other_point))
    total = _IDENTITY
    for bit in range(max(scalar.bit_length(), other_scalar.bit_length()) - 1, -1, -1):
        total = _add(total, total)
        choice = (scalar >> bit & 1) | (other_scalar >> bit & 1) << 1
        if choice:
            total = _add(total, choices[choice])
    return total


def _base_multiple(scalar: int) -> _Point:
    total = _IDENTITY
    for bit in range(255, -1, -1):
        total = _add(total, total)
        total = (total, _add(total, _BASE))[scalar >> bit & 1]
    return total


_BASE = _decode((4 * pow(5, -1, _P) % _P).to_bytes(_HALF, "little"))
