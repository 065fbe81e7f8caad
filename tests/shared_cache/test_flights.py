"""One replica does the work, the others wait for it, and none for longer than a lease lasts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import SystemClock
from sealgate.shared_cache import flights
from sealgate.shared_cache.flights import LEASE_SECONDS, SharedFlights
from sealgate.shared_cache.store import Slot
from tests.shared_cache.environment import BRIEFLY, PATIENCE, Replica
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from tests.support.real_tools.valkey import ValkeyServer

pytestmark = pytest.mark.real


def _flights(replica: Replica) -> SharedFlights:
    return SharedFlights(replica.store, replica.clock, replica.observer)


def _nothing() -> None:
    return None


def _lease(replica: Replica) -> str:
    return replica.keys[0].name("lease", ["work"])


class _Work:
    """Work whose result replicas share through the server."""

    def __init__(self) -> None:
        self.done = 0
        self._lock = threading.Lock()

    def run(self, replica: Replica) -> bytes:
        slot = Slot(replica.keys[0], replica.keys[0].name("finding", ["work"]))

        def find() -> bytes | None:
            found = replica.store.get([slot])
            return found[0][1].payload if found else None

        with _flights(replica).lead(["work"], find) as found:
            if found is not None:
                return found
            with self._lock:
                self.done += 1
            replica.store.put(slot, b"result", 600.0)
            return b"result"


@pytest.mark.usefixtures("long_leases")
def test_replicas_that_start_together_work_once(server: ValkeyServer) -> None:
    work = _Work()
    with ExitStack() as stack:
        replicas = [stack.enter_context(Replica(server.port, clock=SystemClock())) for _ in range(5)]
        with ThreadPoolExecutor(20) as pool:
            results = list(pool.map(work.run, replicas * 4))
    assert results == [b"result"] * 20
    assert work.done == 1


@pytest.mark.usefixtures("long_leases")
def test_lease_is_released_after_the_work(server: ValkeyServer) -> None:
    with Replica(server.port) as replica:
        with _flights(replica).lead(["work"], _nothing):
            assert 0 < server.admin.pttl(_lease(replica)) <= flights.LEASE_SECONDS * 1000
        assert server.admin.get(_lease(replica)) is None


def test_lease_is_released_after_an_exception(server: ValkeyServer) -> None:
    with Replica(server.port) as replica:
        with pytest.raises(RuntimeError), _flights(replica).lead(["work"], _nothing):
            raise RuntimeError
        assert server.admin.get(_lease(replica)) is None


def test_dead_owner_delays_nobody_beyond_its_lease(server: ValkeyServer) -> None:
    clock = FakeClock()
    with Replica(server.port, clock=clock) as dead, Replica(server.port, clock=clock) as alive:
        name = _lease(dead)
        server.admin.set(name, dead.keys[0].seal(name, b"dead", dead.store.now + LEASE_SECONDS))
        with _flights(alive).lead(["work"], _nothing) as found:
            assert found is None
        assert sum(clock.slept) <= LEASE_SECONDS + 0.1


def test_lease_of_another_is_not_released(server: ValkeyServer) -> None:
    with Replica(server.port) as replica:
        with _flights(replica).lead(["work"], _nothing):
            server.admin.set(_lease(replica), b"of another")
        assert server.admin.get(_lease(replica)) == b"of another"


def test_attack_87_a_forged_or_old_lease_stops_nobody(server: ValkeyServer) -> None:
    clock = FakeClock()
    with Replica(server.port, clock=clock) as replica:
        name = _lease(replica)
        old = replica.keys[0].seal(name, b"old", replica.store.now)
        elsewhere = replica.keys[0].seal("sealgate:lease:other", b"other", replica.store.now + LEASE_SECONDS)
        for forged in (b"forged", old, elsewhere, bytes(1 << 20)):
            server.admin.set(name, forged)
            with _flights(replica).lead(["work"], _nothing) as found:
                assert found is None
        server.admin.delete(name)
        server.admin.hset(name, "a", "b")
        with _flights(replica).lead(["work"], _nothing) as found:
            assert found is None
    assert clock.slept == []


@pytest.mark.usefixtures("long_leases")
def test_waiting_replica_takes_over_when_the_owner_found_nothing(server: ValkeyServer) -> None:
    clock = SystemClock()
    with Replica(server.port, clock=clock) as one, Replica(server.port, clock=clock) as other:
        looked = threading.Event()

        def look() -> None:
            looked.set()

        def wait() -> bool:
            with _flights(other).lead(["work"], look):
                return server.admin.get(_lease(other)) is not None

        with ThreadPoolExecutor(1) as pool:
            with _flights(one).lead(["work"], _nothing):
                waiting = pool.submit(wait)
                assert looked.wait(PATIENCE)
            assert waiting.result(PATIENCE)


def test_without_a_server_everybody_works_at_once(server: ValkeyServer) -> None:
    clock = FakeClock()
    with Replica(server.port, clock=clock, seconds=BRIEFLY) as replica:
        server.kill()
        with _flights(replica).lead(["work"], _nothing) as found:
            assert found is None
    assert clock.slept == []
