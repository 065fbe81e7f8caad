"""Pool of idle connections."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sealgate.clocks import Clock
    from sealgate.http.connections import Connection

#: Idle connections kept for one key; the webhook has 64 threads.
MAX_IDLE = 64
#: Idle connections kept in all.
MAX_IDLE_TOTAL = 256
#: Seconds for which an idle connection is kept; common servers close idle ones after 60 to 75.
IDLE_SECONDS = 50.0


class IdleConnections:
    """Connections that are not in use, by the origin they lead to and the rules they were made under. Thread-safe.

    Args:
        clock: measures how long a connection is idle.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._idle: OrderedDict[Hashable, deque[tuple[float, Connection]]] = OrderedDict()
        self._count = 0
        self._closed = False
        self._lock = threading.Lock()

    def take(self, key: Hashable) -> Connection | None:
        """Return the connection for a key that was used last and is still open; None if there is none."""
        stale_before = self._clock.monotonic() - IDLE_SECONDS
        while True:
            with self._lock:
                idle = self._idle.get(key)
                if not idle:
                    return None
                kept_at, connection = idle.pop()
                self._count -= 1
                if not idle:
                    del self._idle[key]
            # Bytes to read on an idle connection are its end, or a response without a request.
            if kept_at >= stale_before and connection.is_connected:
                return connection
            connection.close()

    def keep(self, key: Hashable, connection: Connection) -> None:
        """Keep a connection whose last response was read to its end."""
        dropped: list[Connection] = []
        with self._lock:
            if self._closed:
                dropped.append(connection)
            else:
                idle = self._idle.setdefault(key, deque())
                self._idle.move_to_end(key)
                idle.append((self._clock.monotonic(), connection))
                self._count += 1
                if len(idle) > MAX_IDLE:
                    dropped.append(idle.popleft()[1])
                    self._count -= 1
                while self._count > MAX_IDLE_TOTAL:
                    dropped.append(self._drop_oldest())
        for connection_dropped in dropped:
            connection_dropped.close()

    def close(self) -> None:
        """Close all connections, and keep none from now on."""
        with self._lock:
            self._closed = True
            idle = [connection for key in self._idle.values() for _, connection in key]
            self._idle.clear()
            self._count = 0
        for connection in idle:
            connection.close()

    def _drop_oldest(self) -> Connection:
        key, idle = next(iter(self._idle.items()))
        _, connection = idle.popleft()
        self._count -= 1
        if not idle:
            del self._idle[key]
        return connection
