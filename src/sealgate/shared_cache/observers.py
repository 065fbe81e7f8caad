"""Events that the shared cache reports, for metrics."""

from __future__ import annotations

from typing import Literal, Protocol

Operation = Literal["get", "put", "lease", "budget"]
#: `hit` and `miss` are of reads; `done` of all else. `rejected`: a value whose seal is not intact or which has expired.
#: `refused`: the server answered with an error. `unavailable`: there was no answer in time.
Result = Literal["hit", "miss", "done", "rejected", "refused", "unavailable"]


class SharedCacheObserver(Protocol):
    """Counts events. Called from many threads; must not block and must not raise."""

    def shared_cache_used(self, operation: Operation, result: Result) -> None:
        """Count one use of the shared cache."""


class NullSharedCacheObserver:
    """Ignores all events."""

    def shared_cache_used(self, operation: Operation, result: Result) -> None:
        """Do nothing."""
