"""Whatever the server holds or does, what was not sealed here is absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.shared_cache.sealing import MAX_VALUE_BYTES
from sealgate.shared_cache.store import Slot
from tests.shared_cache.environment import BRIEFLY, PATIENCE, Replica
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from tests.support.real_tools.valkey import ValkeyServer

pytestmark = pytest.mark.real
OLD, NEW = b"o" * 32, b"n" * 32


def _slot(replica: Replica, part: str = "app", key: int = 0) -> Slot:
    return Slot(replica.keys[key], replica.keys[key].name("tag", [part]))


def _read(replica: Replica, *slots: Slot) -> list[bytes]:
    return [opened.payload for _, opened in replica.store.get(slots or (_slot(replica),))]


def test_value_is_read_by_another_replica_until_it_expires(server: ValkeyServer) -> None:
    clock = FakeClock()
    with Replica(server.port, clock=clock) as one, Replica(server.port, clock=clock) as other:
        one.store.put(_slot(one), b"value", 30.0)
        assert _read(other) == [b"value"]
        clock.advance(30.0)
        assert _read(other) == []
        assert other.observer.seen == {("get", "hit"): 1, ("get", "rejected"): 1, ("get", "miss"): 1}
        # The server forgets it too.
        assert 0 < server.admin.pttl(_slot(one).name) <= 30_000


def test_attack_86_what_others_write_is_a_miss(server: ValkeyServer) -> None:
    with Replica(server.port) as replica:
        slot = _slot(replica)
        for garbage in (b"", b"x", bytes(1 << 20), b"\1" + bytes(100), b'{"outcome":"verified"}'):
            server.admin.set(slot.name, garbage)
            assert _read(replica) == []
        server.admin.delete(slot.name)
        server.admin.hset(slot.name, "a", "b")
        assert _read(replica) == []
        assert replica.connections.connected
        replica.store.put(slot, b"value", 30.0)
        assert _read(replica) == [b"value"]


def test_attack_86_a_value_replayed_under_another_name_or_after_its_expiry_is_a_miss(server: ValkeyServer) -> None:
    clock = FakeClock()
    with Replica(server.port, clock=clock) as replica:
        one, other = _slot(replica, "signed"), _slot(replica, "unsigned")
        replica.store.put(one, b"value", 30.0)
        recorded = server.admin.get(one.name)
        server.admin.set(other.name, recorded)
        assert _read(replica, other) == []
        assert _read(replica, one) == [b"value"]
        clock.advance(30.0)
        server.admin.set(one.name, recorded)
        assert _read(replica, one) == []


def test_value_of_the_previous_key_is_read_during_a_rotation(server: ValkeyServer) -> None:
    clock = FakeClock()
    with Replica(server.port, OLD, clock=clock) as before, Replica(server.port, NEW, OLD, clock=clock) as after:
        before.store.put(_slot(before), b"value", 30.0)
        assert _read(after, _slot(after), _slot(after, key=1)) == [b"value"]
        after.store.put(_slot(after), b"newer", 30.0)
        assert _read(after, _slot(after), _slot(after, key=1)) == [b"newer", b"value"]
        # The one that has not seen the rotation yet goes on with its own.
        assert _read(before) == [b"value"]


def test_replicas_of_other_versions_and_other_keys_share_nothing(server: ValkeyServer) -> None:
    clock = FakeClock()
    with (
        Replica(server.port, OLD, clock=clock) as replica,
        Replica(server.port, OLD, clock=clock, binding="v2") as upgraded,
        Replica(server.port, NEW, clock=clock) as stranger,
    ):
        replica.store.put(_slot(replica), b"value", 30.0)
        for other in (upgraded, stranger):
            assert _read(other) == []
            assert _read(other, Slot(other.keys[0], _slot(replica).name)) == []


def test_full_server_drops_what_is_written_and_goes_on_reading(server: ValkeyServer) -> None:
    with Replica(server.port) as replica:
        replica.store.put(_slot(replica), b"value", 30.0)
        server.admin.config_set("maxmemory-policy", "noeviction")
        server.admin.config_set("maxmemory", 1)
        replica.store.put(_slot(replica, "other"), b"value", 30.0)
        assert _read(replica, _slot(replica, "other")) == []
        assert _read(replica) == [b"value"]
        assert replica.observer.seen["put", "refused"] == 1
        assert replica.connections.connected


def test_server_without_answers_is_a_miss(server: ValkeyServer) -> None:
    with Replica(server.port, seconds=BRIEFLY) as replica:
        server.pause()
        try:
            replica.store.put(_slot(replica), b"value", 30.0)
            assert _read(replica) == []
            assert replica.observer.seen == {("put", "unavailable"): 1, ("get", "unavailable"): 1}
        finally:
            server.resume()
        assert replica.connections.wait_connected(PATIENCE)


def test_nothing_too_large_or_already_expired_is_written(server: ValkeyServer) -> None:
    with Replica(server.port) as replica:
        replica.store.put(_slot(replica), bytes(MAX_VALUE_BYTES), 30.0)
        replica.store.put(_slot(replica), b"value", 0.0)
        assert server.admin.dbsize() == 0
