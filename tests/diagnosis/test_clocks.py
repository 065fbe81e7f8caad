"""Clocks are compared by dates that have whole seconds, and by requests that take time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from sealgate.diagnosis.checks import Outcome
from sealgate.diagnosis.clocks import Dated, check_clocks

NOW = datetime(2026, 11, 21, 12, 0, 0, 900_000, tzinfo=UTC)


def response(seconds: float, took: float = 0.2) -> Dated:
    """Return a response of a server whose clock is so many seconds ahead."""
    date = format_datetime((NOW + timedelta(seconds=seconds)).replace(microsecond=0), usegmt=True)
    return Dated("registry.example.org", date, NOW, NOW + timedelta(seconds=took))


@pytest.mark.parametrize("seconds", [-29, 0, 29])
def test_small_differences_are_ok(seconds: float) -> None:
    (check,) = check_clocks([response(seconds)])
    assert check.outcome is Outcome.OK


@pytest.mark.parametrize(
    ("seconds", "outcome", "words"),
    [
        (40, Outcome.WARNING, "s ahead of that of this machine"),
        (-40, Outcome.WARNING, "s behind that of this machine"),
        (400, Outcome.PROBLEM, "s ahead of"),
        (-90_000, Outcome.PROBLEM, "s behind"),
    ],
)
def test_a_clock_that_differs_is_named(seconds: float, outcome: Outcome, words: str) -> None:
    good = response(0)
    check, rest = check_clocks([response(seconds), good])
    assert (check.outcome, check.name) == (outcome, "registry.example.org")
    assert words in check.message
    assert rest.outcome is Outcome.OK


def test_a_slow_request_is_not_a_difference() -> None:
    (check,) = check_clocks([response(50, took=100)])
    assert check.outcome is Outcome.OK


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 21 Nov 99999999999 12:00:00 GMT", "Sat, 21 Nov 2026 12:00:00"])
def test_a_date_that_is_not_one_says_nothing(date: str) -> None:
    assert check_clocks([Dated("a", date, NOW, NOW)]) == []
