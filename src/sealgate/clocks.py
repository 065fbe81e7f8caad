"""Time as an argument: what o'clock it is, how long something may still take.

Nothing in sealgate reads the machine's clock by itself. Whoever needs the time takes a `Clock`, and whoever
may take long takes a `Deadline`: one total for everything that follows, not a limit per read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sealgate.errors import DeadlineError


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the wall-clock time, timezone-aware, in UTC (for certificates, expiry and logs)."""

    def monotonic(self) -> float:
        """Return seconds that only go forward (for lifetimes in caches, budgets and deadlines)."""

    def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the machine's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic clock, seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread for that many seconds."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a clock by which everything must have been answered.

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
        """Return the seconds left; zero or less when it has passed."""
        return self.at - self.clock.monotonic()

    def check(self, doing: str) -> float:
        """Return the seconds left.

        Args:
            doing: what was being done, for the message ("asking registry.example.org for a manifest").

        Raises:
            DeadlineError: there are none left.
        """
        left = self.remaining()
        if left <= 0:
            msg = f"ran out of time while {doing}; try again, or raise the webhook's timeout"
            raise DeadlineError(msg)
        return left
