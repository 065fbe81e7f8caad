from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sealgate.verification.shares import Shares

NAMESPACES = ["a", "b", "c", "d"]


def fill(shares: Shares, namespace: str) -> int:
    """Take as many places as a namespace may, and return how many."""
    count = 0
    while shares.may_take(namespace):
        shares.enter(namespace)
        shares.take(namespace)
        count += 1
    return count


def test_namespace_that_is_alone_takes_everything() -> None:
    assert fill(Shares(12, 36), "a") == 12


def test_further_namespaces_get_their_shares_at_once() -> None:
    shares = Shares(12, 36)
    fill(shares, "flood")
    shares.enter("b")
    assert fill(shares, "b") == 6
    shares.enter("c")
    assert fill(shares, "c") == 4
    assert not shares.may_take("flood")


def test_ceiling_ends_what_is_lent() -> None:
    shares = Shares(4, 6)
    fill(shares, "flood")
    for number in range(10):
        shares.enter(f"n{number}")
    assert [fill(shares, f"n{number}") for number in range(10)] == [1, 1, *[0] * 8]


@given(st.lists(st.tuples(st.sampled_from(NAMESPACES), st.booleans()), max_size=100))
def test_each_namespace_may_have_its_share(steps: list[tuple[str, bool]]) -> None:
    limit = 8
    shares = Shares(limit, limit * len(NAMESPACES))
    taken: list[str] = []
    for namespace, ends in steps:
        if ends and taken:
            ended = taken.pop()
            shares.release(ended)
            shares.leave(ended)
            continue
        shares.enter(namespace)
        if shares.may_take(namespace):
            shares.take(namespace)
            taken.append(namespace)
        else:
            assert taken.count(namespace) >= limit // len({*taken, namespace})
            assert len(taken) >= limit
            shares.leave(namespace)
        assert shares.in_use == len(taken)
    for namespace in taken:
        shares.release(namespace)
        shares.leave(namespace)
    assert shares.idle


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(NAMESPACES)), max_size=40))
def test_counts_move_between_shares(places: list[tuple[bool, str]]) -> None:
    here, there, total = Shares(4, 8), Shares(4, 8), Shares(8, 16)
    for first, namespace in places:
        for shares in (here if first else there, total):
            shares.enter(namespace)
            shares.take(namespace)
    here.add(there)
    assert here.in_use == total.in_use
    here.subtract(there)
    there.add(here)
    there.subtract(total)
    assert there.idle
    assert there.in_use == 0
