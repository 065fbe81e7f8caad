"""A shared cache over a real server, with time limits that a busy machine keeps."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sealgate.clocks import SystemClock
from sealgate.shared_cache.connections import Connections
from sealgate.shared_cache.sealing import SealingKey
from sealgate.shared_cache.settings import ServerSettings
from sealgate.shared_cache.store import SealedStore
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from sealgate.clocks import Clock
    from sealgate.shared_cache.observers import Operation, Result

#: Time limit of an exchange where none is to run out, in seconds.
PATIENCE = 150.0
#: Time limit of an exchange where one is to run out.
BRIEFLY = 0.05


class CountingObserver:
    """Counts events by operation and result."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[Operation, Result]] = Counter()

    def shared_cache_used(self, operation: Operation, result: Result) -> None:
        self.seen[operation, result] += 1


def connect(port: int, *, seconds: float = PATIENCE, tls: Path | None = None, host: str = "127.0.0.1") -> Connections:
    """Return connections to a server on this machine, which start to connect; over TLS with the files in a folder."""
    settings = ServerSettings(host, port, tls is not None, tls, seconds)
    connections = Connections(settings, SystemClock())
    connections.start()
    return connections


class Replica:
    """The parts of one replica's shared cache; a context manager.

    Args:
        port: the server's port.
        secrets: the keys that are accepted, the current one first.
        clock: wall clock and TTLs.
        seconds: time limit of an exchange.
        binding: see `SealingKey`.
    """

    def __init__(
        self,
        port: int,
        *secrets: bytes,
        clock: Clock | None = None,
        seconds: float = PATIENCE,
        binding: str = "v1",
    ) -> None:
        self.clock = clock or FakeClock()
        self.keys = tuple(SealingKey(secret, binding) for secret in secrets or (b"k" * 32,))
        self.observer = CountingObserver()
        self.connections = connect(port, seconds=seconds)
        self.store = SealedStore(self.connections, lambda: self.keys, self.clock, self.observer)

    def __enter__(self) -> Self:
        assert self.connections.wait_connected(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.connections.close()
