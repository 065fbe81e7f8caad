"""Entries of the background: in turn, once each, bounded in bytes, hosts and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.verification import background_queue
from sealgate.verification.background_queue import (
    MAX_HOSTS_OF_NAMESPACE,
    MAX_SECONDS,
    BackgroundEntry,
    BackgroundQueue,
)
from tests.support.examples import examples

if TYPE_CHECKING:
    from sealgate.verification.observers import BackgroundResult

HOST = "registry.example.org"


def entry(namespace: str = "a", key: str = "image", host: str = HOST, size: int = 1) -> BackgroundEntry:
    return BackgroundEntry(key, host, namespace, size, lambda: "done")


def keep(queue: BackgroundQueue, *entries: BackgroundEntry, now: float = 0.0) -> None:
    for each in entries:
        queue.keep(each, now)


def served(queue: BackgroundQueue, host: str = HOST) -> list[str]:
    """Run all entries of a host one after the other; return their keys."""
    keys = []
    while (each := queue.first(host)) is not None:
        keys.append(str(each.key))
        queue.pass_turn(each)
        queue.end(each, "done")
    return keys


def ended(queue: BackgroundQueue) -> list[tuple[str, BackgroundResult]]:
    return [(str(each.key), result) for each, result in queue.ended]


def test_namespaces_take_turns_and_each_is_served_in_order() -> None:
    queue = BackgroundQueue()
    keep(queue, *(entry("a", f"a{number}") for number in range(4)), entry("b", "b0"), entry("b", "b1"))
    assert served(queue) == ["a0", "b0", "a1", "b1", "a2", "a3"]
    assert len(queue) == queue.size == 0


def test_entry_that_runs_is_not_served_again() -> None:
    queue = BackgroundQueue()
    keep(queue, entry(key="one"), entry(key="two"))
    first = queue.first(HOST)
    assert first is not None
    first.running = True
    second = queue.first(HOST)
    assert second is not None
    assert second.key == "two"


def test_entry_that_is_asked_for_again_keeps_its_place_for_longer() -> None:
    queue = BackgroundQueue()
    keep(queue, entry(key="one"), entry(key="two"))
    keep(queue, entry(key="one"), now=MAX_SECONDS - 1)
    assert len(queue) == 2
    first = queue.first(HOST)
    assert first is not None
    assert first.key == "one"
    queue.expire(MAX_SECONDS)
    assert ended(queue) == [("two", "expired")]
    queue.expire(2 * MAX_SECONDS - 1)
    assert ended(queue) == [("two", "expired"), ("one", "expired")]


def test_equal_entries_of_two_namespaces_wait_in_the_turn_of_each() -> None:
    queue = BackgroundQueue()
    keep(queue, entry("a"), entry("b"))
    assert len(queue) == 2


def test_deferred_host_is_left_out_until_its_time() -> None:
    queue = BackgroundQueue()
    keep(queue, entry(), entry(key="other", host="other.example.org"))
    queue.defer(HOST, 5.0)
    assert queue.hosts(4.9) == ["other.example.org"]
    assert queue.hosts(5.0) == [HOST, "other.example.org"]


def test_full_memory_takes_the_newest_of_the_largest_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_queue, "MAX_BYTES", 4)
    queue = BackgroundQueue()
    keep(queue, *(entry("flood", f"f{number}") for number in range(6)), entry("b", "b0"), entry("b", "b1"))
    assert ended(queue) == [("f4", "full"), ("f5", "full"), ("f3", "full"), ("f2", "full")]
    keep(queue, entry("b", "b2"), entry("flood", "f6"))
    assert ended(queue)[4:] == [("b2", "full"), ("f6", "full")]
    assert served(queue) == ["f0", "b0", "f1", "b1"]


def test_hosts_of_one_namespace_are_bounded() -> None:
    queue = BackgroundQueue()
    keep(queue, *(entry("a", f"a{number}", f"h{number}.example.org") for number in range(MAX_HOSTS_OF_NAMESPACE + 1)))
    assert ended(queue) == [(f"a{MAX_HOSTS_OF_NAMESPACE}", "full")]
    keep(queue, entry("b", "b0", f"h{MAX_HOSTS_OF_NAMESPACE}.example.org"))
    assert len(queue) == MAX_HOSTS_OF_NAMESPACE + 1


def test_hosts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_queue, "MAX_HOSTS", 2)
    queue = BackgroundQueue()
    keep(queue, *(entry(f"n{number}", host=f"h{number}.example.org") for number in range(3)))
    assert len(queue.hosts(0.0)) == 2
    assert ended(queue) == [("image", "full")]


NAMES = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(st.just("keep"), NAMES, st.sampled_from("123456"), NAMES, st.integers(1, 4)),
    st.tuples(st.just("serve"), NAMES),
    st.tuples(st.just("pass"), st.sampled_from([1.0, MAX_SECONDS / 2, MAX_SECONDS])),
    st.tuples(st.just("clear")),
)


@given(st.lists(STEPS, max_size=60))
@settings(max_examples=examples(100), deadline=None)
def test_nothing_is_lost_and_memory_is_bounded(steps: list[tuple[object, ...]]) -> None:
    """Property: what was kept waits or has ended, once; the sizes add up and stay below the limit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background_queue, "MAX_BYTES", 12)
        queue, now, kept = BackgroundQueue(), 0.0, 0
        for step in steps:
            match step:
                case ("keep", str(namespace), str(key), str(host), int(size)):
                    before = len(queue) + len(queue.ended)
                    queue.keep(entry(namespace, key, host, size), now)
                    kept += len(queue) + len(queue.ended) - before
                case ("serve", str(host)):
                    first = queue.first(host)
                    if first is not None:
                        queue.pass_turn(first)
                        queue.end(first, "done")
                case ("pass", float(seconds)):
                    now += seconds
                    queue.expire(now)
                case _:
                    queue.clear()
            waiting = [
                each
                for namespaces in queue._hosts.values()
                for entries in namespaces.values()
                for each in entries.values()
            ]
            assert len(waiting) == len(queue)
            assert queue.size == sum(each.size for each in waiting) <= 12
            assert len(queue) + len(queue.ended) == kept
