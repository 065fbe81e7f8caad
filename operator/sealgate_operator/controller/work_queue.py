"""What is to be looked at: each object at most once, later if so wished, never by two workers at a time."""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sealgate.clocks import Clock

#: Seconds after the first failure, and the most after many.
FIRST_BACKOFF = 0.2
LONGEST_BACKOFF = 60.0


class Key(NamedTuple):
    """An object.

    Attributes:
        kind: "Authenticator", "VerificationPolicy".
        name: its name.
    """

    kind: str
    name: str


class WorkQueue:
    """Keys that wait; thread-safe.

    Args:
        clock: for pauses.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        #: When each key that waits is due; the heap may hold entries that this no longer agrees with.
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._working: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._closed = False

    def __len__(self) -> int:
        with self._condition:
            return len(self._due)

    def add(self, key: Key, delay: float = 0.0) -> None:
        """Have a key looked at, after so many seconds at the latest."""
        with self._condition:
            due = self._clock.monotonic() + delay
            if due < self._due.get(key, float("inf")):
                self._due[key] = due
                heapq.heappush(self._heap, (due, key))
                self._condition.notify()

    def take(self) -> Key | None:
        """Wait for a key that is due and that nobody works on; None once closed. Say `done` or `failed` after."""
        with self._condition:
            while not self._closed:
                key = self._pop()
                if key is not None:
                    self._working.add(key)
                    return key
                self._condition.wait(self._wait_seconds())
            return None

    def done(self, key: Key) -> None:
        """Say that a key was looked at."""
        with self._condition:
            self._failures.pop(key, None)
            self._working.discard(key)
            self._condition.notify()

    def failed(self, key: Key) -> float:
        """Say that a look failed; the key comes again after a growing pause, which is returned, seconds."""
        with self._condition:
            count = self._failures[key] = self._failures.get(key, 0) + 1
            self._working.discard(key)
        pause: float = min(FIRST_BACKOFF * 2 ** min(count - 1, 16), LONGEST_BACKOFF)
        self.add(key, pause)
        return pause

    def close(self) -> None:
        """Let every worker go home."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _pop(self) -> Key | None:
        now = self._clock.monotonic()
        held: list[tuple[float, Key]] = []
        found = None
        while found is None and self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) != due:
                continue
            if key in self._working:
                held.append((due, key))
                continue
            del self._due[key]
            found = key
        for entry in held:
            heapq.heappush(self._heap, entry)
        return found

    def _wait_seconds(self) -> float | None:
        """Return how long to wait for the next key; keys that somebody works on announce themselves."""
        waiting = [due for due, key in self._heap if key not in self._working]
        return max(0.001, min(waiting) - self._clock.monotonic()) if waiting else None
