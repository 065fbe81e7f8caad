from __future__ import annotations

import pytest

from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.errors import RateLimitedError
from sealgate.reasons import Reason
from tests.support.clocks import FakeClock

HOST = "registry.example.org"


def test_a_burst_goes_through_without_waiting() -> None:
    clock = FakeClock()
    budgets = Budgets(per_minute=60, burst=5, clock=clock)
    assert [budgets.reserve(HOST, Deadline.after(clock, 10)) for _ in range(5)] == [0.0] * 5


def test_after_the_burst_places_come_at_the_pace_of_the_budget_in_the_order_asked_for() -> None:
    clock = FakeClock()
    budgets = Budgets(per_minute=60, burst=2, clock=clock)
    waits = [budgets.reserve(HOST, Deadline.after(clock, 10)) for _ in range(5)]
    assert waits == pytest.approx([0, 0, 1, 2, 3])


def test_who_would_get_a_place_too_late_is_told_when_to_come_back_and_takes_none() -> None:
    clock = FakeClock()
    budgets = Budgets(per_minute=6, burst=1, clock=clock)
    budgets.reserve(HOST, Deadline.after(clock, 1))
    for _ in range(3):
        with pytest.raises(RateLimitedError, match="retry in 10 s") as refused:
            budgets.reserve(HOST, Deadline.after(clock, 9))
        assert refused.value.retry_after == pytest.approx(10)
        assert refused.value.reason is Reason.RATE_LIMITED
    assert budgets.reserve(HOST, Deadline.after(clock, 11)) == pytest.approx(10)


def test_a_budget_fills_up_again_with_time_but_not_beyond_its_burst() -> None:
    clock = FakeClock()
    budgets = Budgets(per_minute=60, burst=3, clock=clock)
    for _ in range(3):
        budgets.reserve(HOST, Deadline.after(clock, 10))
    clock.advance(3600)
    waits = [budgets.reserve(HOST, Deadline.after(clock, 10)) for _ in range(4)]
    assert waits == pytest.approx([0, 0, 0, 1])


def test_each_host_has_a_budget_of_its_own() -> None:
    clock = FakeClock()
    budgets = Budgets(per_minute=1, burst=1, clock=clock)
    assert budgets.reserve("a.example.org", Deadline.after(clock, 1)) == 0
    assert budgets.reserve("b.example.org", Deadline.after(clock, 1)) == 0


def test_three_hundred_a_minute_lets_six_hundred_through_in_the_first_minute_at_most() -> None:
    clock = FakeClock()
    budgets = Budgets(per_minute=300, burst=300, clock=clock)
    granted = 0
    for _ in range(1000):
        try:
            budgets.reserve(HOST, Deadline.after(clock, 60))
        except RateLimitedError:
            break
        granted += 1
    assert granted == pytest.approx(600, abs=1)


def test_place_that_is_given_back_is_free_for_the_next_request() -> None:
    clock = FakeClock()
    budgets = Budgets(per_minute=60, burst=1, clock=clock)
    budgets.reserve(HOST, Deadline.after(clock, 0))
    budgets.give_back(HOST)
    assert budgets.reserve(HOST, Deadline.after(clock, 0)) == 0
    budgets.give_back("never.example.org")
