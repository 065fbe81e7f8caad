"""Queue that serves its keys in turn, so that no key waits for all items of another one (round robin)."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    K = TypeVar("K", bound=Hashable)
else:
    K = TypeVar("K")
T = TypeVar("T")


class FairQueue(Generic[K, T]):
    """Items by key, in order for each key; the keys take turns. Not thread-safe.

    A key without items has no turn, and one that gets items again comes last.
    """

    def __init__(self) -> None:
        # In the order of the turns.
        self._items: OrderedDict[K, deque[T]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        """Return the number of items of all keys."""
        return self._length

    def __iter__(self) -> Iterator[T]:
        """Return the items in the order in which they would be served."""
        return in_turns(self._items.values())

    def push(self, key: K, item: T) -> None:
        """Add an item behind those of its key."""
        self._items.setdefault(key, deque()).append(item)
        self._length += 1

    def put_back(self, key: K, item: T) -> None:
        """Add an item that was taken before all others."""
        self._items.setdefault(key, deque()).appendleft(item)
        self._items.move_to_end(key, last=False)
        self._length += 1

    def pop(self, may_run: Callable[[K, T], bool] = lambda *_: True) -> T | None:
        """Take the first item of the first key in turn whose first item may run; None if there is none.

        Args:
            may_run: called with a key and its first item; must not change the queue.
        """
        for key, items in self._items.items():
            if may_run(key, items[0]):
                item = items.popleft()
                self._length -= 1
                if items:
                    self._items.move_to_end(key)
                else:
                    del self._items[key]
                return item
        return None

    def first(self) -> T | None:
        """Return the item that is served next; None if there is none."""
        return next((items[0] for items in self._items.values()), None)

    def remove(self, key: K, item: T) -> None:
        """Remove an item that was pushed with this key and has not been taken."""
        items = self._items[key]
        items.remove(item)
        self._length -= 1
        if not items:
            del self._items[key]

    def discard(self, key: K, item: T) -> bool:
        """Remove an item that was pushed with this key; return whether it was still there."""
        waits = item in self._items.get(key, ())
        if waits:
            self.remove(key, item)
        return waits

    def count(self, key: K) -> int:
        """Return the number of items of a key."""
        return len(self._items.get(key, ()))

    def ahead(self, key: K) -> int:
        """Return how many items are served before one that is pushed with this key now."""
        return count_ahead(((other, len(items)) for other, items in self._items.items()), key, self.count(key))


def in_turns(groups: Iterable[Iterable[T]]) -> Iterator[T]:
    """Return one item of each group after the other, then the second ones, and so on."""
    turns = deque(iter(group) for group in groups)
    while turns:
        group = turns.popleft()
        for item in group:
            yield item
            turns.append(group)
            break


def count_ahead(lengths: Iterable[tuple[K, int]], key: K, own: int) -> int:
    """Return how many items are served before a new one of a key.

    Args:
        lengths: number of items of each key, in the order of the turns.
        key: the key of the new item; one that is not among them comes last.
        own: how many items of that key are served before it.
    """
    count, turns = own, own + 1
    for other, length in lengths:
        if other == key:
            turns = own
        else:
            count += min(length, turns)
    return count
