"""Idle connections, kept for the next request to the same place."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sealgate.clocks import Clock
    from sealgate.http.connections import Connection

#: Idle connections kept for one place; the webhook has 64 threads.
MAX_IDLE = 64
#: Idle connections kept in all.
MAX_IDLE_TOTAL = 256
#: Seconds for which an idle connection is kept; common servers close theirs after 60 to 75.
IDLE_SECONDS = 50.0


class IdleConnections:
    """Connections that nobody uses right now, by place: whom they are to, and under which rules they were made.

    Args:
        clock: on which idleness is measured.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._places: OrderedDict[Hashable, deque[tuple[float, Connection]]] = OrderedDict()
        self._count = 0
        self._closed = False
        self._lock = threading.Lock()

    def take(self, place: Hashable) -> Connection | None:
        """Return the connection to a place that was used last and is still open; None if there is none."""
        stale_before = self._clock.monotonic() - IDLE_SECONDS
        while True:
            with self._lock:
                idle = self._places.get(place)
                if not idle:
                    return None
                kept_at, connection = idle.pop()
                self._count -= 1
                if not idle:
                    del self._places[place]
            # Something to read on an idle connection is its end, or an answer nobody asked for.
            if kept_at >= stale_before and connection.is_connected:
                return connection
            connection.close()

    def keep(self, place: Hashable, connection: Connection) -> None:
        """Keep a connection whose last answer was read to its end."""
        dropped: list[Connection] = []
        with self._lock:
            if self._closed:
                dropped.append(connection)
            else:
                idle = self._places.setdefault(place, deque())
                self._places.move_to_end(place)
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
        """Close all, and keep none from now on."""
        with self._lock:
            self._closed = True
            idle = [connection for place in self._places.values() for _, connection in place]
            self._places.clear()
            self._count = 0
        for connection in idle:
            connection.close()

    def _drop_oldest(self) -> Connection:
        place, idle = next(iter(self._places.items()))
        _, connection = idle.popleft()
        self._count -= 1
        if not idle:
            del self._places[place]
        return connection
