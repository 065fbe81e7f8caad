"""Strict parsing of JSON from outside: payloads, bundles, manifests, responses of services.

Two parsers that read the same bytes differently are a way around a signature, so ambiguous JSON is refused: a
duplicate member, NaN and Infinity, numbers outside what all parsers agree on, bytes that are not UTF-8, an unpaired
surrogate, anything after the value. Values that are too large or nested too deeply are refused as well, before they
cost much.

Every function raises `MalformedError` (`TooLargeError` for size); `sealgate.parsing.evidence` has the same functions
for evidence about an image. Values are plain `object`; the `*_member` functions check the type of one member and say
what is wrong where.
"""

from __future__ import annotations

import binascii
import json
import math
from base64 import b64encode
from typing import TYPE_CHECKING, Any, NoReturn

from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Default limit for the size of one document, in bytes.
MAX_BYTES = 1 << 20
#: Limit for the nesting of arrays and objects; real evidence has fewer than ten levels.
MAX_DEPTH = 32
#: Limit for the length of one number, in characters; 64-bit integers with a sign have 20.
MAX_NUMBER = 40

_MAX_INT = 2**64 - 1


class MalformedError(ValueError):
    """Data from outside is not what it should be. Its text is one line for a person, foreign text quoted."""


class TooLargeError(MalformedError):
    """Data from outside is larger than its limit."""


def malformed(what: str, why: str) -> MalformedError:
    """Return the error for data from outside that is not what it should be.

    Args:
        what: name of the data for a person ("payload").
        why: what is wrong with it, foreign text already quoted.
    """
    return MalformedError(f"{what} is malformed: {why}")


def parse(data: bytes, what: str, *, limit: int = MAX_BYTES) -> object:
    """Parse one JSON value and nothing else.

    Args:
        data: the exact bytes, UTF-8.
        what: name of the data for messages ("payload").
        limit: limit for the size, in bytes.

    Raises:
        TooLargeError: the data is larger than the limit.
        MalformedError: the data is not unambiguous JSON.
    """
    if len(data) > limit:
        raise TooLargeError(f"{what} is larger than {limit} bytes")
    try:
        value: object = _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise malformed(what, "it is not UTF-8") from error
    except RecursionError as error:
        raise malformed(what, "it is nested too deeply") from error
    except _UnwantedError as error:
        raise malformed(what, str(error)) from error
    except json.JSONDecodeError as error:
        raise malformed(what, f"it is not JSON ({quote(error.msg, 80)} at character {error.pos})") from error
    # Only an escape can make an unpaired surrogate, and only many brackets a deep value. Most documents have neither
    # and need no second pass.
    if b"\\u" in data or data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _walk(value, what)
    return value


def parse_next(text: str, start: int, what: str) -> tuple[object, int]:
    """Parse the JSON value that begins at a position of a text; return it and the position behind it.

    Unlike `parse` it limits neither size nor depth and lets unpaired surrogates pass: it is for the user's own files.

    Args:
        text: the text.
        start: position of the value's first character; no white space is skipped.
        what: name of the data for messages.

    Raises:
        MalformedError: no unambiguous JSON value begins there.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except (_UnwantedError, json.JSONDecodeError, RecursionError) as error:
        raise malformed(what, quote(error, 80)) from error


def parse_object(data: bytes, what: str, *, limit: int = MAX_BYTES) -> Mapping[str, object]:
    """Parse one JSON object and nothing else.

    Raises:
        MalformedError: see `parse`; or the value is not an object.
    """
    return as_object(parse(data, what, limit=limit), what)


def as_object(value: object, what: str) -> Mapping[str, object]:
    """Return the value, which must be a JSON object.

    Raises:
        MalformedError: it is another value.
    """
    if not isinstance(value, dict):
        raise malformed(what, f"it should be an object and is {_kind(value)}")
    return value


def object_member(parent: Mapping[str, object], name: str, what: str) -> Mapping[str, object]:
    """Return a required member that must be an object.

    Raises:
        MalformedError: it is missing or of another type.
    """
    value = parent.get(name)
    if isinstance(value, dict):
        return value  # nearly always, and then no message is needed
    return as_object(_required(parent, name, what), f"{name} of {what}")


def list_member(parent: Mapping[str, object], name: str, what: str) -> list[object]:
    """Return a required member that must be a list.

    Raises:
        MalformedError: it is missing or of another type.
    """
    value = _required(parent, name, what)
    if not isinstance(value, list):
        raise malformed(what, f"{name} should be a list and is {_kind(value)}")
    return value


def text_member(parent: Mapping[str, object], name: str, what: str) -> str:
    """Return a required member that must be a string.

    Raises:
        MalformedError: it is missing or of another type.
    """
    value = parent.get(name)
    if isinstance(value, str):
        return value
    raise malformed(what, f"{name} should be a string and is {_kind(_required(parent, name, what))}")


def optional_text(parent: Mapping[str, object], name: str, what: str) -> str | None:
    """Return an optional member that must be a string; None if it is missing.

    Raises:
        MalformedError: it is not a string (null is not one).
    """
    return text_member(parent, name, what) if name in parent else None


def base64_member(parent: Mapping[str, object], name: str, what: str) -> bytes:
    """Return the bytes of a required member that must be standard base64.

    Raises:
        MalformedError: it is missing or of another type.
    """
    return decode_base64(text_member(parent, name, what), f"{name} of {what}")


def decode_base64(text: str, what: str) -> bytes:
    """Decode standard base64 in its one canonical spelling: padded, no white space, no stray bits.

    Raises:
        MalformedError: the text is not in that spelling.
    """
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise malformed(what, "it is not base64") from error
    if b64encode(raw) != text.encode("ascii"):
        raise malformed(what, "it is not base64 in its canonical spelling")
    return raw


def only_members(parent: Mapping[str, object], allowed: Iterable[str], what: str) -> None:
    """Refuse unknown members.

    Raises:
        MalformedError: a member is not among the allowed ones.
    """
    unknown = set(parent).difference(allowed)
    if unknown:
        raise malformed(what, f"it has the unknown member {quote(min(unknown), 80)}")


class _UnwantedError(Exception):
    """JSON that Python's parser accepts and sealgate refuses."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"duplicate key {quote(twice, 80)}"
        raise _UnwantedError(msg)
    return members


def _integer(text: str) -> int:
    # The length first: the time to convert digits grows faster than their number.
    if len(text) > MAX_NUMBER or abs(int(text)) > _MAX_INT:
        msg = "a number has more than 64 bits"
        raise _UnwantedError(msg)
    return int(text)


def _float(text: str) -> float:
    if len(text) > MAX_NUMBER or not math.isfinite(float(text)):
        msg = "a number is larger or longer than programs agree on"
        raise _UnwantedError(msg)
    return float(text)


def _constant(text: str) -> NoReturn:
    msg = f"{text} is not a number in JSON"
    raise _UnwantedError(msg)


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float, parse_constant=_constant)


def _walk(value: object, what: str) -> None:
    layer: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        if any(isinstance(item, str) and not _is_text(item) for item in layer):
            raise malformed(what, "a string has half a surrogate pair")
        inner = [item for item in layer if isinstance(item, dict | list)]
        if not inner:
            return
        layer = [child for item in inner for child in item]
        layer += [child for item in inner if isinstance(item, dict) for child in item.values()]
    raise malformed(what, f"it is nested more than {MAX_DEPTH} deep")


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _required(parent: Mapping[str, object], name: str, what: str) -> object:
    if name not in parent:
        raise malformed(what, f"{name} is missing")
    return parent[name]


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names[type(value)]
