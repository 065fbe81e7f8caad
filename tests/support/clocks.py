"""A clock that tests move."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

#: Default time of tests.
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class FakeClock:
    """Clock that only `advance` and `sleep` move. Thread-safe."""

    def __init__(self, now: datetime = NOW) -> None:
        self._start = now
        self._seconds = 0.0
        self._lock = threading.Lock()
        #: Every requested sleep, in seconds.
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        with self._lock:
            return self._seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._seconds += seconds


class GatedClock(FakeClock):
    """A clock on which nothing waits until the gate is open.

    Attributes:
        gate: lets those who sleep go on, and time with them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def sleep(self, seconds: float) -> None:
        assert self.gate.wait(100)
        super().sleep(seconds)
