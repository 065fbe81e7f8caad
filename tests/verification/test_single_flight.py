from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import DeadlineError, NotFoundError, UnavailableError
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.single_flight import Flights
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "registry.example.org"
PATIENCE = 30


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def flights(clock: FakeClock) -> Iterator[Flights]:
    flights = Flights(VerifierSettings(host_concurrency=2, workers=8, crowd=3, patience_seconds=5), clock)
    yield flights
    flights.close()


class Gate:
    """Work that waits until the test lets it go on."""

    def __init__(self, result: object = "done") -> None:
        self.started = threading.Event()
        self.open = threading.Event()
        self.calls = 0
        self._result = result

    def __call__(self) -> object:
        self.calls += 1
        self.started.set()
        assert self.open.wait(PATIENCE)
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result


def work(function: Callable[[], object]) -> Callable[[], Callable[[], object]]:
    return lambda: function


def test_whoever_asks_for_what_is_under_way_gets_the_same_flight(flights: Flights) -> None:
    gate = Gate()
    first, joined_first = flights.board("a", HOST, work(gate))
    others = [flights.board("a", HOST, work(gate)) for _ in range(299)]
    gate.open.set()
    assert first.result(PATIENCE) == "done"
    assert not joined_first
    assert all(flight is first and joined for flight, joined in others)
    assert gate.calls == 1


def test_those_who_joined_get_the_exception_too(flights: Flights) -> None:
    gate = Gate(NotFoundError("gone"))
    first, _ = flights.board("a", HOST, work(gate))
    second, _ = flights.board("a", HOST, work(gate))
    gate.open.set()
    for flight in (first, second):
        with pytest.raises(NotFoundError, match="gone"):
            flight.result(PATIENCE)
    assert gate.calls == 1


def test_a_flight_that_landed_is_not_joined_again(flights: Flights) -> None:
    for expected in ("one", "two"):
        flight, joined = flights.board("a", HOST, work(lambda expected=expected: expected))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        assert flight.result(PATIENCE) == expected
        assert not joined


def test_one_host_takes_no_more_workers_than_it_may_and_hinders_no_other(flights: Flights) -> None:
    gates = [Gate() for _ in range(5)]
    stuck = [flights.board(number, HOST, work(gate))[0] for number, gate in enumerate(gates)]
    for gate in gates[:2]:
        assert gate.started.wait(PATIENCE)
    other, _ = flights.board("other", "quick.example.org", work(lambda: "quick"))
    assert other.result(PATIENCE) == "quick"
    assert not any(gate.started.is_set() for gate in gates[2:])
    for gate in gates:
        gate.open.set()
    assert [flight.result(PATIENCE) for flight in stuck] == ["done"] * 5


def test_what_keeps_work_from_starting_goes_to_the_caller_and_leaves_nothing_behind(flights: Flights) -> None:
    def refuse() -> Callable[[], object]:
        raise UnavailableError("no budget")

    with pytest.raises(UnavailableError, match="no budget"):
        flights.board("a", HOST, refuse)
    flight, joined = flights.board("a", HOST, work(lambda: "now"))
    assert flight.result(PATIENCE) == "now"
    assert not joined


def test_a_crowd_before_a_silent_host_does_not_grow(flights: Flights, clock: FakeClock) -> None:
    gate = Gate()
    flights.board("a", HOST, work(gate))
    first, *_ = [flights.wait_in(HOST) for _ in range(3)]
    clock.advance(5.1)
    with pytest.raises(UnavailableError, match="has not answered for 5 s and 3 reviews wait"):
        flights.wait_in(HOST)
    flights.wait_in("quick.example.org")
    first.leave()
    flights.wait_in(HOST)
    gate.open.set()


def test_a_crowd_that_came_before_the_host_was_silent_gives_way_down_to_what_may_wait(
    flights: Flights, clock: FakeClock
) -> None:
    gate = Gate()
    flights.board("a", HOST, work(gate))
    places = [flights.wait_in(HOST) for _ in range(10)]
    clock.advance(5.0)
    for place in places:
        place.keep()
    clock.advance(0.1)
    for place in places[:7]:
        with pytest.raises(UnavailableError, match="has not answered for 5 s"):
            place.keep()
        place.leave()
    for place in places[7:]:
        place.keep()
    with pytest.raises(UnavailableError):
        flights.wait_in(HOST)
    places[7].leave()
    flights.wait_in(HOST)
    gate.open.set()


def test_nobody_gives_way_while_the_host_answers(flights: Flights, clock: FakeClock) -> None:
    gate = Gate()
    flights.board("a", HOST, work(gate))
    places = [flights.wait_in(HOST) for _ in range(10)]
    for number in range(10):
        clock.advance(4.9)
        answered, _ = flights.board(("b", number), HOST, work(lambda: "quick"))
        answered.result(PATIENCE)
        for place in places:
            place.keep()
    gate.open.set()


def test_a_crowd_may_grow_while_the_host_answers(flights: Flights, clock: FakeClock) -> None:
    gate = Gate()
    flights.board("a", HOST, work(gate))
    for number in range(10):
        clock.advance(4)
        flights.wait_in(HOST)
        answered, _ = flights.board(("b", number), HOST, work(lambda: "quick"))
        answered.result(PATIENCE)
    gate.open.set()


def test_a_404_counts_as_an_answer_and_silence_does_not(flights: Flights, clock: FakeClock) -> None:
    gate = Gate()
    flights.board("a", HOST, work(gate))
    for _ in range(3):
        flights.wait_in(HOST)

    def raise_(error: Exception) -> object:
        raise error

    clock.advance(5.1)
    absent, _ = flights.board("b", HOST, work(lambda: raise_(NotFoundError("404"))))
    assert absent.exception(PATIENCE)
    flights.wait_in(HOST)
    clock.advance(5.1)
    silent, _ = flights.board("c", HOST, work(lambda: raise_(DeadlineError("silence"))))
    assert silent.exception(PATIENCE)
    with pytest.raises(UnavailableError):
        flights.wait_in(HOST)
    gate.open.set()
