"""Strict CBOR (RFC 8949): the part of it that signed envelopes are made of.

Two parsers that read the same bytes differently are a way around a signature, so only the one shortest, definite-length
spelling of each value is read: integers, byte and text strings, arrays, maps with unique integer or text keys, tags,
true, false and null. Floating-point numbers, indefinite lengths, other simple values and trailing bytes are refused.
A length is compared with the bytes that are there before anything is allocated, and nesting is bounded.

Functions raise `MalformedError`, as `sealgate.parsing.strict_json` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from sealgate.parsing.strict_json import malformed

#: Limit for the nesting of arrays, maps and tags; signed envelopes have fewer than six levels.
MAX_DEPTH = 16


class _Kind(IntEnum):
    """Major types (RFC 8949, 3.1)."""

    UNSIGNED = 0
    NEGATIVE = 1
    BYTES = 2
    TEXT = 3
    ARRAY = 4
    MAP = 5
    TAG = 6
    SIMPLE = 7


_SIMPLE_VALUES = {20: False, 21: True, 22: None}
#: The argument follows in 1, 2, 4 or 8 bytes; smaller ones are in the first byte itself.
_FOLLOWING = {24: 1, 25: 2, 26: 4, 27: 8}
_INLINE = 24

Value: TypeAlias = "int | bytes | str | bool | list[Value] | dict[int | str, Value] | Tagged | None"


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tagged value.

    Attributes:
        tag: the number of the tag.
        value: what is tagged.
    """

    tag: int
    value: Value


def decode(data: bytes, what: str) -> Value:
    """Decode one value and nothing else.

    Args:
        data: the exact bytes.
        what: name of the data for messages ("the envelope").

    Raises:
        MalformedError: they are anything else.
    """
    reader = _Reader(data, what)
    value = reader.value(0)
    if reader.position != len(data):
        raise malformed(what, "there are bytes after the value")
    return value


class _Reader:
    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self.position = 0

    def value(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise malformed(self._what, "it is nested too deeply")
        kind, argument = self._head()
        match kind:
            case _Kind.UNSIGNED:
                found: Value = argument
            case _Kind.NEGATIVE:
                found = -1 - argument
            case _Kind.BYTES:
                found = self._take(argument)
            case _Kind.TEXT:
                found = self._text(argument)
            case _Kind.ARRAY:
                self._require(argument)
                found = [self.value(depth + 1) for _ in range(argument)]
            case _Kind.MAP:
                found = self._map(argument, depth + 1)
            case _Kind.TAG:
                found = Tagged(argument, self.value(depth + 1))
            case _:
                found = self._simple(argument)
        return found

    def _simple(self, number: int) -> bool | None:
        if number not in _SIMPLE_VALUES:
            raise malformed(self._what, "it has a value that is neither true nor false nor null")
        return _SIMPLE_VALUES[number]

    def _map(self, length: int, depth: int) -> dict[int | str, Value]:
        self._require(length)
        found: dict[int | str, Value] = {}
        for _ in range(length):
            key = self.value(depth)
            if isinstance(key, bool) or not isinstance(key, int | str):
                raise malformed(self._what, "a key of a map is neither an integer nor a text")
            if key in found:
                raise malformed(self._what, "a map has a key twice")
            found[key] = self.value(depth)
        return found

    def _head(self) -> tuple[_Kind, int]:
        first = self._take(1)[0]
        kind, low = _Kind(first >> 5), first & 31
        if low < _INLINE:
            return kind, low
        if low not in _FOLLOWING or kind is _Kind.SIMPLE:
            raise malformed(self._what, "it has a value of indefinite length, or a floating-point number")
        size = _FOLLOWING[low]
        argument = int.from_bytes(self._take(size), "big")
        if argument < (_INLINE if size == 1 else 1 << (4 * size)):
            raise malformed(self._what, "a number is not written in its shortest form")
        return kind, argument

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise malformed(self._what, "a text is not UTF-8") from error

    def _take(self, length: int) -> bytes:
        self._require(length)
        start, self.position = self.position, self.position + length
        return self._data[start : self.position]

    def _require(self, length: int) -> None:
        """Refuse a length beyond the bytes that are left: each byte, and each element, takes one at least."""
        if length > len(self._data) - self.position:
            raise malformed(self._what, "it ends too early")


def encode(value: Value) -> bytes:
    """Return the encoding that `decode` reads; maps keep their order.

    Args:
        value: of the types that `decode` returns.
    """
    match value:
        case None | bool():
            number = next(number for number, known in _SIMPLE_VALUES.items() if known is value)
            encoded = _head(_Kind.SIMPLE, number)
        case int():
            encoded = _head(_Kind.UNSIGNED, value) if value >= 0 else _head(_Kind.NEGATIVE, -1 - value)
        case bytes():
            encoded = _head(_Kind.BYTES, len(value)) + value
        case str():
            text = value.encode()
            encoded = _head(_Kind.TEXT, len(text)) + text
        case Tagged():
            encoded = _head(_Kind.TAG, value.tag) + encode(value.value)
        case list():
            encoded = _head(_Kind.ARRAY, len(value)) + b"".join(encode(item) for item in value)
        case _:
            items = (encode(key) + encode(item) for key, item in value.items())
            encoded = _head(_Kind.MAP, len(value)) + b"".join(items)
    return encoded


def _head(kind: int, argument: int) -> bytes:
    if argument < _INLINE:
        return bytes([kind << 5 | argument])
    code, size = next((code, size) for code, size in _FOLLOWING.items() if argument < 1 << (8 * size))
    return bytes([kind << 5 | code]) + argument.to_bytes(size, "big")
