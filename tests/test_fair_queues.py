from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sealgate.fair_queues import FairQueue

KEYS = st.sampled_from("abcd")


def drain(queue: FairQueue[str, int]) -> list[int]:
    items = []
    while (item := queue.pop(lambda *_: True)) is not None:
        items.append(item)
    return items


def test_keys_take_turns() -> None:
    queue: FairQueue[str, int] = FairQueue()
    for number in range(4):
        queue.push("flood", number)
    queue.push("other", 10)
    queue.push("third", 20)
    queue.push("other", 11)
    assert drain(queue) == [0, 10, 20, 1, 11, 2, 3]
    assert len(queue) == 0


def test_items_that_may_not_run_delay_no_other_key() -> None:
    queue: FairQueue[str, int] = FairQueue()
    queue.push("held", 1)
    queue.push("free", 2)
    assert queue.pop(lambda key, _: key != "held") == 2
    assert queue.pop(lambda key, _: key != "held") is None
    assert drain(queue) == [1]


@given(st.lists(KEYS | st.none(), max_size=200))
def test_no_key_waits_for_more_than_one_item_of_each_other(steps: list[str | None]) -> None:
    queue: FairQueue[str, tuple[str, int]] = FairQueue()
    served_since: dict[str, dict[str, int]] = {}
    sent: list[tuple[str, int]] = []
    received: list[tuple[str, int]] = []
    for number, key in enumerate([*steps, *[None] * len(steps)]):
        if key is not None:
            sent.append((key, number))
            queue.push(key, (key, number))
            served_since.setdefault(key, {})
            continue
        item = queue.pop(lambda *_: True)
        if item is None:
            continue
        received.append(item)
        owner = item[0]
        waiting = {key for key, _ in sent if (key, _) not in received}
        served_since.pop(owner)
        if owner in waiting:
            served_since[owner] = {}
        for other in waiting - {owner}:
            count = served_since[other]
            count[owner] = count.get(owner, 0) + 1
            assert count[owner] <= 1
    assert sorted(received) == sorted(sent)
    for key in "abcd":
        assert [item for item in received if item[0] == key] == [item for item in sent if item[0] == key]
