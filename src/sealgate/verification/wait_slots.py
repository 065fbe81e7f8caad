"""How many callers may wait for one host.

Any number may wait for a host that responds. Of those that wait for a host that has been silent for some time only a
bounded number goes on, so that one dead registry cannot hold every thread of the server.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sealgate.errors import UnavailableError

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate.verification.host_limiter import HostLimiter

#: Seconds between two calls of `WaitSlot.recheck` by a caller that waits.
RECHECK_SECONDS = 1.0


class WaitSlot:
    """One caller that waits for a host. For one thread."""

    def __init__(self, slots: WaitSlots, host: str) -> None:
        self._slots = slots
        self._host = host
        self._released = False

    def recheck(self) -> None:
        """Go on waiting if that is still allowed; due every `RECHECK_SECONDS`.

        Callers that came before the host was known to be silent are refused until only `max_waiters` are left.

        Raises:
            UnavailableError: the caller may not wait any longer; the slot is released.
        """
        try:
            self._slots.recheck(self._host)
        except UnavailableError:
            self._released = True
            raise

    def release(self) -> None:
        """Stop waiting. Releasing a slot again does nothing."""
        if not self._released:
            self._released = True
            self._slots.release(self._host)


class WaitSlots:
    """The callers that wait, counted for each host. Thread-safe; only its own code runs under its lock.

    Args:
        max_waiters: callers that may wait for a silent host.
        unresponsive_after: seconds without a response after which a host is silent.
        limiter: knows when a host last responded.
    """

    def __init__(self, max_waiters: int, unresponsive_after: float, limiter: HostLimiter) -> None:
        self._max_waiters = max_waiters
        self._unresponsive_after = unresponsive_after
        self._limiter = limiter
        self._waiters: dict[str, int] = {}
        self._lock = threading.Lock()

    def acquire(self, host: str) -> WaitSlot:
        """Return a slot for a caller that is about to wait for a host; it must be released.

        Raises:
            UnavailableError: the host is silent, and enough callers wait for it already.
        """
        self._limiter.track(host)
        silent = self._limiter.silent_seconds(host)
        with self._lock:
            others = self._waiters.get(host, 0)
            refused = self._is_full(others, silent)
            if not refused:
                self._waiters[host] = others + 1
        if refused:
            self._limiter.untrack(host)
            raise _refusal(host, silent, others)
        return WaitSlot(self, host)

    def recheck(self, host: str) -> None:
        """Go on waiting, or release a slot and raise; see `WaitSlot.recheck`."""
        silent = self._limiter.silent_seconds(host)
        with self._lock:
            others = self._waiters[host] - 1
            refused = self._is_full(others, silent)
            if refused:
                self._remove(host)
        if refused:
            self._limiter.untrack(host)
            raise _refusal(host, silent, others)

    def release(self, host: str) -> None:
        """Release a slot; see `WaitSlot.release`."""
        with self._lock:
            self._remove(host)
        self._limiter.untrack(host)

    def _is_full(self, others: int, silent: float) -> bool:
        return others >= self._max_waiters and silent > self._unresponsive_after

    def _remove(self, host: str) -> None:
        self._waiters[host] -= 1
        if not self._waiters[host]:
            del self._waiters[host]


def seconds_until_recheck(deadline: Deadline) -> float:
    """Return for how many seconds to wait before `WaitSlot.recheck` is due; fewer if the deadline comes first."""
    return max(min(deadline.remaining(), RECHECK_SECONDS), 0)


def _refusal(host: str, silent: float, others: int) -> UnavailableError:
    return UnavailableError(
        f"{host} has not answered for {silent:.0f} s and {others} requests wait for it; try again later"
    )
