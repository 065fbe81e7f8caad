"""Continuous admission requests while something changes; every failed call is recorded."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from tests.e2e.kube import api
from tests.e2e.objects import pod

if TYPE_CHECKING:
    from types import TracebackType

PAUSE_SECONDS = 0.05
JOIN_SECONDS = 60.0


class AdmissionLoad:
    """Creates pods as a dry run, continuously, in its own threads.

    Args:
        namespace: namespace of the pods.
        image: image of the pods.
        threads: number of threads.
    """

    def __init__(self, namespace: str, image: str, threads: int = 2) -> None:
        self._path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
        self._pod = pod("load", image)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        #: Seconds that each call took.
        self.latencies: list[float] = []
        #: Failed calls: monotonic time, HTTP status (0 without a response) and message.
        self.failures: list[tuple[float, int, str]] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    @property
    def calls(self) -> int:
        """Number of calls that have ended."""
        return len(self.latencies)

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            begin = time.monotonic()
            response = api().send("POST", self._path, self._pod)
            self.latencies.append(time.monotonic() - begin)
            if not response.ok:
                self.failures.append((time.monotonic(), response.status, response.document.get("message", "")))
