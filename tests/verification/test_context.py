"""Single flight, workers and wait slots together: the order of events of one call."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import NotFoundError, UnavailableError
from sealgate.policies.matching import Namespace
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate.verification import work_queue
from sealgate.verification.context import VerifierContext
from sealgate.verification.continuations import Continuations
from sealgate.verification.observers import NullObserver
from sealgate.verification.requests import VerificationRequest
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.single_flight import NotStartedError
from tests.support.clocks import FakeClock
from tests.support.environments.verifier import policy_set
from tests.verification.work import PATIENCE, HeldWork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

HOST = "registry.example.org"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def context(clock: FakeClock) -> Iterator[VerifierContext]:
    settings = VerifierSettings(silent_host_concurrency=2, workers=8, max_waiters=3, unresponsive_after=5)
    with RegistryClient() as network:
        context = VerifierContext.assemble(network, clock, settings, NullObserver(), MemoryTrustedState())
        yield context
        context.workers.close()


@pytest.fixture
def request_(clock: FakeClock) -> VerificationRequest:
    return request_of("default", clock)


def request_of(namespace: str, clock: FakeClock) -> VerificationRequest:
    policies = policy_set([], [])
    return VerificationRequest(policies, Namespace(namespace), NoCredentials(), Deadline.after(clock, 10))


def test_callers_with_the_same_key_share_one_piece_of_work(
    context: VerifierContext, request_: VerificationRequest
) -> None:
    work = HeldWork()
    first, joined_first = context.start("a", HOST, request_, work)
    others = [context.start("a", HOST, request_, work) for _ in range(299)]
    work.release()
    assert first.result(PATIENCE) == "done"
    assert not joined_first
    assert all(future is first and joined for future, joined in others)
    assert work.calls == 1


def test_callers_that_joined_get_the_exception_of_the_work(
    context: VerifierContext, request_: VerificationRequest
) -> None:
    work = HeldWork(NotFoundError("gone"))
    futures = [context.start("a", HOST, request_, work)[0] for _ in range(2)]
    work.release()
    for future in futures:
        with pytest.raises(NotFoundError, match="gone"):
            future.result(PATIENCE)
    assert work.calls == 1


@pytest.mark.parametrize("expected", ["one", NotFoundError("gone")])
def test_completed_call_is_not_joined(
    context: VerifierContext, request_: VerificationRequest, expected: object
) -> None:
    for _ in range(200):
        work = HeldWork(expected)
        work.release()
        future, joined = context.start("a", HOST, request_, work)
        error = future.exception(PATIENCE)
        assert (error or future.result()) is expected
        assert not joined


def test_error_before_start_reaches_its_caller_and_frees_the_call(
    context: VerifierContext, request_: VerificationRequest
) -> None:
    def refuse() -> object:
        raise UnavailableError("the cache cannot be read")

    with pytest.raises(UnavailableError, match="cannot be read"):
        context.start("a", HOST, request_, lambda: "work", known=refuse)
    assert list(context.workers._queue.hosts) == []
    future, joined = context.start("a", HOST, request_, lambda: "now")
    assert future.result(PATIENCE) == "now"
    assert not joined


def test_result_that_is_known_by_now_takes_no_worker(context: VerifierContext, request_: VerificationRequest) -> None:
    future, joined = context.start("a", HOST, request_, lambda: "work", charged=True, known=lambda: "known")
    assert future.result(0) == "known"
    assert not joined
    future, joined = context.start("a", HOST, request_, lambda: "work", charged=True, known=lambda: None)
    assert future.result(PATIENCE) == "work"
    assert not joined


def test_caller_that_joins_needs_no_room_in_a_full_queue(
    context: VerifierContext, request_: VerificationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_queue, "MAX_QUEUED", 1)
    work = HeldWork()
    futures = [context.start(number, HOST, request_, work)[0] for number in range(3)]
    with pytest.raises(UnavailableError, match="too many images of the namespace default wait"):
        context.start("further", HOST, request_, work)
    assert context.start(2, HOST, request_, work) == (futures[2], True)
    work.release()
    assert [future.result(PATIENCE) for future in futures] == ["done"] * 3


def test_work_of_a_flood_that_another_namespace_wants_has_the_turn_of_that(
    context: VerifierContext, request_: VerificationRequest, clock: FakeClock
) -> None:
    order: list[int] = []
    held = [HeldWork(), HeldWork()]
    for number, work in enumerate(held):
        context.start(("held", number), HOST, request_, work)
    futures = [context.start(number, HOST, request_, partial(order.append, number))[0] for number in range(9)]
    assert context.start(8, HOST, request_of("other", clock), partial(order.append, 8)) == (futures[8], True)
    # The namespace has less than its share, so its work starts although both workers are held.
    futures[8].result(PATIENCE)
    assert order[0] == 8
    for work in held:
        work.release()
    for future in futures:
        future.result(PATIENCE)
    assert sorted(order) == list(range(9))


def test_cache_is_read_under_no_lock(context: VerifierContext, request_: VerificationRequest) -> None:
    def known() -> object:
        # Another thread acquires each of the locks at the same time.
        with ThreadPoolExecutor(1) as pool:
            slot = pool.submit(context.wait_slots.acquire, HOST).result(PATIENCE)
            slot.release()
            other, _ = pool.submit(context.start, "b", HOST, request_, lambda: "other").result(PATIENCE)
            assert other.result(PATIENCE) == "other"
        return None

    future, _ = context.start("a", HOST, request_, lambda: "done", known=known)
    assert future.result(PATIENCE) == "done"


def test_caller_starts_a_joined_call_that_was_not_started(
    context: VerifierContext, request_: VerificationRequest, clock: FakeClock
) -> None:
    preparing, let_go = threading.Event(), threading.Event()

    def refuse() -> object:
        preparing.set()
        assert let_go.wait(PATIENCE)
        raise UnavailableError("no budget before this caller's deadline")

    def lead() -> None:
        with pytest.raises(UnavailableError, match="no budget"):
            context.start("a", HOST, request_, lambda: "theirs", known=refuse)

    started: list[tuple[Future[object], bool]] = []

    def start() -> Future[object]:
        started.append(context.start("a", HOST, request_, lambda: "mine"))
        return started[-1][0]

    results: list[object] = []
    errors: list[BaseException] = []
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(lead)
        assert preparing.wait(PATIENCE)
        continuations = Continuations(context.wait_slots, "default")
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
    assert not context.wait_slots._waiters


def test_many_callers_get_a_result_although_some_leaders_stop(
    context: VerifierContext, request_: VerificationRequest, clock: FakeClock
) -> None:
    """Every third caller cannot start work and alone is refused; the others get the result of a call."""

    def ask(number: int) -> object:
        def known() -> object:
            if number % 3 == 0:
                raise UnavailableError("no budget")
            return None

        def start() -> Future[object]:
            return context.start("a", HOST, request_, lambda: "done", known=known)[0]

        outcome: list[object] = []
        continuations = Continuations(context.wait_slots, "default")
        try:
            continuations.add(HOST, start, outcome.append, outcome.append)
            continuations.run(Deadline.after(clock, PATIENCE))
        finally:
            continuations.cancel()
        (only,) = outcome
        return only

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(300)))
    for number, answer in enumerate(answers):
        assert answer == "done" or (number % 3 == 0 and isinstance(answer, UnavailableError))
    assert not context.wait_slots._waiters
    assert list(context.workers._queue.hosts) == []
