"""DER written by hand, for structures that no library would make."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def element(tag: int, *contents: bytes) -> bytes:
    """Return an element around the contents."""
    content = b"".join(contents)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*members: bytes) -> bytes:
    """Return a SEQUENCE."""
    return element(0x30, *members)


def set_of(*members: bytes) -> bytes:
    """Return a SET OF, its members in the order of DER."""
    return element(0x31, *sorted(members))


def integer(number: int) -> bytes:
    """Return an INTEGER that is not negative."""
    return element(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def octets(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return element(0x04, content)


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = bytearray()
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return element(0x06, bytes(content))


def generalized_time(time: datetime) -> bytes:
    """Return a GeneralizedTime in whole seconds."""
    return element(0x18, f"{time:%Y%m%d%H%M%SZ}".encode())
