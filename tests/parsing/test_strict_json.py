"""Untrusted JSON is read only if it is one unambiguous value within the limits of size and depth."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.parsing.strict_json import (
    MAX_BYTES,
    MAX_DEPTH,
    MalformedError,
    TooLargeError,
    base64_member,
    decode_base64,
    list_member,
    object_member,
    only_members,
    optional_text,
    parse,
    parse_object,
    text_member,
)
from tests.support.examples import examples
from tests.support.rows import row

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=examples(150), deadline=None)
@given(JSON, st.booleans())
def test_valid_json_is_read(value: object, ascii_only: bool) -> None:  # noqa: FBT001 - hypothesis draws it
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert parse(b" \n" + data + b"\t\r\n", "the payload") == value


REFUSED: list[tuple[bytes, str]] = [
    (b"", "not JSON"),
    (b" ", "not JSON"),
    (b"{", "not JSON"),
    (b"{} {}", "not JSON"),
    (b"{}\0", "not JSON"),
    (b"{}garbage", "not JSON"),
    (b"{'a': 1}", "not JSON"),
    (b'{"a": 1,}', "not JSON"),
    (b'{"a": 01}', "not JSON"),
    (b'{"a": .5}', "not JSON"),
    (b'"\n"', "not JSON"),
    (b"// comment\n{}", "not JSON"),
    (b"\xef\xbb\xbf{}", "not JSON"),
    (b'"\xff"', "not UTF-8"),
    (b'"\xc0\x80"', "not UTF-8"),
    (b'"\xed\xa0\x80"', "not UTF-8"),
    ('{"a": "b"}'.encode("utf-16"), "not UTF-8|not JSON"),
    (b'{"a": 1, "a": 1}', "duplicate key a"),
    (b'{"a": 1, "\\u0061": 2}', "duplicate key a"),
    (b'[{"b": {"c": 1, "d": 2, "c": 3}}]', "duplicate key c"),
    (b'{"\\u001b[31m": 1, "\\u001b[31m": 2}', r"duplicate key \\x1b\[31m"),
    (b"NaN", "NaN is not a number"),
    (b"[Infinity]", "Infinity is not a number"),
    (b"[-Infinity]", "-Infinity is not a number"),
    (b"1e999", "larger or longer"),
    (b"-1e999", "larger or longer"),
    (b"0." + b"1" * 50, "larger or longer"),
    (b"18446744073709551616", "more than 64 bits"),
    (b"-18446744073709551616", "more than 64 bits"),
    (b"1" * 5000, "more than 64 bits"),
    (b'"\\ud800"', "half a surrogate pair"),
    (b'{"\\udc00": 1}', "half a surrogate pair"),
    (b'[["a", {"b": "\\ud800x"}]]', "half a surrogate pair"),
    (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} deep"),
    (b"[" * 100_000, "too deeply|not JSON"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too deeply"),
]


def test_ambiguous_or_invalid_json_is_refused() -> None:
    for data, why in REFUSED:
        with row(data, why):
            with pytest.raises(MalformedError, match=why) as caught:
                parse(data, "the payload")
            assert not isinstance(caught.value, TooLargeError)
            assert str(caught.value).startswith("the payload is malformed: ")
            assert str(caught.value).isprintable()


def test_depth_counts_nesting_and_not_siblings() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, "the payload")
    assert parse(b"[" + b"[]," * 1000 + b"{}]", "the payload")
    assert parse(b'"' + b"[" * 1000 + b'"', "the payload") == "[" * 1000


def test_whole_surrogate_pairs_are_text() -> None:
    assert parse(b'"\\ud83d\\ude00"', "the payload") == "\N{GRINNING FACE}"


def test_too_many_bytes_are_refused_before_they_are_read() -> None:
    assert parse(b'"' + b"a" * (MAX_BYTES - 2) + b'"', "the payload")
    with pytest.raises(TooLargeError, match=f"larger than {MAX_BYTES} bytes"):
        parse(b"[" * (MAX_BYTES + 1), "the payload")
    with pytest.raises(TooLargeError, match="larger than 3 bytes"):
        parse(b'"ab"', "the payload", limit=3)


@settings(max_examples=examples(200), deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text('[]{}:,"\\ue019.-+ntf', max_size=40).map(str.encode)))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse(data, "the payload")
    except MalformedError as error:
        assert not isinstance(error, TooLargeError)  # noqa: PT017 - many of them do parse


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"null", "null"), (b"true", "a boolean"), (b"1", "a number"), (b"1.5", "a number"), (b'"x"', "a string"),
     (b"[]", "a list")],
)  # fmt: skip
def test_value_that_is_not_an_object_is_named(data: bytes, kind: str) -> None:
    with pytest.raises(MalformedError, match=f"should be an object and is {kind}"):
        parse_object(data, "the payload")


PARENT: dict[str, Any] = {"object": {"a": 1}, "list": [1], "text": "x", "base64": "AAE=", "null": None}


def test_members_of_the_right_type_are_taken_out() -> None:
    assert object_member(PARENT, "object", "the payload") == {"a": 1}
    assert list_member(PARENT, "list", "the payload") == [1]
    assert text_member(PARENT, "text", "the payload") == "x"
    assert optional_text(PARENT, "text", "the payload") == "x"
    assert optional_text(PARENT, "other", "the payload") is None
    assert base64_member(PARENT, "base64", "the payload") == b"\0\1"
    only_members(PARENT, [*PARENT, "another"], "the payload")


@pytest.mark.parametrize("take", [object_member, list_member, text_member, optional_text, base64_member])
def test_members_of_another_type_are_refused_null_included(take: Callable[[Any, str, str], object]) -> None:
    right = {"object_member": "object", "list_member": "list"}.get(take.__name__, "text")
    for name in set(PARENT) - {right, "base64", "text"}:
        with pytest.raises(MalformedError, match=r"malformed: .*should be an? \w+ and is|is malformed: it"):
            take(PARENT, name, "the payload")


@pytest.mark.parametrize("take", [object_member, list_member, text_member, base64_member])
def test_members_that_are_missing_are_named(take: Callable[[Any, str, str], object]) -> None:
    with pytest.raises(MalformedError, match="the payload is malformed: other is missing"):
        take(PARENT, "other", "the payload")


def test_unknown_members_are_named() -> None:
    with pytest.raises(MalformedError, match="unknown member list"):
        only_members(PARENT, ("object", "text", "base64", "null"), "the payload")


@settings(max_examples=examples(50))
@given(st.binary(max_size=40))
def test_base64_is_read_in_its_one_spelling(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode(), "the signature") == data


@pytest.mark.parametrize("text", ["AAE", "AAE=\n", " AAE=", "AA E=", "AAF=", "AA-_", "AAE==", "AAE=AAE=", "ä", "="])
def test_base64_in_any_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="the signature is malformed: it is not base64"):
        decode_base64(text, "the signature")
