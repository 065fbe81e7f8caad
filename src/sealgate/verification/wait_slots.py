"""How many callers may wait for silent hosts, and in one namespace.

Any number may wait for a host that responds. Of those that wait for hosts that have been silent for some time only a
bounded number goes on, so that dead registries cannot hold every thread of the server. Nor can one namespace: when few
threads are left, its requests that have waited long are refused until it has its share.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from sealgate.counts import add_count
from sealgate.errors import UnavailableError
from sealgate.messages import quote

if TYPE_CHECKING:
    from sealgate.clocks import Clock, Deadline
    from sealgate.verification.observers import RefusalCause, VerifierObserver
    from sealgate.verification.settings import VerifierSettings
    from sealgate.verification.workers import Workers

#: Seconds between two calls of `recheck` by a caller that waits.
RECHECK_SECONDS = 1.0
#: Part of the threads that one namespace leaves to others, at least.
_RESERVE = 8


class WaitSlot:
    """One call that a caller waits for. For one thread.

    Attributes:
        host: the host of the call.
        silent: whether it counts as one that waits for a silent host.
    """

    def __init__(self, slots: WaitSlots, host: str) -> None:
        self._slots = slots
        self.host = host
        self.silent = False
        self._released = False

    def recheck(self) -> None:
        """Go on waiting if that is still allowed; due every `RECHECK_SECONDS`.

        Raises:
            UnavailableError: the host is silent, and enough callers wait for silent hosts; the slot is released.
        """
        try:
            self._slots.check(self)
        except UnavailableError:
            self.release()
            raise

    def release(self) -> None:
        """Stop waiting. Releasing a slot again does nothing."""
        if not self._released:
            self._released = True
            self._slots.release(self)


class WaitingRequest:
    """One request that waits for its results, which takes a thread of the server; a context manager."""

    def __init__(self, slots: WaitSlots, namespace: str, since: float) -> None:
        self._slots = slots
        self.namespace = namespace
        self.since = since

    def __enter__(self) -> Self:
        """Begin to wait."""
        self._slots.count(self.namespace, 1)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop waiting."""
        self._slots.count(self.namespace, -1)

    def recheck(self) -> None:
        """Go on waiting if that is still allowed; due every `RECHECK_SECONDS`.

        Raises:
            UnavailableError: it has waited long, few threads are left, and its namespace has more than its share.
        """
        self._slots.check_namespace(self)


class WaitSlots:
    """The callers that wait. Thread-safe; only its own code runs under its lock.

    Args:
        settings: how many may wait.
        clock: measures how long a request waits.
        workers: know when a host last responded.
        observer: counts refusals.
    """

    def __init__(self, settings: VerifierSettings, clock: Clock, workers: Workers, observer: VerifierObserver) -> None:
        self._settings = settings
        self._clock = clock
        self._workers = workers
        self._observer = observer
        self._waiters: dict[str, int] = {}
        self._silent = 0
        self._requests: dict[str, int] = {}
        self._lock = threading.Lock()

    def waiting(self, namespace: str) -> WaitingRequest:
        """Return a context manager for a request of a namespace that is about to wait."""
        return WaitingRequest(self, namespace, self._clock.monotonic())

    def acquire(self, host: str) -> WaitSlot:
        """Return a slot for a caller that is about to wait for a host; it must be released.

        Raises:
            UnavailableError: the host is silent, and enough callers wait for silent hosts already.
        """
        seconds = self._workers.track(host)
        slot = WaitSlot(self, host)
        try:
            self._check(slot, seconds, 1)
        except UnavailableError:
            slot.release()
            raise
        return slot

    def check(self, slot: WaitSlot) -> None:
        """Raise if a caller may not go on waiting; see `WaitSlot.recheck`."""
        self._check(slot, self._workers.silent_seconds(slot.host), 0)

    def _check(self, slot: WaitSlot, seconds: float, new: int) -> None:
        """Raise if a caller may not wait for a host that has been silent for some seconds; count it first if new."""
        silent = seconds > self._settings.unresponsive_after
        with self._lock:
            add_count(self._waiters, slot.host, new)
            self._silent += silent - slot.silent
            slot.silent = silent
            # All who wait for this host count, also those that have not been rechecked since it is silent.
            others = max(self._silent, self._waiters[slot.host]) - 1
        if silent and others >= self._settings.max_waiters:
            raise self._refusal(
                "silent_host",
                f"{slot.host} has not answered for {seconds:.0f} s and {others} requests wait for silent hosts; "
                "try again later",
            )

    def release(self, slot: WaitSlot) -> None:
        """Release a slot; see `WaitSlot.release`."""
        with self._lock:
            self._silent -= slot.silent
            slot.silent = False
            add_count(self._waiters, slot.host, -1)
        self._workers.untrack(slot.host)

    def count(self, namespace: str, change: int) -> None:
        """Count requests of a namespace that wait."""
        with self._lock:
            add_count(self._requests, namespace, change)

    def check_namespace(self, request: WaitingRequest) -> None:
        """Raise if a request may not go on waiting; see `WaitingRequest.recheck`."""
        if self._clock.monotonic() - request.since <= self._settings.unresponsive_after:
            return
        places = self._settings.max_waiting
        with self._lock:
            crowded = sum(self._requests.values()) > places - max(places // _RESERVE, 1)
            own = self._requests.get(request.namespace, 0)
            excess = own > places // (len(self._requests) + 1)
        if crowded and excess:
            raise self._refusal(
                "waiting_reviews",
                f"{own} requests of the namespace {quote(request.namespace)} wait and others need their place; "
                "try again later",
            )

    def _refusal(self, cause: RefusalCause, message: str) -> UnavailableError:
        self._observer.refused(cause)
        return UnavailableError(message)


def seconds_until_recheck(deadline: Deadline) -> float:
    """Return for how many seconds to wait before a recheck is due; fewer if the deadline comes first."""
    return max(min(deadline.remaining(), RECHECK_SECONDS), 0)
