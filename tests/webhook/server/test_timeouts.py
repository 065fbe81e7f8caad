"""Deadlines of reviews."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate_webhook.server.timeouts import answer_within, parse_duration
from tests.support.examples import examples


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
        ("timeout=5m", 29),
        ("", 29),
        ("timeout=", 29),
        ("timeout=0s", 29),
        ("timeout=soon", 29),
        ("timeout=-3s", 29),
        ("xtimeout=1s", 29),
    ],
)
def test_the_answer_is_due_before_the_timeout(query: str, seconds: float) -> None:
    assert answer_within(query, 30) == pytest.approx(seconds)


@pytest.mark.parametrize("query", ["timeout=30s", "timeout=11s", "timeout=5m", "timeout=10s", "timeout=soon", ""])
def test_url_cannot_lengthen_the_webhooks_own_timeout(query: str) -> None:
    assert answer_within(query, 10) == pytest.approx(9)


@settings(max_examples=examples(200))
@given(st.text(max_size=40))
def test_deadline_is_bounded_for_any_query(query: str) -> None:
    assert 0 < answer_within(f"timeout={query}", 10) < 10
