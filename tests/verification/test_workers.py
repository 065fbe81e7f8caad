from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import DeadlineError, NotFoundError, RateLimitedError, UnavailableError
from sealgate.verification import work_queue
from sealgate.verification import workers as workers_module
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.tasks import NoSlotError, Requester, Task
from sealgate.verification.workers import Workers
from tests.support.clocks import FakeClock
from tests.verification.work import PATIENCE, HeldWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.verification.observers import RefusalCause

HOST = "registry.example.org"
SETTINGS = VerifierSettings(
    host_concurrency=2,
    workers=8,
    silent_workers=8,
    silent_host_concurrency=2,
    verifications_per_minute=60,
    burst=1,
)


class Counts(NullObserver):
    """Adds up what is reported."""

    def __init__(self) -> None:
        self.queued = 0
        self.running = 0
        self.refusals: list[str] = []
        self._lock = threading.Lock()

    def refused(self, cause: RefusalCause) -> None:
        self.refusals.append(cause)

    def rate_limited(self, host: str) -> None:
        self.refusals.append(host)

    def work_queued(self, change: int) -> None:
        with self._lock:
            self.queued += change

    def work_running(self, change: int) -> None:
        with self._lock:
            self.running += change


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def workers(clock: FakeClock, counts: Counts) -> Iterator[Workers]:
    workers = Workers(SETTINGS, clock, counts)
    yield workers
    workers.close()


def run(  # noqa: PLR0913 - a task has these
    workers: Workers,
    work: Callable[[], object],
    host: str = HOST,
    namespace: str = "a",
    *,
    charged: bool = False,
    seconds: float = 1e6,
) -> Future[object]:
    """Submit work, and return its result."""
    future: Future[object] = Future()

    def done(result: object, error: BaseException | None) -> None:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    now = workers._clock.monotonic()
    workers.submit(Task(host, charged, work, done, now + seconds, now), Requester(namespace, 0))
    return future


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; fail after a timeout."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_idle(workers: Workers) -> bool:
    return list(workers._queue.hosts) == [] and len(workers._queue) == 0


def fail(error: Exception) -> object:
    raise error


def test_worker_limit_of_a_host_delays_no_other_host(workers: Workers, counts: Counts) -> None:
    held = [HeldWork() for _ in range(5)]
    results = [run(workers, work) for work in held]
    for work in held[:2]:
        assert work.started.wait(PATIENCE)
    assert run(workers, lambda: "quick", "quick.example.org").result(PATIENCE) == "quick"
    assert not any(work.started.is_set() for work in held[2:])
    assert counts.queued == 3
    for work in held:
        work.release()
    assert [result.result(PATIENCE) for result in results] == ["done"] * 5
    assert is_idle(workers)
    assert (counts.queued, counts.running, counts.refusals) == (0, 0, [])


def test_full_queue_refuses_work(workers: Workers, counts: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "MAX_QUEUED", 1)
    held = [HeldWork() for _ in range(3)]
    results = [run(workers, work) for work in held]
    with pytest.raises(UnavailableError, match="too many images of the namespace a wait"):
        run(workers, lambda: "late")
    for work in held:
        work.release()
    assert [result.result(PATIENCE) for result in results] == ["done"] * 3
    assert run(workers, lambda: "later").result(PATIENCE) == "later"
    assert counts.refusals == ["namespace"]


def test_silence_counts_from_the_last_response(workers: Workers, clock: FakeClock) -> None:
    workers.track(HOST)
    clock.advance(3)
    assert workers.silent_seconds(HOST) == 3
    assert run(workers, lambda: "quick").result(PATIENCE) == "quick"
    assert workers.silent_seconds(HOST) == 0
    clock.advance(2)
    assert run(workers, lambda: fail(NotFoundError("404"))).exception(PATIENCE)
    assert workers.silent_seconds(HOST) == 0
    clock.advance(5)
    assert run(workers, lambda: fail(DeadlineError("silence"))).exception(PATIENCE)
    assert workers.silent_seconds(HOST) == 5
    workers.untrack(HOST)
    assert workers.silent_seconds(HOST) == 0


def test_results_are_delivered_after_the_update_without_a_lock(workers: Workers, clock: FakeClock) -> None:
    workers.track(HOST)
    clock.advance(7)
    seen: Future[float] = Future()
    task = Task(HOST, False, lambda: None, lambda *_: seen.set_result(workers.silent_seconds(HOST)), 1e6, 0)
    workers.submit(task, Requester("a", 0))
    assert seen.result(PATIENCE) == 0


def test_work_starts_when_its_slot_is_due(workers: Workers, clock: FakeClock) -> None:
    results = [run(workers, lambda: "done", charged=True) for _ in range(4)]
    assert [result.result(PATIENCE) for result in results] == ["done"] * 4
    # Only the pacer waits on the clock, and for no longer than the slots are apart.
    assert sum(clock.slept) == pytest.approx(3, abs=0.01)


def test_thousand_tags_at_300_a_minute_take_the_time_that_the_budget_implies(clock: FakeClock) -> None:
    settings = VerifierSettings(verifications_per_minute=300, burst=1)
    with closing(Workers(settings, clock, NullObserver())) as workers:
        results = [run(workers, lambda: "done", namespace=f"n{number % 7}", charged=True) for number in range(1000)]
        assert [result.result(PATIENCE) for result in results] == ["done"] * 1000
    assert clock.monotonic() == pytest.approx(999 * 60 / 300, abs=0.1)


def test_slot_is_awaited_from_when_a_worker_becomes_free(
    workers: Workers, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "_SWEEP_SECONDS", 10 * PATIENCE)
    held = [HeldWork() for _ in range(SETTINGS.host_concurrency)]
    results = [run(workers, work) for work in held]
    results += [run(workers, lambda: "done", charged=True) for _ in range(3)]
    for work in held:
        work.release()
    assert [result.result(PATIENCE) for result in results] == ["done"] * 5
    assert clock.monotonic() == pytest.approx(2, abs=0.1)


def test_work_that_cannot_wait_for_the_budget_is_refused_at_once(workers: Workers, counts: Counts) -> None:
    held = HeldWork()
    first = run(workers, held, charged=True)
    with pytest.raises(RateLimitedError, match="retry in 1 s"):
        run(workers, lambda: "late", charged=True, seconds=0.5)
    held.release()
    assert first.result(PATIENCE) == "done"
    assert counts.refusals == [HOST]


def test_pause_refuses_what_cannot_wait_for_its_end(workers: Workers, counts: Counts) -> None:
    held = [HeldWork() for _ in range(2)]
    running = [run(workers, work) for work in held]
    waiting = run(workers, lambda: "late", seconds=9)
    workers.pause(HOST, 10)
    assert isinstance(waiting.exception(PATIENCE), RateLimitedError)
    assert counts.refusals == [HOST]
    for work in held:
        work.release()
    assert [result.result(PATIENCE) for result in running] == ["done"] * 2


def test_work_that_waits_at_its_deadline_ends(workers: Workers, clock: FakeClock, counts: Counts) -> None:
    held = [HeldWork() for _ in range(2)]
    for work in held:
        run(workers, work)
    late = run(workers, lambda: "late", seconds=5)
    clock.advance(5)
    assert isinstance(late.exception(PATIENCE), DeadlineError)
    assert counts.refusals == ["deadline"]
    for work in held:
        work.release()


def wait_for_others(*waits: float) -> Callable[[], object]:
    """Return work whose shared budget other processes have used up for some time, several times."""
    left = list(waits)

    def work() -> object:
        if left:
            raise NoSlotError(RateLimitedError("used up by others", retry_after=left.pop(0)))
        return "done"

    return work


def test_work_waits_for_a_shared_budget_in_its_queue(workers: Workers, clock: FakeClock, counts: Counts) -> None:
    assert run(workers, wait_for_others(3, 2), charged=True).result(PATIENCE) == "done"
    assert clock.monotonic() == pytest.approx(5, abs=0.1)
    assert is_idle(workers)
    assert (counts.queued, counts.running, counts.refusals) == (0, 0, [])


def test_work_that_meets_a_used_up_budget_after_its_submission_is_run_later(workers: Workers) -> None:
    submitted, work = threading.Event(), wait_for_others(3)

    def late_work() -> object:
        assert submitted.wait(PATIENCE)
        return work()

    result = run(workers, late_work, charged=True)
    submitted.set()
    assert result.result(PATIENCE) == "done"


def test_work_that_cannot_wait_for_a_shared_budget_is_refused(workers: Workers, counts: Counts) -> None:
    late = run(workers, wait_for_others(30), charged=True, seconds=20)
    assert isinstance(late.exception(PATIENCE), RateLimitedError)
    assert is_idle(workers)
    assert (counts.queued, counts.running, counts.refusals) == (0, 0, [HOST])
    # It has used no slot of this process.
    assert run(workers, lambda: "now", charged=True, seconds=0.1).result(PATIENCE) == "now"


def test_slot_that_was_not_used_is_returned(workers: Workers) -> None:
    assert run(workers, lambda: workers.give_back(HOST), charged=True).result(PATIENCE) is None
    assert run(workers, lambda: "now", charged=True, seconds=0.1).result(PATIENCE) == "now"


def test_closing_cancels_queued_work_and_not_running_work(workers: Workers) -> None:
    held = [HeldWork() for _ in range(4)]
    results = [run(workers, work) for work in held]
    for work in held[:2]:
        assert work.started.wait(PATIENCE)
    workers.close()
    for result in results[2:]:
        assert isinstance(result.exception(PATIENCE), UnavailableError)
    with pytest.raises(UnavailableError, match="shutting down"):
        run(workers, lambda: "late")
    for work in held:
        work.release()
    assert [result.result(PATIENCE) for result in results[:2]] == ["done"] * 2
    assert not any(work.started.is_set() for work in held[2:])
    assert is_idle(workers)


def test_work_that_gets_no_thread_is_not_run_later(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    work = HeldWork()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                run(workers, work)
    assert is_idle(workers)
    assert run(workers, lambda: "later").result(PATIENCE) == "later"
    assert not work.started.is_set()


def test_work_that_would_wait_without_a_pacer_is_refused(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [HeldWork() for _ in range(2)]
    results = [run(workers, work) for work in held]

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            run(workers, lambda: "waits")
    for work in held:
        work.release()
    assert [result.result(PATIENCE) for result in results] == ["done"] * 2
    assert is_idle(workers)
