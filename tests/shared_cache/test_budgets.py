"""Replicas share a budget; a number that is none, and a server that is none, leave each with its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealgate.clocks import Deadline
from sealgate.errors import RateLimitedError
from sealgate.shared_cache.budgets import MAX_WAIT_SECONDS, SharedBudgets
from tests.shared_cache.environment import BRIEFLY, Replica
from tests.support.clocks import FakeClock
from tests.support.examples import examples
from tests.support.real_tools.valkey import ValkeyServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.real
HOST = "registry.example.org"
#: A slot a minute: no test takes that long, so that none is added while it runs.
PER_MINUTE = 1.0


@pytest.fixture(scope="module")
def shared_server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


def _budgets(replica: Replica, per_minute: float = PER_MINUTE, burst: int = 10) -> SharedBudgets:
    return SharedBudgets(per_minute, burst, replica.store, replica.observer)


def _name(replica: Replica) -> str:
    return replica.keys[0].name("budget", [HOST])


def _within(seconds: float) -> Deadline:
    return Deadline.after(FakeClock(), seconds)


def _granted(budgets: SharedBudgets) -> bool:
    try:
        return budgets.reserve(HOST, _within(0.0)) == 0
    except RateLimitedError:
        return False


def test_replicas_together_get_the_burst_and_no_more(server: ValkeyServer) -> None:
    with ExitStack() as stack:
        budgets = [_budgets(stack.enter_context(Replica(server.port))) for _ in range(4)]
        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(_granted, budgets * 10)) == 10
        assert budgets[0].reserve("other.example.org", _within(0.0)) == 0


def test_slots_behind_the_burst_come_at_the_rate(server: ValkeyServer) -> None:
    with Replica(server.port) as one, Replica(server.port) as other:
        waits = [_budgets(each, 60.0, 1).reserve(HOST, _within(10.0)) for each in (one, other, one, other)]
        # Real seconds have passed on the server meanwhile; less than all of the waits.
        assert waits[0] == 0
        assert waits == sorted(waits)
        assert waits[3] <= 3.001


def test_refusal_says_when_to_retry_and_uses_nothing_up(server: ValkeyServer) -> None:
    with Replica(server.port) as replica:
        budgets = _budgets(replica, burst=1)
        assert _granted(budgets)
        for _ in range(3):
            with pytest.raises(RateLimitedError, match=rf"for {HOST}, which all replicas share") as caught:
                budgets.reserve(HOST, _within(5.0))
            assert 0 < caught.value.retry_after <= 60.1


def test_slot_given_back_is_granted_again(server: ValkeyServer) -> None:
    with Replica(server.port) as replica:
        budgets = _budgets(replica, burst=1)
        assert _granted(budgets)
        budgets.give_back(HOST)
        assert _granted(budgets)
        assert not _granted(budgets)


@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=40), st.floats().map(repr), st.integers().map(str)))
def test_attack_87_whatever_the_number_is_a_slot_comes_in_bounded_time(
    shared_server: ValkeyServer, number: bytes | str
) -> None:
    with Replica(shared_server.port) as replica:
        shared_server.admin.set(_name(replica), number)
        wait = _budgets(replica, 60.0, 1).reserve(HOST, _within(MAX_WAIT_SECONDS))
        assert 0 <= wait <= MAX_WAIT_SECONDS


@pytest.mark.parametrize("number", ["9e99", "inf", "nan", "99999999999999"])
def test_attack_87_number_beyond_any_wait_is_an_unused_budget(server: ValkeyServer, number: str) -> None:
    with Replica(server.port) as replica:
        server.admin.set(_name(replica), number)
        assert _granted(_budgets(replica))
        server.admin.delete(_name(replica))
        server.admin.hset(_name(replica), "a", "b")
        assert _granted(_budgets(replica))


def test_without_a_server_nothing_is_refused(server: ValkeyServer) -> None:
    with Replica(server.port, seconds=BRIEFLY) as replica:
        budgets = _budgets(replica, burst=1)
        assert _granted(budgets)
        server.kill()
        assert all(_granted(budgets) for _ in range(5))
        budgets.give_back(HOST)


def test_full_server_refuses_nothing(server: ValkeyServer) -> None:
    with Replica(server.port) as replica:
        server.admin.config_set("maxmemory", 1)
        assert all(_granted(_budgets(replica, burst=1)) for _ in range(5))
        assert replica.observer.seen["budget", "refused"] == 5


def test_spare_slot_is_granted_only_while_all_others_are_free(server: ValkeyServer) -> None:
    with Replica(server.port) as replica:
        budgets = _budgets(replica)
        assert budgets.reserve(HOST, _within(0.0), spare=True) == 0
        with pytest.raises(RateLimitedError) as refused:
            budgets.reserve(HOST, _within(0.0), spare=True)
        assert refused.value.retry_after is not None
        assert 0 < refused.value.retry_after <= 60
        # A review gets all the others.
        assert sum(_granted(budgets) for _ in range(11)) == 9
