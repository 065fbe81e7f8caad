"""Starts in the background what reviews could not wait for, as slots of budgets come that would be lost otherwise.

A thread offers the next entry of each host to the workers (`Workers.start_spare`), which start it only where reviews
leave a slot and a worker. It runs while entries wait. What fails is not repeated: the next review asks again.
"""

from __future__ import annotations

import threading
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final

from sealgate.errors import RateLimitedError, SealgateError, UnavailableError
from sealgate.verification.background_queue import BackgroundQueue
from sealgate.verification.tasks import Requester, Task

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.verification.background_queue import BackgroundEntry
    from sealgate.verification.observers import BackgroundResult, VerifierObserver
    from sealgate.verification.workers import Workers

#: Longest time between two offers, in seconds: what entries wait for beside their budgets is not reported.
_LONGEST_PAUSE: Final = 1.0


class BackgroundRunner:
    """Keeps entries and has them run. Thread-safe; nothing foreign is called under its lock.

    Args:
        workers: run the entries.
        clock: measures how long entries wait.
        observer: counts entries.
    """

    def __init__(self, workers: Workers, clock: Clock, observer: VerifierObserver) -> None:
        self._workers = workers
        self._clock = clock
        self._observer = observer
        self._queue = BackgroundQueue()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closed = False
        # Entries that wait, as the observer knows it.
        self._reported = 0
        self._lock = threading.Lock()

    def keep(self, entry: BackgroundEntry) -> None:
        """Have an entry run when there is room; see `BackgroundQueue.keep`.

        It is dropped if its host does not respond, as entries would wait in vain.
        """
        if not self._workers.responds(entry.host):
            return
        with self._lock:
            if self._closed:
                return
            self._queue.keep(entry, self._clock.monotonic())
            self._ensure_thread()
        self._wake.set()
        self._report()

    def close(self) -> None:
        """Drop all entries. Those that run end as all running work does."""
        with self._lock:
            self._closed = True
            self._queue.clear()
        self._wake.set()
        self._report()

    def _ensure_thread(self) -> None:
        """Start the thread unless it runs, under the lock; without one, drop the entries."""
        if self._thread is None and len(self._queue):
            thread = threading.Thread(target=self._run, name="verification-background", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._queue.clear()
            else:
                self._thread = thread

    def _run(self) -> None:
        while (hosts := self._hosts()) is not None:
            pause = min(map(self._offer, hosts), default=inf)
            if pause < inf:
                self._clock.sleep(min(pause, _LONGEST_PAUSE))
            else:
                self._wake.wait(_LONGEST_PAUSE)
            self._wake.clear()

    def _hosts(self) -> list[str] | None:
        """Return the hosts whose next entry may be offered; None if no entry is left, which ends the thread."""
        with self._lock:
            now = self._clock.monotonic()
            self._queue.expire(now)
            hosts = self._queue.hosts(now) if len(self._queue) else None
            if hosts is None:
                self._thread = None
        self._report()
        return hosts

    def _offer(self, host: str) -> float:
        """Offer entries of a host until one is not started; return after how many seconds to offer it again."""
        while True:
            with self._lock:
                entry = self._queue.first(host)
                if entry is None:
                    return inf
                entry.running = True
            wait = self._start(entry)
            with self._lock:
                if wait == 0:
                    self._queue.pass_turn(entry)
                else:
                    entry.running = False
            if wait != 0:
                return inf if wait is None else wait

    def _start(self, entry: BackgroundEntry) -> float | None:
        """Start an entry; return what `Workers.start_spare` returns."""
        now = self._clock.monotonic()
        task = Task(entry.host, True, entry.run, partial(self._end, entry), now, now, background=True)
        try:
            return self._workers.start_spare(task, Requester(entry.namespace, 0))
        except UnavailableError:
            return None  # the workers are closed, and this object will be

    def _end(self, entry: BackgroundEntry, result: BackgroundResult | None, error: BaseException | None) -> None:
        """Note how an entry ended; one for which a shared budget had no slot waits on."""
        with self._lock:
            if isinstance(error, RateLimitedError):
                entry.running = False
                self._queue.defer(entry.host, self._clock.monotonic() + max(error.retry_after or 0.0, _LONGEST_PAUSE))
            else:
                self._queue.end(entry, result or "unavailable")
        if error is not None and not isinstance(error, SealgateError):
            self._observer.internal_error(error)
        self._wake.set()
        self._report()

    def _report(self) -> None:
        with self._lock:
            ended, self._queue.ended = self._queue.ended, []
            change = len(self._queue) - self._reported
            self._reported += change
        if change:
            self._observer.background_waiting(change)
        for _, result in ended:
            self._observer.background_ended(result)
