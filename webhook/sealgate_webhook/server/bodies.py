"""Bodies rationed by bytes.

A body costs its bytes while it is received, and many times as many while it is decoded. Small bodies, nearly all there
are, are bounded by their number. Large ones share one budget of bytes from the moment when they are received until they
are decoded, so a large body waits for large ones only. Clients take turns: one that sends, or begins to send, many
large bodies delays those of another by one body at a time.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from sealgate.fair_queues import FairQueue
from sealgate_webhook.reviews.request import MAX_REVIEW_BYTES

if TYPE_CHECKING:
    from types import TracebackType

#: Bodies of more bytes than this, or of unknown length, are large.
LARGE_BYTES: Final = 64 << 10
#: The most bytes of large bodies that are received, or wait to be decoded, at once.
MAX_LARGE_BYTES: Final = 4 * MAX_REVIEW_BYTES


class Ration:
    """Bytes of one large body: taken once `granted` is done, returned by `release`. Use it as a context manager.

    Args:
        budget: gets them back.
        size: how many, in bytes.
        client: address of the client.

    Attributes:
        size: see above.
        client: see above.
        granted: done once the bytes are taken.
    """

    def __init__(self, budget: BodyBudget, size: int, client: str) -> None:
        self._budget = budget
        self.size = size
        self.client = client
        self.granted: Future[None] = Future()

    def release(self) -> None:
        """Return the bytes, or stop waiting for them."""
        self._budget.release(self)

    def __enter__(self) -> None:
        """Do nothing: the bytes were asked for when this was made."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Return the bytes."""
        self.release()


class BodyBudget:
    """Bytes of large bodies at once. Thread-safe; nothing here waits.

    Args:
        limit: the most bytes; at least `MAX_REVIEW_BYTES`.
    """

    def __init__(self, limit: int = MAX_LARGE_BYTES) -> None:
        self._free = limit
        self._waiting: FairQueue[str, Ration] = FairQueue()
        self._held: set[Ration] = set()
        self._lock = threading.Lock()

    def ask(self, size: int, client: str) -> Ration:
        """Ask for the bytes of a body; the caller always releases what it gets.

        Args:
            size: length of the body; -1, for one of unknown length, counts as the longest.
            client: address of the client; empty if it is not known.
        """
        ration = Ration(self, MAX_REVIEW_BYTES if size < 0 else size, client)
        with self._lock:
            self._waiting.push(client, ration)
        self._grant()
        return ration

    def release(self, ration: Ration) -> None:
        """Take the bytes of a ration back, or take it out of the queue."""
        with self._lock:
            if ration in self._held:
                self._held.remove(ration)
                self._free += ration.size
            else:
                self._waiting.discard(ration.client, ration)
        self._grant()

    def _grant(self) -> None:
        # The futures' callbacks are foreign code: they run after the lock is released.
        for ration in self._take():
            if ration.granted.set_running_or_notify_cancel():
                ration.granted.set_result(None)

    def _take(self) -> list[Ration]:
        """Take the bytes of the rations whose turn it is; return those."""
        taken: list[Ration] = []
        with self._lock:
            # Nothing smaller goes before the next one, or the largest would wait for ever.
            while (ration := self._waiting.first()) is not None and ration.size <= self._free:
                self._waiting.pop()
                self._free -= ration.size
                self._held.add(ration)
                taken.append(ration)
        return taken
