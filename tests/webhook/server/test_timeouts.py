"""Deadlines of reviews."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate_webhook.server.timeouts import answer_within, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("1.s", 1),
        ("+3s", 3),
        ("0", 0),
        ("0s", 0),
        ("2h0m0s", 7200),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("7ns", 7e-9),
    ],
)
def test_go_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1 s", "1s ", "1e3s", "\u0661s", "1d", ".s", "1s" * 40, "9" * 13 + "s"]
)
def test_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("timeout=10s", 9),
        ("timeout=30s", 29),
        ("timeout=1s", 0.8),
        ("timeout=2s", 1.8),
        ("timeout=5s", 4.5),
        ("a=b&timeout=5s&c", 4.5),
        ("timeout=100ms", 0.05),
        # Longer than any webhook may have, or not at all: the usual limits hold.
        ("timeout=5m", 29),
        ("", 9),
        ("timeout=", 9),
        ("timeout=0s", 9),
        ("timeout=soon", 9),
        ("timeout=-3s", 9),
        ("xtimeout=1s", 9),
    ],
)
def test_the_answer_is_due_before_the_limit(query: str, seconds: float) -> None:
    assert answer_within(query) == pytest.approx(seconds)


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_deadline_is_bounded_for_any_query(query: str) -> None:
    assert 0 < answer_within(f"timeout={query}") < 30
