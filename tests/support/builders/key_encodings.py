"""Keys written out by hand, for those that no library would make."""

from __future__ import annotations

import base64


def pem_of(der: bytes) -> str:
    """Return a PEM block around arbitrary bytes."""
    return f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(der).decode()}-----END PUBLIC KEY-----\n"


def compressed_p256(point: bytes) -> str:
    """Return the PEM of a P-256 key with a compressed point, as openssl writes it on request."""
    return pem_of(bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point)


def explicit_p256(point: bytes) -> str:
    """Return the PEM of a P-256 key that spells out its curve, as openssl does with `-param_enc explicit`.

    Args:
        point: uncompressed, 65 bytes.
    """
    p = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
    a, b = p - 3, 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    g = bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    field = _der(0x30, bytes.fromhex("06072a8648ce3d0101") + _integer(p))
    curve = _der(0x30, _der(0x04, a.to_bytes(32, "big")) + _der(0x04, b.to_bytes(32, "big")))
    parameters = _der(0x30, _integer(1) + field + curve + _der(0x04, g) + _integer(n) + _integer(1))
    algorithm = _der(0x30, bytes.fromhex("06072a8648ce3d0201") + parameters)
    return pem_of(_der(0x30, algorithm + _der(0x03, b"\0" + point)))


def rsa_pem(n: int, e: int) -> str:
    """Return the PEM of an RSA key with any numbers."""
    numbers = _der(0x30, _integer(n) + _integer(e))
    return pem_of(_der(0x30, bytes.fromhex("300d06092a864886f70d0101010500") + _der(0x03, b"\0" + numbers)))


def _integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


#: Key derivations of PBES2 (RFC 8018, RFC 7914), as DER.
PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
SCRYPT = bytes.fromhex("06092b06010401da47040b")


def pbes2(derivation: bytes, *numbers: int) -> bytes:
    """Return an encrypted PKCS#8 key whose derivation has these parameters after the salt; its content is zeros."""
    parameters = _der(0x30, _der(0x04, b"saltsalt") + b"".join(map(_integer, numbers)))
    encryption = _der(0x30, bytes.fromhex("060960864801650304012a") + _der(0x04, bytes(16)))
    schemes = _der(0x30, _der(0x30, derivation + parameters) + encryption)
    algorithm = _der(0x30, bytes.fromhex("06092a864886f70d01050d") + schemes)
    return _der(0x30, algorithm + _der(0x04, bytes(160)))


def pbes1(rounds: int) -> bytes:
    """Return a key that is encrypted as PKCS#12 does, with 3DES; its content is zeros."""
    parameters = _der(0x30, _der(0x04, b"saltsalt") + _integer(rounds))
    algorithm = _der(0x30, bytes.fromhex("060a2a864886f70d010c0103") + parameters)
    return _der(0x30, algorithm + _der(0x04, bytes(160)))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    length = bytes((size,)) if size < 0x80 else bytes((0x80 | len(octets),)) + octets
    return bytes((tag,)) + length + content
