"""The key of the shared cache: made once, rotated in one write, its predecessor kept for a while."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sealgate.shared_cache import keys
from sealgate.shared_cache.sealing import MIN_SECRET_BYTES
from sealgate_operator.certificates.shared_cache_key import (
    CURRENT,
    KEY_BYTES,
    LIFETIME,
    MADE_AT,
    OVERLAP,
    PREVIOUS,
    next_key_data,
)
from tests.support.clocks import NOW


def _apply(data: dict[str, bytes], change: dict[str, bytes | None] | None) -> dict[str, bytes]:
    return {name: value for name, value in (data | (change or {})).items() if value is not None}


FIRST = _apply({}, next_key_data({}, NOW))


def test_key_is_made_once() -> None:
    assert FIRST.keys() == {CURRENT, MADE_AT}
    assert len(FIRST[CURRENT]) == KEY_BYTES
    assert next_key_data(FIRST, NOW) is None
    assert next_key_data(FIRST, NOW + LIFETIME - timedelta(seconds=1)) is None


def test_webhook_reads_the_members_that_the_operator_writes() -> None:
    assert (keys.CURRENT, keys.PREVIOUS) == (CURRENT, PREVIOUS)
    assert MIN_SECRET_BYTES <= KEY_BYTES


def test_rotated_key_is_kept_as_the_previous_one_for_a_while() -> None:
    second = _apply(FIRST, next_key_data(FIRST, NOW + LIFETIME))
    assert second[PREVIOUS] == FIRST[CURRENT]
    assert second[CURRENT] != FIRST[CURRENT]
    assert next_key_data(second, NOW + LIFETIME + OVERLAP - timedelta(seconds=1)) is None
    third = _apply(second, next_key_data(second, NOW + LIFETIME + OVERLAP))
    assert third == {CURRENT: second[CURRENT], MADE_AT: second[MADE_AT]}


@pytest.mark.parametrize("made_at", [b"", b"yesterday", b"2026-11-21T12:00:00", b"2027-11-21T12:00:00Z", b"\xff"])
def test_key_of_unknown_age_is_rotated(made_at: bytes) -> None:
    changed = _apply(FIRST, next_key_data({**FIRST, MADE_AT: made_at}, NOW))
    assert changed[PREVIOUS] == FIRST[CURRENT]
    assert next_key_data(changed, NOW) is None


def test_unusable_key_is_replaced_and_not_kept() -> None:
    changed = _apply({}, next_key_data({CURRENT: b"short", PREVIOUS: b"older", MADE_AT: FIRST[MADE_AT]}, NOW))
    assert changed.keys() == {CURRENT, MADE_AT}
