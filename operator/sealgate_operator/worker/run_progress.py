"""Progress of a manual run: a checkpoint up to which all tags are done, and the counts up to there. Pure."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sealgate.api.v1alpha1.signing_status import RunStatus, SigningCounts
    from sealgate.signing.discovery import CoveredTag

Result = Literal["signed", "already_signed", "failed"]


class _Entry:
    """A tag under way, and its result."""

    __slots__ = ("result", "tag")

    def __init__(self, tag: CoveredTag | None) -> None:
        self.tag = tag
        self.result: Result | None = None


class RunProgress:
    """Tags in their order, of which several are under way. Thread-safe.

    A run that is resumed begins after the checkpoint; what was done after it is done again, which changes nothing.

    Args:
        status: of the run as it begins or is resumed.
        window: the most tags that are under way.
    """

    def __init__(self, status: RunStatus, window: int) -> None:
        self._status = status
        self._under_way: deque[_Entry] = deque()
        self._room = threading.Semaphore(window)
        self._condition = threading.Condition()

    @property
    def status(self) -> RunStatus:
        """The status of the run up to the checkpoint."""
        with self._condition:
            return self._status

    def begin(self, tag: CoveredTag | None, seconds: float) -> _Entry | None:
        """Begin a tag; None if there was no room for it in so many seconds.

        Args:
            tag: the next one in order; None for a repository that could not be listed.
            seconds: to wait until another one has ended.
        """
        if not self._room.acquire(timeout=seconds):
            return None
        entry = _Entry(tag)
        with self._condition:
            self._under_way.append(entry)
        return entry

    def end(self, entry: _Entry, result: Result) -> None:
        """End a tag, and move the checkpoint over all that are done."""
        with self._condition:
            entry.result = result
            while self._under_way and self._under_way[0].result is not None:
                self._advance(self._under_way.popleft())
            self._condition.notify_all()
        self._room.release()

    def wait(self, seconds: float) -> bool:
        """Wait until every tag has ended; return whether that is so after so many seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._under_way, seconds)

    def _advance(self, entry: _Entry) -> None:
        counts = _add(self._status.counts, entry.result)
        update: dict[str, object] = {"counts": counts}
        if entry.tag is not None:
            update["checkpoint"] = f"{entry.tag.name}:{entry.tag.tag}"
        self._status = self._status.model_copy(update=update)


def _add(counts: SigningCounts, result: Result | None) -> SigningCounts:
    assert result is not None  # noqa: S101 - the caller has checked it
    return counts.model_copy(update={result: getattr(counts, result) + 1})


def after_checkpoint(status: RunStatus) -> tuple[str, str] | None:
    """Return repository and tag of the checkpoint; None if the run is to begin with the first tag."""
    name, _, tag = status.checkpoint.rpartition(":")
    return (name, tag) if name else None
