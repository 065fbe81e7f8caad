"""Strict CBOR: one spelling of each value, and nothing that costs more than it is long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealgate.parsing import cbor
from sealgate.parsing.cbor import Tagged
from sealgate.parsing.strict_json import MalformedError
from tests.support.rows import row

if TYPE_CHECKING:
    from sealgate.parsing.cbor import Value

_LEAVES = st.one_of(
    st.integers(-(2**64), 2**64 - 1), st.binary(max_size=40), st.text(max_size=40), st.booleans(), st.none()
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.integers(-99, 99), st.text(max_size=5)), inner, max_size=4),
        st.builds(Tagged, st.integers(0, 2**32), inner),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1bffffffffffffffff", 2**64 - 1),
        ("3bffffffffffffffff", -(2**64)),
        ("20", -1),
        ("4401020304", b"\x01\x02\x03\x04"),
        ("6449455446", "IETF"),
        ("62c3bc", "\u00fc"),
        ("83010203", [1, 2, 3]),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("c11a514b67b0", Tagged(1, 1363896240)),
        ("f4", False),
        ("f6", None),
    ],
)
def test_examples_of_the_specification(data: str, value: Value) -> None:
    assert cbor.decode(bytes.fromhex(data), "it") == value
    assert cbor.encode(value) == bytes.fromhex(data)


OTHER_SPELLINGS: list[str] = [
    "", "18", "1800", "190001", "1a00000001", "1b0000000000000001", "1c", "5f4101ff", "9fff", "bfff", "ff",
    "f7", "e0", "f820", "f93c00", "fb3ff199999999999a", "0000", "6180", "62c3", "41", "5bffffffffffffffff",
    "9bffffffffffffffff", "bbffffffffffffffff", "a201020103", "a1f400", "a1410100", "a18000", "a101",
    "81" * 18 + "00", "c1" * 18 + "00",
]  # fmt: skip


def test_other_spellings_are_refused() -> None:
    for data in OTHER_SPELLINGS:
        with row(data), pytest.raises(MalformedError, match="it is malformed"):
            cbor.decode(bytes.fromhex(data), "it")


@given(_VALUES)
def test_values_survive(value: Value) -> None:
    assert cbor.decode(cbor.encode(value), "it") == value


@given(st.binary(max_size=60))
def test_what_decodes_has_one_spelling(data: bytes) -> None:
    try:
        value = cbor.decode(data, "it")
    except MalformedError:
        return
    assert cbor.encode(value) == data
