"""Puts the parts of the shared cache together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.shared_cache.budgets import SharedBudgets
from sealgate.shared_cache.connections import Connections
from sealgate.shared_cache.flights import SharedFlights
from sealgate.shared_cache.keys import KeyFiles
from sealgate.shared_cache.level import SharedCache
from sealgate.shared_cache.store import SealedStore

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from sealgate.clocks import Clock
    from sealgate.shared_cache.observers import SharedCacheObserver
    from sealgate.shared_cache.settings import SharedCacheSettings
    from sealgate.verification.settings import VerifierSettings


class OpenSharedCache:
    """A shared cache and its connections; a context manager. In the process that uses it, and not before a fork.

    Args:
        settings: where the server and the keys are.
        limits: TTLs and budgets.
        clock: the time.
        observer: counts uses and failures.

    Attributes:
        cache: the shared cache.
        connections: its connections.
    """

    def __init__(
        self, settings: SharedCacheSettings, limits: VerifierSettings, clock: Clock, observer: SharedCacheObserver
    ) -> None:
        self.connections = Connections(settings.server, clock)
        keys = KeyFiles(settings.keys, settings.binding, clock)
        store = SealedStore(self.connections, keys.keys, clock, observer)
        flights = SharedFlights(store, clock, observer)
        budgets = SharedBudgets(limits.verifications_per_minute, limits.burst, store, observer)
        self.cache = SharedCache(store, flights, budgets, limits, clock)

    def __enter__(self) -> Self:
        """Start to connect."""
        self.connections.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.connections.close()
