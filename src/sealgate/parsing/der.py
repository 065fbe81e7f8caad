"""Strict reading of DER (ITU-T X.690): one encoding for each value, every length within its parent.

It reads structures that `cryptography` has no parser for. An element keeps its bytes, so that what is hashed or
verified is what was read. Lengths must be definite and as short as possible; tags of more than one byte are refused,
because none of the structures here has any. Nothing recurses: callers open one level at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BOOLEAN = 0x01
INTEGER = 0x02
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
UTF8_STRING = 0x0C
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

#: Limit for the members of one SEQUENCE or SET.
MAX_MEMBERS = 256

_MULTI_BYTE_TAG = 0x1F
_LONG_LENGTH = 0x80
_MAX_LENGTH_BYTES = 4
_CONTINUES = 0x80
_MAX_OID_BYTES = 64
_MAX_INTEGER_BYTES = 64


class MalformedDERError(ValueError):
    """Bytes are not the DER that they should be. Its text is a short phrase for a person."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element.

    Attributes:
        tag: its tag, one byte.
        content: the bytes of its value.
        encoded: the whole element, with tag and length.
    """

    tag: int
    content: bytes
    encoded: bytes

    def members(self) -> tuple[Element, ...]:
        """Return the elements inside.

        Raises:
            MalformedDERError: the content is not a series of at most `MAX_MEMBERS` elements.
        """
        found: list[Element] = []
        rest = self.content
        while rest:
            if len(found) == MAX_MEMBERS:
                raise MalformedDERError(f"an element has more than {MAX_MEMBERS} members")
            element, rest = _read_first(rest)
            found.append(element)
        return tuple(found)

    def require(self, tag: int) -> Element:
        """Return the element itself.

        Raises:
            MalformedDERError: it has another tag.
        """
        if self.tag != tag:
            raise MalformedDERError(f"the tag 0x{self.tag:02x} is where 0x{tag:02x} should be")
        return self


def context(number: int, *, constructed: bool = True) -> int:
    """Return the context-specific tag with that number, 0 to 30."""
    return (0xA0 if constructed else _CONTINUES) | number


def read_element(data: bytes) -> Element:
    """Read the one element that the bytes must be.

    Raises:
        MalformedDERError: they are not one element, or something is after it.
    """
    element, rest = _read_first(data)
    if rest:
        raise MalformedDERError("there is something after the end")
    return element


def read_sequence(element: Element, least: int, most: int = MAX_MEMBERS) -> tuple[Element, ...]:
    """Return the members of a SEQUENCE.

    Args:
        element: the element.
        least: the fewest members that it must have.
        most: the most members that it may have.

    Raises:
        MalformedDERError: it is another element, or has fewer or more members.
    """
    members = element.require(SEQUENCE).members()
    if not least <= len(members) <= most:
        raise MalformedDERError(f"a sequence has {len(members)} members")
    return members


def read_integer(element: Element) -> int:
    """Return the value of an INTEGER of at most 64 bytes.

    Raises:
        MalformedDERError: it is another element, or not in the shortest encoding.
    """
    content = element.require(INTEGER).content
    if not 1 <= len(content) <= _MAX_INTEGER_BYTES:
        raise MalformedDERError("an integer is empty or too long")
    if len(content) > 1 and (content[0], content[1] >> 7) in ((0x00, 0), (0xFF, 1)):
        raise MalformedDERError("an integer is longer than necessary")
    return int.from_bytes(content, "big", signed=True)


def read_boolean(element: Element) -> bool:
    """Return the value of a BOOLEAN.

    Raises:
        MalformedDERError: it is another element, or neither of the two encodings.
    """
    content = element.require(BOOLEAN).content
    if content not in (b"\x00", b"\xff"):
        raise MalformedDERError("a boolean is neither true nor false")
    return content == b"\xff"


def read_object_identifier(element: Element) -> str:
    """Return an OBJECT IDENTIFIER in dotted notation.

    Raises:
        MalformedDERError: it is another element, or not in the shortest encoding.
    """
    content = element.require(OBJECT_IDENTIFIER).content
    if not 1 <= len(content) <= _MAX_OID_BYTES or content[-1] & _CONTINUES:
        raise MalformedDERError("an object identifier is empty, too long or cut off")
    arcs = _arcs(content)
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))


def _arcs(content: bytes) -> Sequence[int]:
    arcs: list[int] = []
    value, starts = 0, True
    for byte in content:
        if starts and byte == _CONTINUES:
            raise MalformedDERError("an object identifier is longer than necessary")
        value = value << 7 | byte & ~_CONTINUES
        starts = not byte & _CONTINUES
        if starts:
            arcs.append(value)
            value = 0
    return arcs


def _read_first(data: bytes) -> tuple[Element, bytes]:
    """Return the first element of some bytes, and what follows it."""
    if len(data) < 2:  # noqa: PLR2004 - a tag and a length
        raise MalformedDERError("it is cut off")
    tag, length = data[0], data[1]
    if tag & _MULTI_BYTE_TAG == _MULTI_BYTE_TAG:
        raise MalformedDERError("a tag has more than one byte")
    start = 2
    if length >= _LONG_LENGTH:
        count = length & ~_LONG_LENGTH
        if not 1 <= count <= _MAX_LENGTH_BYTES:
            raise MalformedDERError("a length is indefinite or too long")
        start += count
        written = data[2:start]
        length = int.from_bytes(written, "big")
        if len(written) < count or written[0] == 0 or length < _LONG_LENGTH:
            raise MalformedDERError("a length is cut off or longer than necessary")
    end = start + length
    if end > len(data):
        raise MalformedDERError("it is cut off")
    return Element(tag, data[start:end], data[:end]), data[end:]
