"""Single flight, host limiter and wait slots together: the order of events of one call."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import NotFoundError, UnavailableError
from sealgate.registry.client import RegistryClient
from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate.verification import host_limiter
from sealgate.verification.context import VerifierContext
from sealgate.verification.continuations import Continuations
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.single_flight import NotStartedError
from tests.support.clocks import FakeClock
from tests.verification.work import PATIENCE, HeldWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

HOST = "registry.example.org"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def context(clock: FakeClock) -> Iterator[VerifierContext]:
    settings = VerifierSettings(host_concurrency=2, workers=8, max_waiters=3, unresponsive_after=5)
    with RegistryClient() as network:
        context = VerifierContext.assemble(network, clock, settings, NullObserver(), MemoryTrustedState())
        yield context
        context.limiter.close()


def prepared(work: Callable[[], object]) -> Callable[[], Callable[[], object]]:
    return lambda: work


def test_callers_with_the_same_key_share_one_piece_of_work(context: VerifierContext) -> None:
    work = HeldWork()
    first, joined_first = context.start("a", HOST, prepared(work))
    others = [context.start("a", HOST, prepared(work)) for _ in range(299)]
    work.release()
    assert first.result(PATIENCE) == "done"
    assert not joined_first
    assert all(future is first and joined for future, joined in others)
    assert work.calls == 1


def test_callers_that_joined_get_the_exception_of_the_work(context: VerifierContext) -> None:
    work = HeldWork(NotFoundError("gone"))
    futures = [context.start("a", HOST, prepared(work))[0] for _ in range(2)]
    work.release()
    for future in futures:
        with pytest.raises(NotFoundError, match="gone"):
            future.result(PATIENCE)
    assert work.calls == 1


@pytest.mark.parametrize("expected", ["one", NotFoundError("gone")])
def test_completed_call_is_not_joined(context: VerifierContext, expected: object) -> None:
    for _ in range(200):
        work = HeldWork(expected)
        work.release()
        future, joined = context.start("a", HOST, prepared(work))
        error = future.exception(PATIENCE)
        assert (error or future.result()) is expected
        assert not joined


def test_error_before_start_reaches_its_caller_and_frees_the_call(context: VerifierContext) -> None:
    def refuse() -> Callable[[], object]:
        raise UnavailableError("no budget")

    with pytest.raises(UnavailableError, match="no budget"):
        context.start("a", HOST, refuse)
    assert context.limiter._hosts == {}
    future, joined = context.start("a", HOST, prepared(lambda: "now"))
    assert future.result(PATIENCE) == "now"
    assert not joined


def test_work_is_not_prepared_for_a_full_queue(context: VerifierContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_limiter, "MAX_QUEUED", 1)
    work = HeldWork()
    futures = [context.start(number, HOST, prepared(work))[0] for number in range(3)]
    preparations: list[str] = []

    def prepare() -> Callable[[], object]:
        preparations.append("prepared")
        return work

    with pytest.raises(UnavailableError, match="too many images wait"):
        context.start("further", HOST, prepare)
    assert preparations == []
    # A caller that joins needs no room in the queue.
    assert context.start(2, HOST, prepare) == (futures[2], True)
    assert preparations == []
    work.release()
    assert [future.result(PATIENCE) for future in futures] == ["done"] * 3


def test_work_is_prepared_under_no_lock(context: VerifierContext) -> None:
    def prepare() -> Callable[[], object]:
        # Another thread acquires each of the locks at the same time.
        with ThreadPoolExecutor(1) as pool:
            slot = pool.submit(context.wait_slots.acquire, HOST).result(PATIENCE)
            slot.release()
            other, _ = pool.submit(context.start, "b", HOST, prepared(lambda: "other")).result(PATIENCE)
            assert other.result(PATIENCE) == "other"
        return lambda: "done"

    future, _ = context.start("a", HOST, prepare)
    assert future.result(PATIENCE) == "done"


def test_caller_starts_a_joined_call_that_was_not_started(context: VerifierContext, clock: FakeClock) -> None:
    preparing, let_go = threading.Event(), threading.Event()

    def refuse() -> Callable[[], object]:
        preparing.set()
        assert let_go.wait(PATIENCE)
        raise UnavailableError("no budget before this caller's deadline")

    def lead() -> None:
        with pytest.raises(UnavailableError, match="no budget"):
            context.start("a", HOST, refuse)

    started: list[tuple[Future[object], bool]] = []

    def start() -> Future[object]:
        started.append(context.start("a", HOST, prepared(lambda: "mine")))
        return started[-1][0]

    results: list[object] = []
    errors: list[BaseException] = []
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(lead)
        assert preparing.wait(PATIENCE)
        continuations = Continuations(context.wait_slots)
        continuations.add(HOST, start, results.append, errors.append)
        let_go.set()
        leader.result(PATIENCE)
        continuations.run(Deadline.after(clock, PATIENCE))
        continuations.cancel()
    assert (results, errors) == (["mine"], [])
    (first, joined), (second, joined_again) = started
    assert isinstance(first.exception(), NotStartedError)
    assert (joined, joined_again) == (True, False)
    assert second.result() == "mine"
    assert context.wait_slots._waiters == {}


def test_many_callers_get_a_result_although_some_leaders_stop(context: VerifierContext, clock: FakeClock) -> None:
    """Every third caller cannot start work and alone is refused; the others get the result of a call."""

    def ask(number: int) -> object:
        def prepare() -> Callable[[], object]:
            if number % 3 == 0:
                raise UnavailableError("no budget")
            return lambda: "done"

        outcome: list[object] = []
        continuations = Continuations(context.wait_slots)
        try:
            continuations.add(HOST, lambda: context.start("a", HOST, prepare)[0], outcome.append, outcome.append)
            continuations.run(Deadline.after(clock, PATIENCE))
        finally:
            continuations.cancel()
        (only,) = outcome
        return only

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(300)))
    for number, answer in enumerate(answers):
        assert answer == "done" or (number % 3 == 0 and isinstance(answer, UnavailableError))
    assert context.wait_slots._waiters == {}
    assert context.limiter._hosts == {}
