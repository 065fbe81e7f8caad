from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from sealgate.errors import NotFoundError
from sealgate.verification.single_flight import NotStartedError, SingleFlight
from tests.verification.work import PATIENCE


def test_first_caller_leads_and_all_others_join() -> None:
    flight = SingleFlight()
    call, leading = flight.join("a")
    assert leading
    others = [flight.join("a") for _ in range(299)]
    assert all(other is call and not other_leads for other, other_leads in others)
    flight.complete(call, "done", None)
    assert call.future.result(PATIENCE) == "done"


def test_callers_that_joined_get_the_exception() -> None:
    flight = SingleFlight()
    call, _ = flight.join("a")
    joined, _ = flight.join("a")
    flight.complete(call, None, NotFoundError("gone"))
    with pytest.raises(NotFoundError, match="gone"):
        joined.future.result(PATIENCE)


def test_calls_of_different_keys_are_different() -> None:
    flight = SingleFlight()
    assert flight.join("a")[0] is not flight.join("b")[0]


def test_callers_of_an_abandoned_call_start_again() -> None:
    flight = SingleFlight()
    call, _ = flight.join("a")
    joined, _ = flight.join("a")
    flight.abandon(call)
    with pytest.raises(NotStartedError):
        joined.future.result(PATIENCE)
    assert flight.join("a")[1]


def test_call_can_be_joined_until_it_is_completed() -> None:
    flight = SingleFlight()
    with ThreadPoolExecutor(1) as pool:
        for number in range(1000):
            call, leading = flight.join("a")
            assert leading
            joined = flight.join("a")
            assert joined == (call, False)
            pool.submit(flight.complete, call, number, None)
            assert call.future.result(PATIENCE) == number
            # The result is known, so the next caller leads again.
            following, leads = flight.join("a")
            assert leads
            flight.complete(following, None, None)


def test_results_are_delivered_under_no_lock() -> None:
    flight = SingleFlight()
    call, _ = flight.join("a")
    joined: list[bool] = []

    def join_again(future: Future[object]) -> None:
        del future
        thread = threading.Thread(target=lambda: joined.append(flight.join("a")[1]))
        thread.start()
        thread.join(PATIENCE)

    call.future.add_done_callback(join_again)
    flight.complete(call, "done", None)
    assert joined == [True]
