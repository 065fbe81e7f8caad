"""What keeps a verification to the caches, for callers that must never wait.

Where such a verification would start or join a call, it ends with `NotInMemoryError`: nothing is requested and nothing
is waited for. It is not counted either, since the caller then asks again in a thread that may wait, which is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.verification.observers import NullObserver

if TYPE_CHECKING:
    from typing import NoReturn

    from sealgate.clocks import Deadline
    from sealgate.verification.observers import CacheKind, StaleKind, VerifierObserver


class NotInMemoryError(Exception):
    """The answer is not in memory: ask again where waiting is permitted. Not a reason to refuse anything."""


class NoContinuations:
    """Stands for `Continuations` where no call may be started or joined."""

    def add(self, host: str, *call: object) -> NoReturn:
        """Refuse to start or join a call.

        Args:
            host: the host that the call would wait for.
            call: ignored.

        Raises:
            NotInMemoryError: always.
        """
        del call
        raise NotInMemoryError(host)

    def run(self, deadline: Deadline) -> None:
        """Return at once: there is nothing to wait for."""

    def cancel(self) -> None:
        """Return at once: there is nothing to wait for."""


class CacheTally(NullObserver):
    """Cache hits, misses and stale answers that count only once it is known that the answer is in memory."""

    def __init__(self) -> None:
        self._stale: list[tuple[StaleKind, str]] = []
        self._hits: list[CacheKind] = []
        self._misses: list[CacheKind] = []

    def cache_hit(self, kind: CacheKind) -> None:
        """Note a cache hit."""
        self._hits.append(kind)

    def cache_miss(self, kind: CacheKind) -> None:
        """Note a cache miss."""
        self._misses.append(kind)

    def stale(self, kind: StaleKind, host: str) -> None:
        """Note a stale answer."""
        self._stale.append((kind, host))

    def report(self, observer: VerifierObserver) -> None:
        """Count what was noted."""
        for kind in self._hits:
            observer.cache_hit(kind)
        for kind in self._misses:
            observer.cache_miss(kind)
        for stale in self._stale:
            observer.stale(*stale)
