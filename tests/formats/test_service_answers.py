"""Answers of services that verifications share: kept for their time, asked for once, within budgets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import DeadlineError, UnavailableError
from sealgate.formats.service_answers import MAX_BYTES, Answer, NoSlotError, ServiceAnswers
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "ocsp.example.org"
#: Timeout of a wait, in seconds; reached only on a failure.
PATIENCE = 30.0


class Service:
    """Counts how often it is asked."""

    def __init__(self, seconds: float = 60.0, size: int = 0) -> None:
        self.asked = 0
        self._seconds = seconds
        self._size = size

    def __call__(self) -> Answer[int]:
        self.asked += 1
        return Answer(self.asked, self._seconds, self._size)


def asking(answers: ServiceAnswers, clock: FakeClock, namespace: str = "shop") -> Callable[[str, Service], int]:
    return lambda key, service: answers.of(namespace).ask(key, HOST, Deadline.after(clock, PATIENCE), service)


def test_answer_is_kept_for_its_time() -> None:
    clock = FakeClock()
    ask = asking(ServiceAnswers(clock), clock)
    service = Service()
    assert [ask("a", service), ask("a", service), ask("b", service)] == [1, 1, 2]
    clock.advance(59.999)
    assert ask("a", service) == 1
    clock.advance(0.001)
    assert ask("a", service) == 3


def test_answer_without_time_is_not_kept() -> None:
    clock = FakeClock()
    ask = asking(ServiceAnswers(clock), clock)
    service = Service(seconds=0)
    assert [ask("a", service), ask("a", service)] == [1, 2]


def test_error_is_not_kept() -> None:
    clock = FakeClock()
    answers = ServiceAnswers(clock)

    def fail() -> Answer[int]:
        raise UnavailableError("down")

    for _ in range(2):
        with pytest.raises(UnavailableError, match="down"):
            answers.of("shop").ask("a", HOST, Deadline.after(clock, PATIENCE), fail)
    assert asking(answers, clock)("a", Service()) == 1


def test_kept_bytes_are_bounded() -> None:
    clock = FakeClock()
    ask = asking(ServiceAnswers(clock, per_minute=1e9), clock)
    large = Service(size=MAX_BYTES // 4)
    for number in range(8):
        ask(f"large {number}", large)
    assert ask("large 7", large) == 8
    assert ask("large 0", large) == 9
    huge = Service(size=MAX_BYTES)
    assert [ask("huge", huge), ask("huge", huge)] == [1, 2]


def test_one_namespace_takes_half_of_the_budget_of_a_host() -> None:
    clock = FakeClock()
    answers = ServiceAnswers(clock, per_minute=1.0, burst=8)
    flood, other = asking(answers, clock, "flood"), asking(answers, clock, "shop")
    service = Service()
    for number in range(4):
        flood(f"flood {number}", service)
    with pytest.raises(NoSlotError, match=HOST):
        flood("one more", service)
    for number in range(4):
        other(f"shop {number}", service)
    with pytest.raises(NoSlotError):
        other("one more", service)
    assert clock.slept == []
    clock.advance(120)
    flood("one more", service)


def test_request_waits_for_a_slot_that_comes_soon() -> None:
    clock = FakeClock()
    ask = asking(ServiceAnswers(clock, per_minute=60, burst=1), clock)
    service = Service()
    ask("a", service)
    ask("b", service)
    assert clock.slept == [2.0]


def test_equal_questions_at_once_are_one_request() -> None:
    clock = FakeClock()
    answers = ServiceAnswers(clock)
    begun, release = threading.Event(), threading.Event()
    service = Service()

    def slow() -> Answer[int]:
        begun.set()
        assert release.wait(PATIENCE)
        return service()

    def ask() -> int:
        return answers.of("shop").ask("a", HOST, Deadline.after(clock, PATIENCE), slow)

    with ThreadPoolExecutor(8) as pool:
        try:
            asked = [pool.submit(ask) for _ in range(8)]
            assert begun.wait(PATIENCE)
        finally:
            release.set()
        assert [each.result(PATIENCE) for each in asked] == [1] * 8


def test_caller_whose_time_runs_out_waits_no_longer_for_another() -> None:
    clock = FakeClock()
    answers = ServiceAnswers(clock)
    assert answers.join("a") is None
    deadline = Deadline.after(clock, 1)
    clock.advance(1)
    with pytest.raises(DeadlineError, match=HOST):
        answers.of("shop").ask("a", HOST, deadline, Service())


def test_question_that_ended_without_an_answer_is_asked_by_the_next() -> None:
    clock = FakeClock()
    answers = ServiceAnswers(clock)
    assert answers.join("a") is None
    with ThreadPoolExecutor(1) as pool:
        try:
            asked = pool.submit(asking(answers, clock), "a", Service())
        finally:
            answers.leave("a")
        assert asked.result(PATIENCE) == 1
