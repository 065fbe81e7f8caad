"""Work whose start and end a test controls."""

from __future__ import annotations

import threading

PATIENCE = 100


class HeldWork:
    """Work that waits until the test releases it.

    Args:
        result: its result; an exception is raised.

    Attributes:
        started: set once it runs.
        calls: how often it ran.
    """

    def __init__(self, result: object = "done") -> None:
        self.started = threading.Event()
        self.calls = 0
        self._released = threading.Event()
        self._result = result

    def __call__(self) -> object:
        self.calls += 1
        self.started.set()
        assert self._released.wait(PATIENCE)
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result

    def release(self) -> None:
        """Let it end."""
        self._released.set()
