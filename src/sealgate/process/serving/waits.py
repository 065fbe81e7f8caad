"""What the server waits for at each connection, and since when.

A connection that the application works for is in no phase: the client is not what takes the time.
"""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.process.serving.limits import ServingLimits

ConnectionT = TypeVar("ConnectionT")


class Phase(enum.Enum):
    """What a client is waited for. When connections run out, the longest of the first phase that has any is closed."""

    #: Closed by the server, until the client has read the response.
    LINGERING = enum.auto()
    #: Accepted, or handshake complete; not one byte of a request so far.
    SILENT = enum.auto()
    #: A TLS handshake has begun.
    HANDSHAKE = enum.auto()
    #: The head of a request has begun.
    HEAD = enum.auto()
    #: Between two requests.
    KEPT = enum.auto()
    #: The application waits for the body.
    BODY = enum.auto()
    #: The application, or the end of the connection, waits until the response is read.
    SENDING = enum.auto()


class Waits(Generic[ConnectionT]):
    """Connections by phase, those that are in it longest first.

    Args:
        limits: how long each phase may take.
    """

    def __init__(self, limits: ServingLimits) -> None:
        self._check = limits.check
        self._limits = dict.fromkeys(Phase, limits.io)
        self._limits |= {Phase.SILENT: limits.silence, Phase.KEPT: limits.keep_alive}
        self._since: dict[Phase, dict[ConnectionT, float]] = {phase: {} for phase in Phase}
        self._phases: dict[ConnectionT, Phase] = {}
        #: Time of the last check, and the seconds for which this process had been awake until then. More than twice the
        #: time between two checks means that the process was suspended, which is not the clients' fault.
        self._checked_at, self._awake_until_check = time.monotonic(), 0.0

    def enter(self, connection: ConnectionT, phase: Phase, used: float = 0.0) -> None:
        """Begin to wait for a client.

        Args:
            connection: its connection.
            phase: what for.
            used: seconds of the phase's time that it has used already.
        """
        self.leave(connection)
        self._phases[connection] = phase
        self._since[phase][connection] = self._awake() - used

    def leave(self, connection: ConnectionT) -> None:
        """Stop waiting for a client."""
        phase = self._phases.pop(connection, None)
        if phase is not None:
            del self._since[phase][connection]

    def phase(self, connection: ConnectionT) -> Phase | None:
        """Return what a client is waited for; None while it is not waited for."""
        return self._phases.get(connection)

    def within(self, phase: Phase) -> dict[ConnectionT, float]:
        """Return the connections in a phase, the longest first."""
        return self._since[phase]

    def longest(self) -> ConnectionT | None:
        """Return the connection to close when there are too many; None if the application works for all of them."""
        return next((connection for phase in Phase for connection in self._since[phase]), None)

    def seconds(self, connection: ConnectionT) -> float:
        """Return how long a client has been waited for."""
        phase = self._phases.get(connection)
        return 0.0 if phase is None else self._awake() - self._since[phase][connection]

    def expired(self) -> list[ConnectionT]:
        """Return the connections whose time is over; to be called once in `ServingLimits.check` seconds."""
        self._awake_until_check, self._checked_at = self._awake(), time.monotonic()
        return list(self._expired())

    def _expired(self) -> Iterator[ConnectionT]:
        for phase, connections in self._since.items():
            too_old = self._awake_until_check - self._limits[phase]
            yield from (connection for connection, since in connections.items() if since < too_old)

    def _awake(self) -> float:
        """Return the seconds for which this process has been awake."""
        return self._awake_until_check + min(time.monotonic() - self._checked_at, 2 * self._check)
