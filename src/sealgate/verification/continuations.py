"""What one caller does with the results that it waits for: calls under way, each with its continuation.

A `Continuations` belongs to one caller and one thread. Its owner always calls `cancel` at the end, so that no wait slot
stays taken.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from sealgate.errors import UnavailableError
from sealgate.verification.single_flight import NotStartedError
from sealgate.verification.wait_slots import RECHECK_SECONDS, seconds_until_recheck

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sealgate.clocks import Deadline
    from sealgate.verification.wait_slots import WaitingRequest, WaitSlot, WaitSlots

    Start = Callable[[], Future[Any]]
    OnResult = Callable[[Any], None]
    OnError = Callable[[BaseException], None]


class _Continuation(NamedTuple):
    host: str
    slot: WaitSlot
    start: Start
    on_result: OnResult
    on_error: OnError


class Continuations:
    """Calls under way and their continuations. For one thread.

    Args:
        slots: counts the callers that wait for each host and in each namespace.
        namespace: name of the caller's namespace.
    """

    def __init__(self, slots: WaitSlots, namespace: str) -> None:
        self._slots = slots
        self._namespace = namespace
        # Two images of one Pod may wait for the same call, so a future has a list of continuations.
        self._waiting: dict[Future[Any], list[_Continuation]] = {}

    def add(self, host: str, start: Start, on_result: OnResult, on_error: OnError) -> None:
        """Start or join a call, and continue with its result.

        Args:
            host: the host that the call waits for, as `host[:port]`.
            start: returns the future of the call; may raise `UnavailableError`. It is called again if the caller that
                led the call could not start it.
            on_result: called with the result; may add further calls.
            on_error: called with the exception instead, at once if the call cannot be started.
        """
        try:
            slot = self._slots.acquire(host)
        except UnavailableError as error:
            on_error(error)
            return
        try:
            future = start()
        except UnavailableError as error:
            slot.release()
            on_error(error)
        except BaseException:
            slot.release()
            raise
        else:
            self._waiting.setdefault(future, []).append(_Continuation(host, slot, start, on_result, on_error))

    @property
    def waiting(self) -> bool:
        """Whether a result is missing."""
        return bool(self._waiting)

    def run(self, deadline: Deadline) -> None:
        """Continue with results as they arrive, until none is missing or the deadline has passed.

        A caller that may not wait any longer continues with an `UnavailableError` for each that is missing.
        """
        if not self._waiting:
            return
        with self._slots.waiting(self._namespace) as request:
            while self._waiting:
                timeout = seconds_until_recheck(deadline)
                done = _wait(self._waiting, timeout)
                if not done and timeout < RECHECK_SECONDS:
                    return
                for future in done:
                    self._continue(future)
                if not done:
                    self._recheck(request)

    async def run_in_loop(self, deadline: Deadline) -> None:
        """Do the same as `run` in the thread of an event loop, which goes on meanwhile."""
        if not self._waiting:
            return
        progress, watched = _Progress(asyncio.get_running_loop()), set[Future[Any]]()
        with self._slots.waiting(self._namespace) as request:
            while self._waiting:
                for future in self._waiting.keys() - watched:
                    watched.add(future)
                    future.add_done_callback(progress.notify)
                timeout = seconds_until_recheck(deadline)
                late = not await progress.wait(timeout)
                done = [future for future in self._waiting if future.done()]
                for future in done:
                    self._continue(future)
                if late and not done:
                    if timeout < RECHECK_SECONDS:
                        return
                    self._recheck(request)

    def cancel(self) -> None:
        """Stop waiting. Work under way goes on, and its results still go into the caches."""
        for continuations in self._waiting.values():
            for continuation in continuations:
                continuation.slot.release()
        self._waiting.clear()

    def _continue(self, future: Future[Any]) -> None:
        continuations = self._waiting.pop(future)
        for continuation in continuations:
            continuation.slot.release()
        error = future.exception()
        for host, _, start, on_result, on_error in continuations:
            if isinstance(error, NotStartedError):
                self.add(host, start, on_result, on_error)
            elif error is not None:
                on_error(error)
            else:
                on_result(future.result())

    def _recheck(self, request: WaitingRequest) -> None:
        """Stop waiting for silent hosts that have too many callers; or at all, if the namespace has."""
        try:
            request.recheck()
        except UnavailableError as error:
            self._refuse_all(error)
        for future, continuations in list(self._waiting.items()):
            for continuation in list(continuations):
                try:
                    continuation.slot.recheck()
                except UnavailableError as error:
                    continuations.remove(continuation)
                    continuation.on_error(error)
            if not continuations:
                del self._waiting[future]

    def _refuse_all(self, error: UnavailableError) -> None:
        """Stop waiting; those that continue with another call are refused that too."""
        while self._waiting:
            _, continuations = self._waiting.popitem()
            for continuation in continuations:
                continuation.slot.release()
                continuation.on_error(error)


class _Progress:
    """Results that a task of an event loop waits for. An `asyncio.Event` with a timeout would be a task for each wait.

    Args:
        loop: the event loop of the task.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._made = False
        self._waiter: asyncio.Future[None] | None = None

    def notify(self, _future: Future[Any]) -> None:
        """Note a result; called in the thread that completes a future."""
        with suppress(RuntimeError):  # the loop is closed: the process ends, and the caller with it
            self._loop.call_soon_threadsafe(self._make)

    async def wait(self, seconds: float) -> bool:
        """Wait for a result since the last wait; return whether there was one in time."""
        if not self._made:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(seconds, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        made, self._made = self._made, False
        return made

    def _make(self) -> None:
        self._made = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _wait(futures: Collection[Future[Any]], timeout: float) -> Collection[Future[Any]]:
    """Return those of at least one future that are done, as soon as one is; none if that takes too long."""
    if len(futures) > 1:
        return wait(futures, timeout, return_when=FIRST_COMPLETED).done
    # Most callers wait for one image, and then for one thing after the other: that takes no common waiter.
    (future,) = futures
    with suppress(TimeoutError):
        future.exception(timeout)
        return (future,)
    return ()
