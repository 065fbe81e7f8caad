from __future__ import annotations

import gc
import hashlib
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealgate.references import Repository
from sealgate.registry.callers import OPEN, access_of
from sealgate.verification.byte_cache import ByteCache, Hit, Key, Usage, size_of
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from sealgate.registry.callers import Access

#: Bytes of an entry of `put`.
SIZE = size_of(Key("group", b"\0" * 32), b"value", OPEN)


def key(number: int) -> Key:
    return Key("group", number.to_bytes(32, "big"))


def put(cache: ByteCache, number: int, namespace: str = "shop", seconds: float = 600) -> None:
    cache.put(key(number), b"value", seconds, OPEN, namespace)


def test_entry_is_a_hit_until_it_expires() -> None:
    clock = FakeClock()
    cache = ByteCache(100 * SIZE, clock)
    put(cache, 1)
    clock.advance(599.999)
    assert cache.get(key(1)) == Hit(b"value", 600, OPEN)
    clock.advance(0.001)
    assert cache.get(key(1)) is None


def test_least_recently_used_entry_is_evicted_first() -> None:
    cache = ByteCache(10 * SIZE, FakeClock())
    for number in range(10):
        put(cache, number)
    assert cache.get(key(0)) is not None
    put(cache, 10)
    assert cache.get(key(0)) is not None
    assert cache.get(key(1)) is None
    assert cache.usage == Usage(10 * SIZE, 10, 1)


def test_entry_is_replaced_with_its_size_and_namespace() -> None:
    cache = ByteCache(100 * SIZE, FakeClock())
    put(cache, 1)
    cache.put(key(1), b"a longer value", 10, OPEN, "other")
    assert cache.get(key(1)) == Hit(b"a longer value", 10, OPEN)
    assert cache.usage == Usage(SIZE + 9, 1, 0)


def test_entry_that_takes_much_of_the_cache_is_not_cached() -> None:
    cache = ByteCache(100 * SIZE, FakeClock())
    put(cache, 1)
    cache.put(key(1), b"x" * 13 * SIZE, 600, OPEN, "shop")
    assert cache.usage == Usage(0, 0, 0)


def test_expired_entries_of_all_namespaces_are_removed_and_not_counted_as_evicted() -> None:
    clock = FakeClock()
    cache = ByteCache(1000 * SIZE, clock)
    for number in range(100):
        put(cache, number, f"team-{number % 10}", seconds=30)
    clock.advance(30)
    for number in range(100, 200):
        put(cache, number, "shop")
    assert cache.usage == Usage(100 * SIZE, 100, 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), max_size=200), st.integers(8, 40))
def test_cache_stays_within_its_limit_and_is_fair(puts: list[tuple[int, int]], entries: int) -> None:
    cache = ByteCache(entries * SIZE, FakeClock())
    owned: dict[int, str] = {}
    for namespace, number in puts:
        owned[number] = f"team-{namespace}"
        put(cache, number, f"team-{namespace}")
        assert cache.usage.size <= entries * SIZE
    held = {number for number in owned if cache.get(key(number)) is not None}
    assert cache.usage.size == len(held) * SIZE
    for team in set(owned.values()):
        wanted = {number for number, owner in owned.items() if owner == team}
        # A namespace that wants at most its share of a full cache has it, less what one batch takes.
        if len(wanted) <= entries // 8:
            assert wanted <= held


def test_any_number_of_entries_evicts_none_of_a_namespace_with_fewer() -> None:
    cache = ByteCache(1000 * SIZE, FakeClock())
    for number in range(400):
        put(cache, number, "shop")
    for number in range(1000, 20_000):
        put(cache, number, "flood")
    assert all(cache.get(key(number)) is not None for number in range(400))
    assert cache.usage.evicted > 18_000


def _private(number: int, repositories: int) -> Access:
    repository = Repository("registry.example.org", f"team-{number % repositories}/app")
    return access_of({repository: (hashlib.sha256(b"%d" % (number % repositories)).digest(),)})


@pytest.mark.parametrize(
    ("value", "repositories"), [(b"", 0), (b"x" * 32, 0), (b"x" * 100, 125), (b"x" * 100, 2_500), (b"x" * 2000, 0)]
)
def test_estimated_size_is_near_what_python_allocates(value: bytes, repositories: int) -> None:
    cache = ByteCache(1 << 30, FakeClock())
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(2_500):
            access = _private(number, repositories) if repositories else OPEN
            item = hashlib.sha256(b"%d" % number).digest()
            cache.put(Key("group", item), bytes(bytearray(value)), 600.0 + number, access, f"team-{number % 50}")
        gc.collect()
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert allocated / 1.7 <= cache.usage.size <= allocated * 1.7
