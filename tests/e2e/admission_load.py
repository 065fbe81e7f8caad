"""Somebody who goes on creating pods while something happens, and notes every call that fails."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from tests.e2e.kube import api
from tests.e2e.objects import pod

if TYPE_CHECKING:
    from types import TracebackType

PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 60.0


class Witness:
    """Creates pods (as a dry run) without a break, in threads of its own.

    Args:
        namespace: where.
        image: one that is admitted.
        threads: at once.
    """

    def __init__(self, namespace: str, image: str, threads: int = 2) -> None:
        self._path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
        self._pod = pod("witness", image)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        self.calls = 0
        #: What did not succeed: when (monotonic), status and message.
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
            thread.join(PATIENCE_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            response = api().send("POST", self._path, self._pod)
            self.calls += 1
            if not response.ok:
                self.failures.append((time.monotonic(), response.status, response.document.get("message", "")))
