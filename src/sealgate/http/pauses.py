"""Pauses that hosts asked for (HTTP 429, or 503 with Retry-After); they count for all requests to the host."""

from __future__ import annotations

import threading
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from sealgate.errors import RateLimitedError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.clocks import Clock, Deadline

#: Longest pause in seconds; a longer Retry-After is shortened, so that a host cannot switch itself off for a week.
MAX_PAUSE = 300.0
#: Pause after a 429 without Retry-After, in seconds.
DEFAULT_PAUSE = 2.0
_MAX_HOSTS = 1024
_MAX_DIGITS = 9


class Pauses:
    """Hosts that must not be asked right now. Thread-safe.

    Args:
        clock: measures the pauses.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._listeners: list[Callable[[str, float], None]] = []
        self._lock = threading.Lock()

    def on_pause(self, listener: Callable[[str, float], None]) -> None:
        """Have a function called with the host and the seconds whenever a pause begins; it must not raise."""
        self._listeners.append(listener)

    def begin(self, host: str, retry_after: str | None) -> None:
        """Pause a host for as long as it asked; a pause that ends later stays.

        Args:
            host: `host[:port]`.
            retry_after: the header `Retry-After`, seconds or an HTTP date; None or malformed for a default.
        """
        now = self._clock.monotonic()
        until = now + self._seconds(retry_after)
        with self._lock:
            over = [name for name, end in self._until.items() if end <= now]
            for name in over or list(self._until)[: len(self._until) - _MAX_HOSTS]:
                del self._until[name]
            self._until[host] = until = max(until, self._until.get(host, until))
        for listener in self._listeners:
            listener(host, until - now)

    def wait(self, host: str, deadline: Deadline) -> None:
        """Wait until a host may be asked; at once if it is not paused.

        Raises:
            RateLimitedError: the pause outlasts the deadline; nothing was waited for.
        """
        while (left := self._left(host)) > 0:
            if left >= deadline.remaining():
                raise self.error(host)
            self._clock.sleep(left)

    def error(self, host: str) -> RateLimitedError:
        """Return the error that says when the host may be asked again."""
        left = max(self._left(host), 1.0)
        return RateLimitedError(f"{quote(host)} limits its rate; retry in {left:.0f} s", retry_after=left)

    def _left(self, host: str) -> float:
        if not self._until:
            return 0.0  # almost always no host is paused, and then the lock is not needed
        with self._lock:
            until = self._until.get(host)
        return 0.0 if until is None else until - self._clock.monotonic()

    def _seconds(self, retry_after: str | None) -> float:
        text = (retry_after or "").strip()
        if text.isascii() and text.isdigit():
            seconds = float(text) if len(text) <= _MAX_DIGITS else MAX_PAUSE
        else:
            seconds = self._seconds_until(text)
        return min(max(seconds, 0.0), MAX_PAUSE)

    def _seconds_until(self, date: str) -> float:
        try:
            moment = parsedate_to_datetime(date)
        except (ValueError, TypeError, OverflowError):
            return DEFAULT_PAUSE
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - self._clock.now()).total_seconds()
