"""Threads of the pool, shared fairly among tenants."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from sealgate_webhook.transport.request_pool import BusyError, RequestPool
from tests.webhook.servers import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate_webhook.transport.request_pool import PooledRequest


class Held:
    """A pool whose requests go on until they are let go."""

    def __init__(self, threads: int, waiting: int) -> None:
        self.pool = RequestPool(threads, waiting, size=1000)
        self.begun: list[str] = []
        self._go = threading.Event()

    def submit(self, tenant: str, size: int = 0) -> PooledRequest:
        return self.pool.submit(tenant, size, lambda: self._work(tenant))

    def let_go(self) -> None:
        self._go.set()

    def has_begun(self, *tenants: str) -> None:
        """Wait until requests of these tenants, and no others, have begun."""
        eventually(lambda: len(self.begun) >= len(tenants))
        assert sorted(self.begun) == sorted(tenants)

    def _work(self, tenant: str) -> str:
        self.begun.append(tenant)
        assert self._go.wait(PATIENCE_SECONDS)
        return tenant


@contextmanager
def holding(threads: int, waiting: int = 100) -> Iterator[Held]:
    """Open a pool, and let its requests go at the end."""
    held = Held(threads, waiting)
    try:
        yield held
    finally:
        held.let_go()
        held.pool.close()


@pytest.fixture
def held() -> Iterator[Held]:
    with holding(8) as held:
        yield held


def test_work_is_done_and_its_result_returned(held: Held) -> None:
    request = held.submit("shop")
    held.let_go()
    assert request.result.result(PATIENCE_SECONDS) == "shop"


def test_exception_reaches_the_caller(held: Held) -> None:
    def fail() -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        held.pool.submit("shop", 0, fail).result.result(PATIENCE_SECONDS)


def test_one_tenant_gets_at_most_half_of_the_threads(held: Held) -> None:
    flood = [held.submit("flood") for _ in range(50)]
    held.has_begun(*["flood"] * 4)
    held.submit("shop")
    held.has_begun(*["flood"] * 4, "shop")
    held.let_go()
    assert {request.result.result(PATIENCE_SECONDS) for request in flood} == {"flood"}


def test_many_tenants_that_flood_leave_a_thread_for_one_more(held: Held) -> None:
    for _ in range(20):
        for tenant in ("a", "b"):
            held.submit(tenant)
    # Half of all for the first, half of the rest for the second.
    eventually(lambda: len(held.begun) == 6)
    held.submit("shop")
    eventually(lambda: held.begun[-1] == "shop")


def test_tenants_take_turns() -> None:
    with holding(1) as held:
        first = held.submit("flood")
        rest = [held.submit(tenant) for tenant in ("flood", "flood", "flood", "shop")]
        held.let_go()
        for request in (first, *rest):
            request.result.result(PATIENCE_SECONDS)
        assert held.begun.index("shop") <= 2


def test_queue_is_bounded_and_a_tenant_gets_half_of_it() -> None:
    with holding(1, waiting=10) as held:
        held.submit("flood")
        for _ in range(5):
            held.submit("flood")
        with pytest.raises(BusyError):
            held.submit("flood")
        held.submit("shop")


def test_memory_of_requests_is_bounded_and_a_tenant_gets_half_of_it() -> None:
    with holding(8) as held:
        held.submit("flood", 500)
        with pytest.raises(BusyError):
            held.submit("flood", 100)
        small = held.submit("shop", 250)
        with pytest.raises(BusyError):
            held.submit("shop", 250)
        held.let_go()
        small.result.result(PATIENCE_SECONDS)
        eventually(lambda: _fits(held, 500))


def test_withdrawn_request_is_never_worked_on() -> None:
    with holding(1) as held:
        running, waiting = held.submit("shop"), held.submit("shop")
        held.has_begun("shop")
        assert not held.pool.withdraw(running)
        assert held.pool.withdraw(waiting)
        assert not held.pool.withdraw(waiting)
        last = held.submit("shop")
        held.let_go()
        last.result.result(PATIENCE_SECONDS)
        held.has_begun("shop", "shop")


def test_cancelled_result_costs_no_thread() -> None:
    with holding(1) as held:
        held.submit("shop")
        waiting = held.submit("shop")
        assert waiting.result.cancel()
        last = held.submit("shop")
        held.let_go()
        last.result.result(PATIENCE_SECONDS)
        held.has_begun("shop", "shop")


def _fits(held: Held, size: int) -> bool:
    try:
        held.submit("later", size)
    except BusyError:
        return False
    return True


def test_place_without_a_thread_counts_as_one(held: Held) -> None:
    with ExitStack() as stack:
        granted = [stack.enter_context(held.pool.place("shop", 10)) for _ in range(6)]
        # One tenant gets at most half of the places, whether it waits with threads or without.
        assert granted == [True] * 4 + [False] * 2
        held.submit("shop")
        held.submit("other")
        held.has_begun("other")
        # Those that wait for a thread come first.
        with held.pool.place("third", 10) as place:
            assert not place
    held.has_begun("shop", "other")


def test_place_needs_room_in_memory(held: Held) -> None:
    with held.pool.place("shop", 600) as first, held.pool.place("other", 600) as second:
        assert (first, second) == (True, False)
    with held.pool.place("other", 600) as again:
        assert again
