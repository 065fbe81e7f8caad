from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import DeadlineError, NotFoundError, UnavailableError
from sealgate.verification.host_limiter import HostLimiter
from sealgate.verification.wait_slots import WaitSlots
from tests.support.clocks import FakeClock
from tests.verification.work import PATIENCE, HeldWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "registry.example.org"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limiter(clock: FakeClock) -> Iterator[HostLimiter]:
    limiter = HostLimiter(2, 8, clock)
    yield limiter
    limiter.close()


@pytest.fixture
def slots(limiter: HostLimiter) -> WaitSlots:
    return WaitSlots(3, 5, limiter)


@pytest.fixture
def held(limiter: HostLimiter) -> Iterator[HeldWork]:
    """Work that keeps the host busy."""
    work = HeldWork()
    limiter.admit(HOST)
    limiter.start(HOST, work, lambda *_: None)
    yield work
    work.release()


def respond(limiter: HostLimiter, work: Callable[[], object] = lambda: "quick") -> BaseException | None:
    """Run work for the host to its end; return its exception."""
    ended: Future[BaseException | None] = Future()
    limiter.admit(HOST)
    limiter.start(HOST, work, lambda _, error: ended.set_result(error))
    return ended.result(PATIENCE)


def fail(error: Exception) -> object:
    raise error


@pytest.mark.usefixtures("held")
def test_silent_host_gets_no_further_waiters(slots: WaitSlots, clock: FakeClock) -> None:
    first, *_ = [slots.acquire(HOST) for _ in range(3)]
    clock.advance(5.1)
    with pytest.raises(UnavailableError, match="has not answered for 5 s and 3 requests wait"):
        slots.acquire(HOST)
    slots.acquire("quick.example.org")
    first.release()
    slots.acquire(HOST)


@pytest.mark.usefixtures("held")
def test_waiters_of_a_silent_host_are_refused_down_to_the_limit(slots: WaitSlots, clock: FakeClock) -> None:
    waiting = [slots.acquire(HOST) for _ in range(10)]
    clock.advance(5.0)
    for slot in waiting:
        slot.recheck()
    clock.advance(0.1)
    for slot in waiting[:7]:
        with pytest.raises(UnavailableError, match="has not answered for 5 s"):
            slot.recheck()
        slot.release()
    for slot in waiting[7:]:
        slot.recheck()
    with pytest.raises(UnavailableError):
        slots.acquire(HOST)
    waiting[7].release()
    slots.acquire(HOST)


@pytest.mark.usefixtures("held")
def test_no_waiter_is_refused_while_the_host_responds(slots: WaitSlots, limiter: HostLimiter, clock: FakeClock) -> None:
    waiting = [slots.acquire(HOST) for _ in range(10)]
    for _ in range(10):
        clock.advance(4.9)
        assert respond(limiter) is None
        for slot in waiting:
            slot.recheck()


@pytest.mark.usefixtures("held")
def test_responding_host_may_get_further_waiters(slots: WaitSlots, limiter: HostLimiter, clock: FakeClock) -> None:
    for _ in range(10):
        clock.advance(4)
        slots.acquire(HOST)
        assert respond(limiter) is None


@pytest.mark.usefixtures("held")
def test_404_is_a_response_and_a_timeout_is_not(slots: WaitSlots, limiter: HostLimiter, clock: FakeClock) -> None:
    for _ in range(3):
        slots.acquire(HOST)
    clock.advance(5.1)
    assert respond(limiter, lambda: fail(NotFoundError("404")))
    slots.acquire(HOST)
    clock.advance(5.1)
    assert respond(limiter, lambda: fail(DeadlineError("silence")))
    with pytest.raises(UnavailableError):
        slots.acquire(HOST)


def test_host_stays_silent_between_timeouts_while_callers_wait(
    slots: WaitSlots, limiter: HostLimiter, clock: FakeClock
) -> None:
    waiting = [slots.acquire(HOST) for _ in range(3)]
    clock.advance(30)
    assert respond(limiter, lambda: fail(DeadlineError("silence")))
    with pytest.raises(UnavailableError):
        slots.acquire(HOST)
    for slot in waiting:
        slot.release()
    # No caller waits any more, so the next ones find out anew.
    for _ in range(4):
        slots.acquire(HOST)


def test_releasing_twice_counts_once(slots: WaitSlots, limiter: HostLimiter) -> None:
    first, second = slots.acquire(HOST), slots.acquire(HOST)
    first.release()
    first.release()
    assert slots._waiters == {HOST: 1}
    second.release()
    assert slots._waiters == {}
    assert limiter._hosts == {}


def test_slots_of_many_threads_add_up(slots: WaitSlots, limiter: HostLimiter) -> None:
    def wait_a_while(number: int) -> None:
        slot = slots.acquire(f"{number % 3}.example.org")
        slot.recheck()
        slot.release()

    with ThreadPoolExecutor(16) as pool:
        for ended in [pool.submit(wait_a_while, number) for number in range(500)]:
            ended.result(PATIENCE)
    assert slots._waiters == {}
    assert limiter._hosts == {}
