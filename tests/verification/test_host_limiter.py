from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import DeadlineError, NotFoundError, UnavailableError
from sealgate.verification import host_limiter
from sealgate.verification.host_limiter import HostLimiter
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


def run(limiter: HostLimiter, host: str, work: Callable[[], object]) -> Future[object]:
    future: Future[object] = Future()

    def done(result: object, error: BaseException | None) -> None:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    limiter.admit(host)
    limiter.start(host, work, done)
    return future


def fail(error: Exception) -> object:
    raise error


def test_work_starts_only_when_it_is_started(limiter: HostLimiter) -> None:
    limiter.admit(HOST)
    work = HeldWork()
    assert not work.started.is_set()
    done = threading.Event()
    limiter.start(HOST, work, lambda *_: done.set())
    assert work.started.wait(PATIENCE)
    work.release()
    assert done.wait(PATIENCE)


def test_worker_limit_of_a_host_delays_no_other_host(limiter: HostLimiter) -> None:
    held = [HeldWork() for _ in range(5)]
    results = [run(limiter, HOST, work) for work in held]
    for work in held[:2]:
        assert work.started.wait(PATIENCE)
    assert run(limiter, "quick.example.org", lambda: "quick").result(PATIENCE) == "quick"
    assert not any(work.started.is_set() for work in held[2:])
    for work in held:
        work.release()
    assert [result.result(PATIENCE) for result in results] == ["done"] * 5
    assert limiter._hosts == {}


def test_full_queue_refuses_work_until_some_has_ended(limiter: HostLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_limiter, "MAX_QUEUED", 1)
    held = [HeldWork() for _ in range(2)]
    results = [run(limiter, HOST, work) for work in held]
    limiter.admit(HOST)
    with pytest.raises(UnavailableError, match=f"too many images wait for {HOST}"):
        limiter.admit(HOST)
    limiter.admit("quick.example.org")
    limiter.cancel("quick.example.org")
    limiter.cancel(HOST)
    results.append(run(limiter, HOST, lambda: "queued"))
    with pytest.raises(UnavailableError):
        limiter.admit(HOST)
    for work in held:
        work.release()
    assert [result.result(PATIENCE) for result in results] == ["done", "done", "queued"]
    limiter.admit(HOST)
    limiter.cancel(HOST)
    assert limiter._hosts == {}


def test_silence_counts_from_the_last_response(limiter: HostLimiter, clock: FakeClock) -> None:
    limiter.track(HOST)
    clock.advance(3)
    assert limiter.silent_seconds(HOST) == 3
    assert run(limiter, HOST, lambda: "quick").result(PATIENCE) == "quick"
    assert limiter.silent_seconds(HOST) == 0
    clock.advance(2)
    assert run(limiter, HOST, lambda: fail(NotFoundError("404"))).exception(PATIENCE)
    assert limiter.silent_seconds(HOST) == 0
    clock.advance(5)
    assert run(limiter, HOST, lambda: fail(DeadlineError("silence"))).exception(PATIENCE)
    assert limiter.silent_seconds(HOST) == 5
    limiter.untrack(HOST)
    assert limiter.silent_seconds(HOST) == 0


def test_silence_outlasts_work_while_a_caller_tracks_the_host(limiter: HostLimiter, clock: FakeClock) -> None:
    limiter.track(HOST)
    limiter.track(HOST)
    work = HeldWork(DeadlineError("silence"))
    result = run(limiter, HOST, work)
    clock.advance(30)
    work.release()
    assert result.exception(PATIENCE)
    limiter.untrack(HOST)
    assert limiter.silent_seconds(HOST) == 30
    limiter.untrack(HOST)
    assert limiter._hosts == {}


def test_results_are_delivered_after_the_update_without_a_lock(limiter: HostLimiter, clock: FakeClock) -> None:
    limiter.track(HOST)
    clock.advance(7)
    seen: Future[float] = Future()
    limiter.admit(HOST)
    limiter.start(HOST, lambda: None, lambda *_: seen.set_result(limiter.silent_seconds(HOST)))
    assert seen.result(PATIENCE) == 0


def test_closing_cancels_queued_work_and_not_running_work(limiter: HostLimiter) -> None:
    held = [HeldWork() for _ in range(4)]
    results = [run(limiter, HOST, work) for work in held]
    for work in held[:2]:
        assert work.started.wait(PATIENCE)
    limiter.admit(HOST)
    limiter.close()
    for result in results[2:]:
        assert isinstance(result.exception(PATIENCE), UnavailableError)
    late: Future[object] = Future()
    limiter.start(HOST, lambda: "late", lambda _, error: late.set_result(error))
    assert isinstance(late.result(PATIENCE), UnavailableError)
    for work in held:
        work.release()
    assert [result.result(PATIENCE) for result in results[:2]] == ["done"] * 2
    assert not any(work.started.is_set() for work in held[2:])
    assert limiter._hosts == {}


def test_work_that_gets_no_thread_is_not_run_later(limiter: HostLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    work = HeldWork()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                run(limiter, HOST, work)
    assert limiter._hosts == {}
    assert run(limiter, HOST, lambda: "later").result(PATIENCE) == "later"
    assert not work.started.is_set()
