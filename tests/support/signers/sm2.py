"""Signing with SM2 for tests: plain affine arithmetic, so that it shares nothing with the code that verifies.

::

    key = SM2PrivateKey.generate()
    signature = key.sign(b"message")                               # DER, as KMSs and openssl return it
    signature = key.sign(b"message", distinguishing_id=b"")        # what openssl 3.0 does without an id
    signature = key.sign_digest(sm3(b"message"))                   # a signer who forgot Z
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SM3, Hash

from tests.support.builders.key_encodings import pem_of

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
USUAL_ID = b"1234567812345678"

Point = tuple[int, int] | None


@dataclass(frozen=True)
class SM2PrivateKey:
    """A private key.

    Attributes:
        scalar: from 1 to n - 2.
    """

    scalar: int

    @classmethod
    def generate(cls) -> SM2PrivateKey:
        """Return a fresh key."""
        return cls(1 + secrets.randbelow(N - 2))

    @property
    def point(self) -> tuple[int, int]:
        """The public key."""
        point = multiply(self.scalar, G)
        assert point is not None
        return point

    @property
    def public_der(self) -> bytes:
        """The public key as SubjectPublicKeyInfo."""
        x, y = self.point
        return spki(x, y)

    @property
    def public_pem(self) -> str:
        """The public key as policies hold it."""
        return pem_of(self.public_der)

    def z(self, distinguishing_id: bytes = USUAL_ID) -> bytes:
        """Return the hash of id, curve and public key."""
        numbers = b"".join(number.to_bytes(32, "big") for number in (A, B, *G, *self.point))
        return sm3((8 * len(distinguishing_id)).to_bytes(2, "big") + distinguishing_id + numbers)

    def sign(self, message: bytes, distinguishing_id: bytes = USUAL_ID) -> bytes:
        """Return a signature over a message, DER."""
        return self.sign_digest(sm3(self.z(distinguishing_id) + message))

    def sign_digest(self, digest: bytes) -> bytes:
        """Return a DER signature over 32 bytes, used as SM3(Z || M)."""
        e = int.from_bytes(digest, "big")
        while True:
            k = 1 + secrets.randbelow(N - 1)
            point = multiply(k, G)
            assert point is not None
            r = (e + point[0]) % N
            s = pow(1 + self.scalar, -1, N) * (k - r * self.scalar) % N
            if r and s and (r + k) % N:
                return encode_dss_signature(r, s)


def spki(x: int, y: int) -> bytes:
    """Return the SubjectPublicKeyInfo of any two coordinates."""
    return PREFIX + b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")


def sm3(data: bytes) -> bytes:
    """Return the SM3 hash."""
    digest = Hash(SM3())
    digest.update(data)
    return digest.finalize()


def multiply(scalar: int, point: Point) -> Point:
    """Return a multiple of a point; None is infinity."""
    total: Point = None
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def add(one: Point, other: Point) -> Point:
    """Return the sum of two points."""
    if one is None or other is None:
        return one or other
    if one[0] == other[0] and (one[1] + other[1]) % P == 0:
        return None
    if one == other:
        slope = (3 * one[0] * one[0] + A) * pow(2 * one[1], -1, P)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, P)
    x = (slope * slope - one[0] - other[0]) % P
    return (x, (slope * (one[0] - x) - one[1]) % P)
