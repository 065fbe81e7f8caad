"""Injectable clock and deadlines.

Nothing in sealgate reads the system clock by itself. Code that needs the time takes a `Clock`; code that may wait takes
a `Deadline`, which is one total for everything that follows and not a timeout for each read.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from sealgate.errors import DeadlineError

#: Not the generator of the `random` module: other code seeds that one, and replicas would wait alike.
_JITTER: Final = random.SystemRandom()


def jittered(seconds: float, least: float, most: float) -> float:
    """Return a wait times a random factor, so that replicas do not all act at once.

    Args:
        seconds: the wait.
        least: the smallest factor.
        most: the largest factor.
    """
    return seconds * _JITTER.uniform(least, most)


class Clock(Protocol):
    """Source of the time."""

    def now(self) -> datetime:
        """Return the wall-clock time, timezone-aware, in UTC (for certificates, expiry and logs)."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards (for TTLs, budgets and deadlines)."""

    def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""


class SystemClock:
    """The system clock."""

    def now(self) -> datetime:
        """Return the system time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the system's monotonic clock in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread for that many seconds."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a clock by which an answer must have been given.

    Attributes:
        clock: the clock it is measured on.
        at: the moment, in that clock's `monotonic` seconds.
    """

    clock: Clock
    at: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        """Return the deadline that many seconds from now."""
        return cls(clock, clock.monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds left; zero or less once the deadline has passed."""
        return self.at - self.clock.monotonic()

    def within(self, seconds: float) -> Deadline:
        """Return the deadline that many seconds from now, or this one if it is earlier."""
        return Deadline(self.clock, min(self.at, self.clock.monotonic() + seconds))

    def check(self, doing: str) -> float:
        """Return the seconds left; greater than 0.

        Args:
            doing: what is under way, for the message ("asking registry.example.org for a manifest").

        Raises:
            DeadlineError: the deadline has passed.
        """
        left = self.remaining()
        if left <= 0:
            msg = f"ran out of time while {doing}; try again, or raise the webhook's timeout"
            raise DeadlineError(msg)
        return left


def earliest(*ends: datetime | None) -> datetime | None:
    """Return the first of several ends, of which None are those of what does not end; None if nothing ends."""
    return min((end for end in ends if end is not None), default=None)


def timestamp(now: datetime) -> str:
    """Return a time as Kubernetes writes it (RFC 3339 in UTC, whole seconds)."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
