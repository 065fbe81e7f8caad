"""Threads for requests that may wait, shared fairly among tenants.

A request that waits for a registry holds its thread, and a thread that is held cannot be taken back. So a tenant may
start a request only while it holds fewer threads than are free: one tenant gets at most half of them, two that flood
three quarters, and a tenant that has none gets one as long as there is any. The same holds for the bytes of requests in
progress or waiting. Tenants take turns.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sealgate.counts import add_count
from sealgate.fair_queues import FairQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Requests that wait for a thread.
MAX_WAITING: Final = 1024
#: Bytes that requests in progress or waiting keep in memory.
MAX_BYTES: Final = 32 << 20


class BusyError(Exception):
    """No thread can take the request, or none took it in time."""


@dataclass(eq=False)
class PooledRequest:
    """One request of the pool.

    Attributes:
        tenant: whose share it counts in.
        size: bytes that it keeps in memory.
        work: what its thread does.
        result: what the work returned or raised.
    """

    tenant: str
    size: int
    work: Callable[[], Any]
    result: Future[Any] = field(default_factory=Future)


class RequestPool:
    """A bounded pool of threads with a bounded queue. Thread-safe; only threads of the pool wait.

    Args:
        threads: requests in progress at once, at least 1.
        waiting: the most requests that wait for a thread.
        size: the most bytes that requests in progress or waiting keep in memory.
    """

    def __init__(self, threads: int, waiting: int = MAX_WAITING, size: int = MAX_BYTES) -> None:
        self._free = threads
        self._most_waiting = waiting
        self._bytes = size
        self._executor = ThreadPoolExecutor(threads, "requests")
        self._waiting: FairQueue[str, PooledRequest] = FairQueue()
        self._running: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()

    def submit(self, tenant: str, size: int, work: Callable[[], Any]) -> PooledRequest:
        """Have a thread do the work of a request as soon as it is its turn.

        Args:
            tenant: whose share it counts in.
            size: bytes that it keeps in memory.
            work: what the thread does.

        Raises:
            BusyError: the tenant's share of the queue or of the memory is used up.
        """
        request = PooledRequest(tenant, size, work)
        with self._lock:
            room = self._most_waiting - len(self._waiting)
            if self._waiting.count(tenant) >= room or self._sizes.get(tenant, 0) + size > self._bytes:
                raise BusyError(tenant)
            self._waiting.push(tenant, request)
            self._account(tenant, size)
        self._dispatch()
        return request

    @contextmanager
    def place(self, tenant: str, size: int) -> Iterator[bool]:
        """Hold the place of a thread meanwhile, for a request that waits without one.

        Args:
            tenant: whose share it counts in.
            size: bytes that it keeps in memory.

        Yields:
            Whether there was a place; never while other requests wait for a thread.
        """
        with self._lock:
            fits = self._running.get(tenant, 0) < self._free and self._sizes.get(tenant, 0) + size <= self._bytes
            granted = fits and not len(self._waiting)
            if granted:
                self._take(tenant)
                self._account(tenant, size)
        try:
            yield granted
        finally:
            if granted:
                self._done(tenant, size)

    def withdraw(self, request: PooledRequest) -> bool:
        """Take a request out of the queue; return whether no thread has taken it, and none will."""
        with self._lock:
            if not self._waiting.discard(request.tenant, request):
                return False
            self._account(request.tenant, -request.size)
            return True

    def close(self) -> None:
        """Start no more work."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _dispatch(self) -> None:
        with self._lock:
            while (request := self._next()) is not None:
                self._executor.submit(self._run, request)

    def _next(self) -> PooledRequest | None:
        """Take the request whose turn it is out of the queue; None if no tenant with one may have a thread."""
        request = self._waiting.pop(lambda tenant, _: self._running.get(tenant, 0) < self._free)
        if request is not None:
            self._take(request.tenant)
        return request

    def _take(self, tenant: str) -> None:
        self._free -= 1
        add_count(self._running, tenant, 1)

    def _run(self, request: PooledRequest) -> None:
        if not request.result.set_running_or_notify_cancel():
            self._done(request.tenant, request.size)
            return
        try:
            result = request.work()
        except BaseException as error:  # noqa: BLE001 - the caller that waits for the result gets it
            self._done(request.tenant, request.size)
            request.result.set_exception(error)
        else:
            self._done(request.tenant, request.size)
            request.result.set_result(result)

    def _done(self, tenant: str, size: int) -> None:
        with self._lock:
            self._free += 1
            add_count(self._running, tenant, -1)
            self._account(tenant, -size)
            left = len(self._waiting)
        if left:
            self._dispatch()

    def _account(self, tenant: str, size: int) -> None:
        self._bytes -= size
        add_count(self._sizes, tenant, size)
