"""Public keys written out by hand, for those that no library would make."""

from __future__ import annotations

import base64


def pem_of(der: bytes) -> str:
    """Return a PEM block around whatever bytes."""
    return f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(der).decode()}-----END PUBLIC KEY-----\n"


def compressed_p256(point: bytes) -> str:
    """Return the PEM of a P-256 key with a compressed point, as openssl writes it when asked to."""
    return pem_of(bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point)


def rsa_pem(n: int, e: int) -> str:
    """Return the PEM of an RSA key with any numbers."""
    numbers = _der(0x30, _integer(n) + _integer(e))
    return pem_of(_der(0x30, bytes.fromhex("300d06092a864886f70d0101010500") + _der(0x03, b"\0" + numbers)))


def _integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes((size,)) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return bytes((tag,)) + length + content
