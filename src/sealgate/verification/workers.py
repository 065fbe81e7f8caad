"""Threads that run queued work.

A worker never waits for other work, for a slot of a budget, or for a pause that a host asked for: a task gets a worker
when it can run (`WorkQueue`). Workers never starve each other, and nothing foreign is called under the lock.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from sealgate.errors import DeadlineError, RateLimitedError, UnavailableError
from sealgate.verification.tasks import NoSlotError
from sealgate.verification.work_queue import QueueFullError, WorkQueue

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.verification.observers import VerifierObserver
    from sealgate.verification.settings import VerifierSettings
    from sealgate.verification.tasks import Requester, Task

#: Longest time between two checks for slots that are due, in seconds.
_TICK = 0.05
#: Seconds between two sweeps of the queue.
_SWEEP_SECONDS = 1.0
#: Tasks that may wait before callers that must not be held up leave the queue to others: its sweep holds the lock for
#: some microseconds for each.
MAX_QUICK: Final = 256


class Workers:
    """Runs tasks in threads. Thread-safe.

    Args:
        settings: budgets and concurrency limits.
        clock: measures budgets, deadlines, and how long a host has been silent.
        observer: counts waits and refusals.
    """

    def __init__(self, settings: VerifierSettings, clock: Clock, observer: VerifierObserver) -> None:
        self._clock = clock
        self._observer = observer
        self._queue = WorkQueue(settings)
        self._pool = ThreadPoolExecutor(
            settings.workers * 3 + settings.silent_workers * 2, thread_name_prefix="verification"
        )
        self._pacer: threading.Thread | None = None
        self._wake = threading.Event()
        # Whether the pacer sleeps until it is woken.
        self._resting = True
        # Whether it has found no task that waits for its slot alone.
        self._unpaced = True
        self._closed = False
        self._swept_at = 0.0
        self._lock = threading.Lock()

    def submit(self, task: Task, requester: Requester) -> None:
        """Run a task once its turn has come.

        Its `done` is called in a worker or another thread, after the state of the host is updated.

        Raises:
            UnavailableError: too much work waits; its turn would come after its deadline; or the workers are closed.
            RuntimeError: no thread can be started; the task will not run.
        """
        try:
            ready, refused = self._add(task, requester)
        except UnavailableError as error:
            self._count_refusal(task, error)
            raise
        if len(ready) != 1:  # else one came and one went, most often the same
            self._observer.work_queued(1 - len(ready))
        self._report(refused)
        for other in ready:
            self._start(other, reraise=other is task)
        if task.waiting:
            self._ensure_paced(task)

    @property
    def busy(self) -> bool:
        """Whether so many tasks wait that adding one may take a while; read without the lock."""
        return len(self._queue) > MAX_QUICK

    def join(self, task: Task, requester: Requester, deadline: float) -> None:
        """Note that another one wants a task too; see `WorkQueue.join`."""
        with self._lock:
            self._queue.join(task, requester, deadline)
            ready = self._take(self._clock.monotonic(), task.host) if task.waiting else []
            refused = self._take_refused()
        self._report(refused)
        self._start_all(ready)

    def start_spare(self, task: Task, requester: Requester) -> float | None:
        """Run a task if nothing that reviews need is taken by it; see `WorkQueue.start_spare`.

        Raises:
            UnavailableError: the workers are closed.
        """
        with self._lock:
            if self._closed:
                raise _closed_error()
            wait = self._queue.start_spare(task, requester, self._clock.monotonic())
        if wait == 0:
            self._start(task)
        return wait

    def responds(self, host: str) -> bool:
        """Return whether a host has responded before and is not silent."""
        with self._lock:
            return self._queue.hosts.responds(host)

    def pause(self, host: str, seconds: float) -> None:
        """Start no task for a host for some time, because the host asked for it."""
        with self._lock:
            now = self._clock.monotonic()
            self._queue.pause(host, now + seconds)
            self._queue.sweep(now)
            refused = self._take_refused()
        self._wake.set()
        self._report(refused)

    def give_back(self, host: str) -> None:
        """Return the slot of a task that was charged and did not use it; for the task's work."""
        with self._lock:
            self._queue.give_back(host)
        self._wake.set()

    def track(self, host: str) -> float:
        """Keep the time of a host's last response until `untrack` is called; return the same as `silent_seconds`."""
        with self._lock:
            return self._queue.hosts.track(host, self._clock.monotonic())

    def untrack(self, host: str) -> None:
        """Undo one call of `track`."""
        with self._lock:
            self._queue.hosts.untrack(host)

    def silent_seconds(self, host: str) -> float:
        """Return how long ago a host last responded, or ceased to be idle; 0 for an idle host."""
        with self._lock:
            return self._queue.hosts.silent_seconds(host, self._clock.monotonic())

    def close(self) -> None:
        """Start no more work: tasks that wait end with `UnavailableError`, running ones go on."""
        with self._lock:
            self._closed = True
            self._queue.clear(_closed_error())
            refused = self._take_refused()
        self._wake.set()
        self._pool.shutdown(wait=False)
        self._report(refused)

    def _add(self, task: Task, requester: Requester) -> tuple[list[Task], list[tuple[Task, UnavailableError]]]:
        """Queue a task; return tasks to be started, and tasks that were refused."""
        with self._lock:
            if self._closed:
                raise _closed_error()
            now = self._clock.monotonic()
            self._queue.add(task, requester, now)
            return self._take(now, task.host), self._take_refused()

    def _take(self, now: float, host: str | None = None) -> list[Task]:
        """Take all tasks that may start now."""
        ready = []
        while (task := self._queue.take(now, host)) is not None:
            ready.append(task)
        return ready

    def _take_refused(self) -> list[tuple[Task, UnavailableError]]:
        refused, self._queue.refused = self._queue.refused, []
        return refused

    def _report(self, refused: list[tuple[Task, UnavailableError]]) -> None:
        for task, error in refused:
            self._observer.work_queued(-1)
            self._count_refusal(task, error)
            task.done(None, error)

    def _count_refusal(self, task: Task, error: UnavailableError) -> None:
        if task.background:
            return  # no review is refused
        if isinstance(error, RateLimitedError):
            self._observer.rate_limited(task.host)
        elif isinstance(error, QueueFullError):
            self._observer.refused(error.cause)
        elif isinstance(error, DeadlineError):
            self._observer.refused("deadline")

    def _start_all(self, ready: list[Task]) -> None:
        """Give tasks that were taken to threads, and count them as not waiting any more."""
        for task in ready:
            self._observer.work_queued(-1)
            self._start(task)

    def _start(self, task: Task, *, reraise: bool = False) -> None:
        """Give a task that was taken to a thread.

        Raises:
            RuntimeError: no thread can be started, and the task will not run; only if `reraise`.
        """
        try:
            self._pool.submit(self._run, task)
        except RuntimeError as error:
            # A pool that cannot start a thread has queued the task nevertheless, and another worker may have it.
            if not self._withdraw(task):
                return
            if reraise and not self._closed:
                raise
            task.done(None, _closed_error() if self._closed else UnavailableError(f"no thread for it: {error}"))

    def _withdraw(self, task: Task) -> bool:
        """Keep a task that was taken from being run; return whether no worker runs it."""
        with self._lock:
            if task.taken:
                return False
            task.withdrawn = True
            self._queue.withdraw(task)
            return True

    def _run(self, task: Task) -> None:
        """Run a task, and then those that it made room for."""
        following: Task | None = task
        while following is not None:
            following = self._run_one(following)

    def _run_one(self, task: Task) -> Task | None:
        """Run a task; return one that it made room for, which this thread must run."""
        with self._lock:
            if task.withdrawn:
                return None
            task.taken = True
            closed = self._closed
        self._observer.work_running(1)
        started_at = self._clock.monotonic()
        result: Any = None
        failure: BaseException | None = None
        try:
            if closed:
                raise _closed_error()  # noqa: TRY301 - it takes the way of every other error
            result = task.work()
        except NoSlotError as error:
            return self._postpone(task, error.refusal)
        except BaseException as error:  # noqa: BLE001 - a worker hands every exception to the callers
            failure = error
        if task.charged and not task.background:
            self._observer.budget_wait(task.host, started_at - task.queued_at)
        # Only a timeout is silence: a refused connection, a 404 or a 429 came back at once.
        ready = self._end(task, responded=not isinstance(failure, DeadlineError))
        task.done(result, failure)
        return self._share_out(ready)

    def _end(self, task: Task, *, responded: bool) -> list[Task]:
        self._observer.work_running(-1)
        with self._lock:
            now = self._clock.monotonic()
            self._queue.end(task, now, responded=responded)
            ready = self._take(now)
            refused = self._take_refused()
            # The worker that became free may be what a task needed whose slot is not due yet.
            paceable = self._unpaced and self._queue.next_due(now) is not None
        if paceable:
            self._wake.set()
        self._report(refused)
        return ready

    def _postpone(self, task: Task, refusal: RateLimitedError) -> Task | None:
        """Queue a task again whose work could not get a slot, or refuse it if it could not start in time."""
        self._observer.work_running(-1)
        wait = max(refusal.retry_after or 0.0, _TICK)
        with self._lock:
            now = self._clock.monotonic()
            # The task may be the first that waits: its submission, which did not wait, has started no pacer.
            late = self._closed or now + wait > task.deadline or not self._can_pace()
            if late:
                self._queue.withdraw(task)
            else:
                task.taken = False
                self._queue.put_back(task, now + wait)
            ready = self._take(now)
        self._observer.work_queued(1)
        if late:
            self._report([(task, refusal)])
        self._wake.set()
        return self._share_out(ready)

    def _share_out(self, ready: list[Task]) -> Task | None:
        """Start tasks but the first, which is for the calling thread."""
        if not ready:
            return None
        first, *others = ready
        self._observer.work_queued(-1)
        self._start_all(others)
        return first

    def _ensure_paced(self, task: Task) -> None:
        """Have a task that waits started once it is due.

        Raises:
            RuntimeError: no thread can be started, and the task will not run.
        """
        try:
            with self._lock:
                self._start_pacer()
                needed = self._resting or (task.waiting and not self._queue.is_due(task, self._clock.monotonic()))
        except RuntimeError:
            with self._lock:
                if not task.waiting:
                    return
                self._queue.cancel(task)
            self._observer.work_queued(-1)
            raise
        # A task that waits for a worker is started by the one that becomes free.
        if needed:
            self._wake.set()

    def _can_pace(self) -> bool:
        """Start the pacer unless it runs, under the lock; return whether it runs."""
        try:
            self._start_pacer()
        except RuntimeError:
            return False
        return True

    def _start_pacer(self) -> None:
        """Start the pacer unless it runs, under the lock.

        Raises:
            RuntimeError: no thread can be started.
        """
        if self._pacer is None:
            pacer = threading.Thread(target=self._pace, name="verification-pacer", daemon=True)
            pacer.start()
            self._pacer = pacer

    def _pace(self) -> None:
        """Start tasks whose slots have become due, until the workers are closed."""
        while True:
            with self._lock:
                if self._closed:
                    return
                due = self._queue.next_due(self._clock.monotonic())
                self._unpaced = due is None
                self._resting = not len(self._queue)
                timeout = None if self._resting else _SWEEP_SECONDS
            if due is None:
                overdue = not self._wake.wait(timeout)
                self._wake.clear()
            else:
                overdue = False
                self._clock.sleep(min(due, _TICK))
            self._start_due(overdue=overdue)

    def _start_due(self, *, overdue: bool) -> None:
        """Start the tasks that may start now; sweep the queue before if that is due by the clock, or overdue."""
        with self._lock:
            now = self._clock.monotonic()
            if overdue or now - self._swept_at >= _SWEEP_SECONDS:
                self._swept_at = now
                self._queue.sweep(now)
            ready = self._take(now)
            refused = self._take_refused()
        self._report(refused)
        self._start_all(ready)


def _closed_error() -> UnavailableError:
    return UnavailableError("the verifier is shutting down; try again")
