from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import DeadlineError, NotFoundError, UnavailableError
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.tasks import Requester, Task
from sealgate.verification.wait_slots import WaitSlots
from sealgate.verification.workers import Workers
from tests.support.clocks import FakeClock
from tests.verification.work import PATIENCE, HeldWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "registry.example.org"
SETTINGS = VerifierSettings(max_waiters=3, unresponsive_after=5, max_waiting=16)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def workers(clock: FakeClock) -> Iterator[Workers]:
    workers = Workers(SETTINGS, clock, NullObserver())
    yield workers
    workers.close()


@pytest.fixture
def slots(workers: Workers, clock: FakeClock) -> WaitSlots:
    return WaitSlots(SETTINGS, clock, workers, NullObserver())


@pytest.fixture
def held(workers: Workers) -> Iterator[HeldWork]:
    """Work that keeps the host busy."""
    work = HeldWork()
    submit(workers, work, lambda *_: None)
    yield work
    work.release()


def respond(workers: Workers, work: Callable[[], object] = lambda: "quick") -> BaseException | None:
    """Run work for the host to its end; return its exception."""
    ended: Future[BaseException | None] = Future()
    submit(workers, work, lambda _, error: ended.set_result(error))
    return ended.result(PATIENCE)


def submit(workers: Workers, work: Callable[[], object], done: Callable[[object, BaseException | None], None]) -> None:
    workers.submit(Task(HOST, False, work, done, 1e6, 0), Requester("a", 0))


def fail(error: Exception) -> object:
    raise error


@pytest.mark.usefixtures("held")
def test_silent_host_gets_no_further_waiters(slots: WaitSlots, clock: FakeClock) -> None:
    first, *_ = [slots.acquire(HOST) for _ in range(3)]
    clock.advance(5.1)
    with pytest.raises(UnavailableError, match="has not answered for 5 s and 3 requests wait for silent hosts"):
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


def test_silent_hosts_have_one_limit_together(slots: WaitSlots, clock: FakeClock) -> None:
    waiting = [slots.acquire(f"dead{number}.example.org") for number in range(5)]
    clock.advance(5.1)
    for slot in waiting[:3]:
        slot.recheck()
    for slot in waiting[3:]:
        with pytest.raises(UnavailableError, match="3 requests wait for silent hosts"):
            slot.recheck()
    slots.acquire("new.example.org")


def test_namespace_with_more_than_its_share_gives_up_long_waits_when_few_threads_are_left(
    slots: WaitSlots, clock: FakeClock
) -> None:
    with ExitStack() as stack:
        flood = [stack.enter_context(slots.waiting("flood")) for _ in range(15)]
        for request in flood:
            request.recheck()
        clock.advance(5.1)
        new = stack.enter_context(slots.waiting("flood"))
        other = stack.enter_context(slots.waiting("other"))
        new.recheck()
        other.recheck()
        with pytest.raises(UnavailableError, match="16 requests of the namespace flood wait"):
            flood[0].recheck()
    with slots.waiting("flood") as request:
        clock.advance(60)
        request.recheck()


@pytest.mark.usefixtures("held")
def test_no_waiter_is_refused_while_the_host_responds(slots: WaitSlots, workers: Workers, clock: FakeClock) -> None:
    waiting = [slots.acquire(HOST) for _ in range(10)]
    for _ in range(10):
        clock.advance(4.9)
        assert respond(workers) is None
        for slot in waiting:
            slot.recheck()


@pytest.mark.usefixtures("held")
def test_responding_host_may_get_further_waiters(slots: WaitSlots, workers: Workers, clock: FakeClock) -> None:
    for _ in range(10):
        clock.advance(4)
        slots.acquire(HOST)
        assert respond(workers) is None


@pytest.mark.usefixtures("held")
def test_404_is_a_response_and_a_timeout_is_not(slots: WaitSlots, workers: Workers, clock: FakeClock) -> None:
    for _ in range(3):
        slots.acquire(HOST)
    clock.advance(5.1)
    assert respond(workers, lambda: fail(NotFoundError("404")))
    slots.acquire(HOST)
    clock.advance(5.1)
    assert respond(workers, lambda: fail(DeadlineError("silence")))
    with pytest.raises(UnavailableError):
        slots.acquire(HOST)


def test_host_stays_silent_between_timeouts_while_callers_wait(
    slots: WaitSlots, workers: Workers, clock: FakeClock
) -> None:
    waiting = [slots.acquire(HOST) for _ in range(3)]
    clock.advance(30)
    assert respond(workers, lambda: fail(DeadlineError("silence")))
    with pytest.raises(UnavailableError):
        slots.acquire(HOST)
    for slot in waiting:
        slot.release()
    # No caller waits any more, so the next ones find out anew.
    for _ in range(4):
        slots.acquire(HOST)


def test_releasing_twice_counts_once(slots: WaitSlots, workers: Workers) -> None:
    first, second = slots.acquire(HOST), slots.acquire(HOST)
    first.release()
    first.release()
    assert slots._waiters == {HOST: 1}
    second.release()
    assert not slots._waiters
    assert list(workers._queue.hosts) == []


def test_slots_of_many_threads_add_up(slots: WaitSlots, workers: Workers) -> None:
    def wait_a_while(number: int) -> None:
        slot = slots.acquire(f"{number % 3}.example.org")
        slot.recheck()
        slot.release()

    with ThreadPoolExecutor(16) as pool:
        for ended in [pool.submit(wait_a_while, number) for number in range(500)]:
            ended.result(PATIENCE)
    assert not slots._waiters
    assert list(workers._queue.hosts) == []
