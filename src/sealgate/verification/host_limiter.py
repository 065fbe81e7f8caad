"""Concurrency limit for each host, and when a host last responded.

Work for one host takes at most a share of the workers; further work queues for that host alone, so a host that does not
respond delays no other. Workers never wait for other work, so they cannot starve each other.

Work is admitted first and started later, so that a full queue is noticed before anything is spent on preparing it.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealgate.errors import DeadlineError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.clocks import Clock

    Work = Callable[[], Any]
    Done = Callable[[Any, BaseException | None], None]

#: Pieces of work that may queue for one host; those behind could not be answered in time anyway.
MAX_QUEUED = 10_000


@dataclass(slots=True, eq=False)
class _Task:
    """Work that was started.

    Attributes:
        host: the host.
        work: the work.
        done: called with its result or exception.
        taken: whether a worker runs it.
        withdrawn: whether no worker may run it any more.
    """

    host: str
    work: Work
    done: Done
    taken: bool = False
    withdrawn: bool = False


@dataclass(slots=True)
class _Host:
    """State of one host; removed when it is idle.

    Attributes:
        responded_at: when it last responded, in the clock's monotonic seconds; at first, when it ceased to be idle.
        admitted: pieces of work that were admitted and are not yet started.
        running: pieces of work that have a worker.
        trackers: how often `track` was called without `untrack`.
        queue: work that was started and has no worker.
    """

    responded_at: float
    admitted: int = 0
    running: int = 0
    trackers: int = 0
    queue: deque[_Task] = field(default_factory=deque)

    @property
    def idle(self) -> bool:
        """Whether nothing refers to the host."""
        return not (self.admitted or self.running or self.trackers or self.queue)


class HostLimiter:
    """Runs work in threads, with a limit for each host. Thread-safe; only its own code runs under its lock.

    Args:
        per_host: pieces of work that may run for one host at the same time; at least 1.
        workers: the same for all hosts together.
        clock: measures how long a host has been silent.
    """

    def __init__(self, per_host: int, workers: int, clock: Clock) -> None:
        self._per_host = per_host
        self._clock = clock
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="verification")
        self._hosts: dict[str, _Host] = {}
        self._closed = False
        self._lock = threading.Lock()

    def admit(self, host: str) -> None:
        """Admit one piece of work for a host; either `start` or `cancel` must follow, once.

        Raises:
            UnavailableError: too much work queues for that host.
        """
        with self._lock:
            state = self._state(host)
            if state.admitted + state.running + len(state.queue) >= self._per_host + MAX_QUEUED:
                raise UnavailableError(f"too many images wait for {host}; try again later")
            state.admitted += 1

    def start(self, host: str, work: Work, done: Done) -> None:
        """Start admitted work in a worker, or queue it.

        Args:
            host: the host that it was admitted for.
            work: runs in a worker.
            done: called with its result and None, or None and its exception; in the worker, after the state of the host
                is updated.

        Raises:
            RuntimeError: no thread can be started; the work will not run.
        """
        task = _Task(host, work, done)
        with self._lock:
            state = self._hosts[host]
            state.admitted -= 1
            closed = self._closed
            if closed:
                self._forget_if_idle(host)
            elif state.running >= self._per_host:
                state.queue.append(task)
                return
            else:
                state.running += 1
        if closed:
            done(None, _closed_error())
            return
        try:
            self._pool.submit(self._run, task)
        except RuntimeError:
            # A pool that cannot start a thread has queued the task nevertheless, and another worker may have it.
            if not self._withdraw(task):
                return
            if not self._closed:
                raise
            done(None, _closed_error())

    def cancel(self, host: str) -> None:
        """Give back the admission of work that will not be started."""
        with self._lock:
            self._hosts[host].admitted -= 1
            self._forget_if_idle(host)

    def track(self, host: str) -> None:
        """Keep the time of a host's last response, even while no work runs for it, until `untrack` is called."""
        with self._lock:
            self._state(host).trackers += 1

    def untrack(self, host: str) -> None:
        """Undo one call of `track`."""
        with self._lock:
            self._hosts[host].trackers -= 1
            self._forget_if_idle(host)

    def silent_seconds(self, host: str) -> float:
        """Return how long ago a host last responded, or ceased to be idle; 0 for an idle host."""
        with self._lock:
            state = self._hosts.get(host)
            return 0.0 if state is None else self._clock.monotonic() - state.responded_at

    def close(self) -> None:
        """Start no more work: work that waits for a worker ends with `UnavailableError`, running work goes on."""
        with self._lock:
            self._closed = True
            dropped = [task for state in self._hosts.values() for task in state.queue]
            for host, state in list(self._hosts.items()):
                state.queue.clear()
                self._forget_if_idle(host)
        self._pool.shutdown(wait=False)
        for task in dropped:
            task.done(None, _closed_error())

    def _state(self, host: str) -> _Host:
        state = self._hosts.get(host)
        if state is None:
            state = self._hosts[host] = _Host(self._clock.monotonic())
        return state

    def _withdraw(self, task: _Task) -> bool:
        """Keep a task that counts as running from being run; return whether no worker had taken it."""
        with self._lock:
            if task.taken:
                return False
            task.withdrawn = True
            self._hosts[task.host].running -= 1
            self._forget_if_idle(task.host)
            return True

    def _run(self, task: _Task) -> None:
        with self._lock:
            if task.withdrawn:
                return
            task.taken = True
            closed = self._closed
        try:
            if closed:
                raise _closed_error()  # noqa: TRY301 - it takes the way of every other error
            result = task.work()
        except BaseException as error:  # noqa: BLE001 - a worker hands every exception to the callers
            # Only a timeout is silence: a refused connection, a 404 or a 429 came back at once.
            self._finish(task.host, responded=not isinstance(error, DeadlineError))
            task.done(None, error)
        else:
            self._finish(task.host, responded=True)
            task.done(result, None)

    def _finish(self, host: str, *, responded: bool) -> None:
        """Note that a piece of work has ended, and give its worker to the next one for that host."""
        with self._lock:
            state = self._hosts[host]
            if responded:
                state.responded_at = self._clock.monotonic()
            task = state.queue.popleft() if state.queue else None
            if task is None:
                state.running -= 1
                self._forget_if_idle(host)
        if task is None:
            return
        try:
            self._pool.submit(self._run, task)
        except RuntimeError:
            # A pool that cannot start a thread has queued the task, and this worker is free for it. A closed pool
            # has not.
            if self._closed and self._withdraw(task):
                task.done(None, _closed_error())

    def _forget_if_idle(self, host: str) -> None:
        if self._hosts[host].idle:
            del self._hosts[host]


def _closed_error() -> UnavailableError:
    return UnavailableError("the verifier is shutting down; try again")
