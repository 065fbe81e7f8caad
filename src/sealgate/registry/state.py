"""What the sessions of one registry client share: connections, authentication, settings, and facts about hosts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.http.client import HTTPClient
    from sealgate.http.settings import HostSettings
    from sealgate.registry.auth import RegistryAuth

#: Hosts for which one fact is cached, and its TTL in seconds.
MAX_HOSTS = 1024
FACT_SECONDS = 300.0


class HostFacts:
    """Cache of one fact that is true of some hosts. Thread-safe.

    Args:
        clock: measures the TTL.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # When each expires; those that were used last come last. Every request asks, which a `TTLCache` makes dear.
        self._until: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def holds(self, host: str) -> bool:
        """Return whether the fact was noted for a host within the TTL."""
        with self._lock:
            return self._holds(host)

    def note(self, host: str) -> None:
        """Note the fact for a host. Noting it again does not extend its TTL."""
        with self._lock:
            if not self._holds(host):
                self._until[host] = self._clock.monotonic() + FACT_SECONDS
                self._until.move_to_end(host)
                if len(self._until) > MAX_HOSTS:
                    self._until.popitem(last=False)

    def drop(self, host: str) -> None:
        """Remove the fact for a host."""
        with self._lock:
            self._until.pop(host, None)

    def _holds(self, host: str) -> bool:
        until = self._until.get(host)
        if until is None or self._clock.monotonic() >= until:
            return False
        self._until.move_to_end(host)
        return True


@dataclass(frozen=True, slots=True)
class SharedState:
    """What the sessions of one registry client share. Each part is thread-safe.

    Attributes:
        http: sends requests.
        auth: answers the challenges of registries.
        settings: how single hosts are reached.
        without_tls: insecure hosts that do not speak TLS.
        without_referrers: hosts without the referrers API.
    """

    http: HTTPClient
    auth: RegistryAuth
    settings: HostSettings
    without_tls: HostFacts
    without_referrers: HostFacts
