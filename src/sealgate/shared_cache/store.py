"""Sealed values on the server. No failure of the server goes further than this module: it is a miss.

What cannot be read, is not sealed for its name, or has expired is absent. What cannot be written is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from valkey.exceptions import ResponseError

from sealgate.shared_cache.connections import ServerUnavailableError
from sealgate.shared_cache.sealing import MAX_VALUE_BYTES, Opened, RejectedValueError, SealingKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealgate.clocks import Clock
    from sealgate.shared_cache.connections import Command
    from sealgate.shared_cache.observers import Operation, SharedCacheObserver


class Server(Protocol):
    """Exchanges commands with the server; `sealgate.shared_cache.connections.Connections` does."""

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and return one response for each.

        Raises:
            ServerUnavailableError: the responses did not come in time.
        """


class Slot(NamedTuple):
    """Where a value is: its name, and the key that the name was made with and the value is sealed with."""

    key: SealingKey
    name: str


class SealedStore:
    """Reads and writes sealed values. Thread-safe.

    Args:
        server: the server.
        keys: returns the keys that are accepted, the current one first.
        clock: its wall-clock time decides about expiry, since replicas share no other.
        observer: counts uses and failures.
    """

    def __init__(
        self,
        server: Server,
        keys: Callable[[], tuple[SealingKey, ...]],
        clock: Clock,
        observer: SharedCacheObserver,
    ) -> None:
        self._server = server
        self._keys = keys
        self._clock = clock
        self._observer = observer

    @property
    def keys(self) -> tuple[SealingKey, ...]:
        """The keys that are accepted, the current one first; empty while there is none."""
        return self._keys()

    @property
    def now(self) -> float:
        """The time in seconds since 1970."""
        return self._clock.now().timestamp()

    def get(self, slots: Sequence[Slot]) -> list[tuple[Slot, Opened]]:
        """Return the values that are there, in the order of their slots.

        Args:
            slots: the slots to read, all in one exchange; at most 4.
        """
        if not slots:
            return []
        # One byte more than the limit, so that a larger value is rejected and yet never read as a whole.
        commands: list[Command] = [("GETRANGE", slot.name, 0, MAX_VALUE_BYTES) for slot in slots]
        responses = self.exchange("get", commands)
        if responses is None:
            return []
        found = []
        for slot, response in zip(slots, responses, strict=True):
            opened = self.open("get", slot, response)
            if opened is not None:
                found.append((slot, opened))
        self._observer.shared_cache_used("get", "hit" if found else "miss")
        return found

    def put(self, slot: Slot, payload: bytes, seconds: float) -> None:
        """Write a value.

        Args:
            slot: where to.
            payload: what to seal; dropped if it is too large.
            seconds: time until it expires; nothing is written if it is 0 or less.
        """
        sealed = slot.key.seal(slot.name, payload, self.now + seconds)
        if seconds <= 0 or len(sealed) > MAX_VALUE_BYTES:
            return
        responses = self.exchange("put", [("SET", slot.name, sealed, "PX", max(int(seconds * 1000), 1))])
        if responses is not None:
            self._observer.shared_cache_used("put", "done")

    def open(self, operation: Operation, slot: Slot, response: object) -> Opened | None:
        """Return the value in a response to GETRANGE; None if there is none that may be used."""
        if not isinstance(response, bytes) or not response:
            return None
        try:
            return slot.key.open(slot.name, response, self.now)
        except RejectedValueError:
            self._observer.shared_cache_used(operation, "rejected")
            return None

    def exchange(self, operation: Operation, commands: Sequence[Command]) -> list[Any] | None:
        """Send commands; return their responses, or None if one is an error or the server does not respond in time."""
        try:
            responses = self._server.exchange(commands)
        except ServerUnavailableError:
            self._observer.shared_cache_used(operation, "unavailable")
            return None
        if any(isinstance(response, ResponseError) for response in responses):
            self._observer.shared_cache_used(operation, "refused")
            return None
        return responses
