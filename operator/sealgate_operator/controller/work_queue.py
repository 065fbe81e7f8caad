"""Work queue of objects to reconcile: each at most once, optionally delayed, never by two workers at a time."""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sealgate.clocks import Clock

#: Seconds of back-off after the first failure, and the longest.
FIRST_BACKOFF = 0.2
LONGEST_BACKOFF = 60.0


class Key(NamedTuple):
    """Key of an object.

    Attributes:
        kind: "Authenticator" or "VerificationPolicy".
        name: name of the object.
    """

    kind: str
    name: str


class WorkQueue:
    """Queue of keys. Thread-safe.

    Args:
        clock: measures delays.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        #: When each queued key is due; entries of the heap that differ from this are obsolete.
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._working: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._closed = False

    def __len__(self) -> int:
        with self._condition:
            return len(self._due)

    def add(self, key: Key, delay: float = 0.0) -> None:
        """Queue a key, to be due in `delay` seconds or earlier if it is queued already."""
        with self._condition:
            due = self._clock.monotonic() + delay
            if due < self._due.get(key, float("inf")):
                self._due[key] = due
                heapq.heappush(self._heap, (due, key))
                self._condition.notify()

    def take(self) -> Key | None:
        """Wait for a due key that no worker holds; None once closed. The caller must call `done` or `failed`."""
        with self._condition:
            while not self._closed:
                key = self._pop()
                if key is not None:
                    self._working.add(key)
                    return key
                self._condition.wait(self._wait_seconds())
            return None

    def done(self, key: Key) -> None:
        """Release a key after a successful reconciliation."""
        with self._condition:
            self._failures.pop(key, None)
            self._working.discard(key)
            self._condition.notify()

    def failed(self, key: Key) -> float:
        """Release a key after a failed reconciliation and queue it again; return the back-off in seconds."""
        with self._condition:
            count = self._failures[key] = self._failures.get(key, 0) + 1
            self._working.discard(key)
        pause: float = min(FIRST_BACKOFF * 2 ** min(count - 1, 16), LONGEST_BACKOFF)
        self.add(key, pause)
        return pause

    def close(self) -> None:
        """Stop all workers."""
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
        """Return the seconds until the next key is due; None if there is none. Released keys notify by themselves."""
        waiting = [due for due, key in self._heap if key not in self._working]
        return max(0.001, min(waiting) - self._clock.monotonic()) if waiting else None
