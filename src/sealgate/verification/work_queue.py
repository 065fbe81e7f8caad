"""Which work runs next: fair among namespaces and hosts, at the pace of each host's budget.

Each host has a lane of tasks in which namespaces take turns, and one more for tasks that take a slot of the host's
budget. A task leaves its lane when its turn has come, the slot is due, and the host and its kind (responsive or silent)
have a worker for its namespace (`Shares`). A task that cannot be started before its deadline is refused as soon as that
is known, with when to retry. Nothing waits in a worker.

Queues are bounded by what is left: a namespace, or a host, may have as many tasks waiting as there are free places.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from sealgate.budgets import rate_limited
from sealgate.counts import add_count
from sealgate.errors import DeadlineError, RateLimitedError, UnavailableError
from sealgate.messages import quote
from sealgate.verification.hosts import HostTable
from sealgate.verification.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.verification.hosts import Host
    from sealgate.verification.observers import RefusalCause
    from sealgate.verification.settings import VerifierSettings
    from sealgate.verification.tasks import Lane, Requester, Task

#: Tasks that may wait in all.
MAX_QUEUED = 20_000
#: Tasks of one review that may wait.
MAX_QUEUED_OF_REVIEW = 2_000


class QueueFullError(UnavailableError):
    """Too much work waits already.

    Args:
        message: for people.
        cause: which limit was reached.
    """

    def __init__(self, message: str, cause: RefusalCause) -> None:
        super().__init__(message)
        self.cause = cause


class WorkQueue:
    """The tasks that wait and those that run. Not thread-safe, without threads and without a clock.

    Args:
        settings: budgets and concurrency limits.

    Attributes:
        hosts: the hosts that are not idle.
        refused: tasks that were refused after they had been queued, each with the reason. The caller takes them out
            and reports them.
    """

    def __init__(self, settings: VerifierSettings) -> None:
        self.hosts = HostTable(settings)
        self.refused: list[tuple[Task, UnavailableError]] = []
        self._workers = {
            False: Shares(settings.workers, settings.workers * 3),
            True: Shares(settings.silent_workers, settings.silent_workers * 2),
        }
        # The lanes in which tasks wait, by whether the host is silent, in the order of their turns.
        self._turns: dict[bool, OrderedDict[Lane, None]] = {False: OrderedDict(), True: OrderedDict()}
        self._waiting: dict[tuple[RefusalCause, str | int], int] = {}
        self._length = 0

    def __len__(self) -> int:
        """Return the number of tasks that wait."""
        return self._length

    @property
    def running(self) -> int:
        """The number of tasks that run."""
        return sum(shares.in_use for shares in self._workers.values())

    def add(self, task: Task, requester: Requester, now: float) -> None:
        """Queue a task.

        Raises:
            QueueFullError: too much work waits.
            RateLimitedError: its turn would come after its deadline.
        """
        host = self.hosts.get_or_add(task.host, now)
        try:
            self._check_length(task, requester)
            lane = _lane(host, task)
            self._check_wait(lane, task, requester, now)
        except UnavailableError:
            self.hosts.forget_if_idle(host)
            raise
        self._request(host, task, requester)
        self._note_queued(host, lane, task)

    def join(self, task: Task, requester: Requester, deadline: float) -> None:
        """Note that another one wants a task too: it starts when the first of them has its turn.

        Args:
            task: added before; one that runs or is over stays as it is.
            requester: who wants it.
            deadline: when that one stops waiting, in monotonic seconds.
        """
        if task.waiting:
            task.deadline = max(task.deadline, deadline)
            if requester.namespace not in task.requesters:
                self._request(self.hosts[task.host], task, requester)
                self._count(requester, 1)

    def take(self, now: float, host: str | None = None) -> Task | None:
        """Take the next task that may start now; None if there is none. `end`, `withdraw` or `put_back` must follow.

        Args:
            now: the time.
            host: take only a task for this host; None for any.
        """
        # Most often no task is left, and then the lanes need no search.
        while self._length and (lane := self._next_lane(now, host)) is not None:
            of = self.hosts[lane.host]
            task = lane.take(partial(self._may_start, of))
            if task is None:
                return None
            self._note_dequeued(of, lane, task)
            if task.deadline > now:
                self._start(of, task, now)
                return task
            self._leave(of, task)
            self.refused.append((task, _late(task)))
        return None

    def start_spare(self, task: Task, requester: Requester, now: float) -> float | None:
        """Start a task that takes only what reviews leave; if it starts, `end` or `withdraw` must follow.

        It takes a slot of the host's budget that would be lost, as all others are free, while no task waits for the
        host, and a worker while half of them are free. A review therefore waits for at most one slot longer.

        Args:
            task: takes a slot; has not been added.
            requester: whose share it takes.
            now: the time.

        Returns:
            0 if it starts, else the seconds until the budget has such a slot; None if it waits for something else.
        """
        if not self.hosts.responds(task.host):
            return None
        host = self.hosts.get_or_add(task.host, now)
        shared = host.shares, self._workers[host.silent]
        free = not host.free and not host.charged and all(shares.half_free for shares in shared)
        wait = host.pace.until_full(now) if free else None
        if wait != 0:
            self.hosts.forget_if_idle(host)
            return wait
        task.namespace = requester.namespace
        task.requesters[requester.namespace] = requester
        for shares in shared:
            shares.enter(requester.namespace)
        self._start(host, task, now)
        return 0.0

    def end(self, task: Task, now: float, *, responded: bool) -> None:
        """Note that a task has run.

        Args:
            task: was taken.
            now: the time.
            responded: whether the host responded to it.
        """
        host = self._release(task)
        if responded:
            self.hosts.note_response(host, now)
        self._classify(host, now)
        self._leave(host, task)

    def withdraw(self, task: Task) -> None:
        """Note that a task that was taken will not run."""
        host = self._release(task)
        if task.charged:
            host.pace.give_back()
        self._leave(host, task)

    def put_back(self, task: Task, until: float) -> None:
        """Queue a task that was taken again, before all others of its host: the host's budget has no slot yet.

        Args:
            task: was taken.
            until: when the budget has a slot, in monotonic seconds.
        """
        host = self._release(task)
        host.pace.give_back()
        host.pace.defer(until)
        lane = _lane(host, task)
        for requester in task.requesters.values():
            lane.put_back(task, requester)
        self._note_queued(host, lane, task)

    def cancel(self, task: Task) -> None:
        """Remove a task that waits."""
        host = self.hosts[task.host]
        self._remove(host, _lane(host, task), task)

    def give_back(self, host: str) -> None:
        """Return the slot that a task of a host took and did not use."""
        self.hosts.pace(host).give_back()

    def pause(self, host: str, until: float) -> None:
        """Start no task for a host before a time, in monotonic seconds, and no burst then."""
        self.hosts.pace(host).pause(until)

    def sweep(self, now: float) -> None:
        """Refuse tasks that cannot be started in time any more, and note which hosts have become silent."""
        for host in self.hosts:
            self._classify(host, now)
            for lane in host.lanes:
                self._sweep(host, lane, now)
            self.hosts.forget_if_idle(host)

    def is_due(self, task: Task, now: float) -> bool:
        """Return whether a task that waits waits for a worker only."""
        return self._wait(_lane(self.hosts[task.host], task), now) <= 0

    def next_due(self, now: float) -> float | None:
        """Return the seconds until a slot is due for a task that waits for nothing else; None if there is none."""
        if not self._length:
            return None
        waits = (
            self._wait(lane, now)
            for lane in self._lanes_of_turns()
            if lane.may_start_any(partial(self._may_start, self.hosts[lane.host]))
        )
        return min((wait for wait in waits if wait > 0), default=None)

    def clear(self, error: UnavailableError) -> None:
        """Refuse all tasks that wait."""
        for host in self.hosts:
            for lane in host.lanes:
                for task in dict.fromkeys(lane):
                    self._refuse(host, lane, task, error)
            self.hosts.forget_if_idle(host)

    def _check_length(self, task: Task, requester: Requester) -> None:
        left = MAX_QUEUED - self._length
        waiting = self._waiting.get
        if waiting(("namespace", requester.namespace), 0) >= left:
            name = quote(requester.namespace)
            raise QueueFullError(f"too many images of the namespace {name} wait; try again later", "namespace")
        if waiting(("host", task.host), 0) >= left:
            raise QueueFullError(f"too many images wait for {task.host}; try again later", "host")
        if waiting(("review", requester.review), 0) >= MAX_QUEUED_OF_REVIEW:
            raise QueueFullError("too many images of one object wait; try again later", "review")

    def _check_wait(self, lane: Lane, task: Task, requester: Requester, now: float) -> None:
        if now + self._wait(lane, now, self._waiting.get(("host", task.host), 0)) <= task.deadline:
            return  # in time even as the last one
        wait = self._wait(lane, now, lane.ahead(requester))
        if now + wait > task.deadline:
            raise self._limited(lane, wait, now)

    def _next_lane(self, now: float, host: str | None) -> Lane | None:
        for lane in self._lanes_of_turns() if host is None else self.hosts.lanes(host):
            may_start = partial(self._may_start, self.hosts[lane.host])
            if self._wait(lane, now) <= 0 and lane.may_start_any(may_start):
                return lane
        return None

    def _lanes_of_turns(self) -> Iterator[Lane]:
        """Return the lanes in which tasks wait, in turn, without those for which there can be no worker."""
        for silent, turns in self._turns.items():
            if self._workers[silent].may_take_any():
                yield from turns

    def _may_start(self, host: Host, namespace: str) -> bool:
        return host.shares.may_take(namespace) and self._workers[host.silent].may_take(namespace)

    def _wait(self, lane: Lane, now: float, ahead: int = 0) -> float:
        """Return the seconds until the host may be asked, and its budget has a slot after those ahead."""
        pace = self.hosts[lane.host].pace
        return pace.wait(now, ahead) if lane.charged else max(pace.paused_until - now, 0.0)

    def _limited(self, lane: Lane, wait: float, now: float) -> RateLimitedError:
        if self.hosts[lane.host].pace.paused_until > now:
            return RateLimitedError(f"{lane.host} limits its rate; retry in {wait:.0f} s", retry_after=wait)
        return rate_limited(lane.host, wait)

    def _request(self, host: Host, task: Task, requester: Requester) -> None:
        task.requesters[requester.namespace] = requester
        for shares in (host.shares, self._workers[host.silent]):
            shares.enter(requester.namespace)
        _lane(host, task).add(task, requester)

    def _note_queued(self, host: Host, lane: Lane, task: Task) -> None:
        task.waiting = True
        self._count_all(task, 1)
        self._turns[host.silent].setdefault(lane)

    def _note_dequeued(self, host: Host, lane: Lane, task: Task) -> None:
        task.waiting = False
        self._count_all(task, -1)
        turns = self._turns[host.silent]
        turns.move_to_end(lane)
        if not lane:
            del turns[lane]

    def _count_all(self, task: Task, change: int) -> None:
        self._length += change
        add_count(self._waiting, ("host", task.host), change)
        for requester in task.requesters.values():
            self._count(requester, change)

    def _count(self, requester: Requester, change: int) -> None:
        add_count(self._waiting, ("namespace", requester.namespace), change)
        add_count(self._waiting, ("review", requester.review), change)

    def _start(self, host: Host, task: Task, now: float) -> None:
        if task.charged:
            host.pace.take(now)
        for shares in (host.shares, self._workers[host.silent]):
            shares.take(task.namespace)

    def _release(self, task: Task) -> Host:
        """Give back the worker of a task; return its host."""
        host = self.hosts[task.host]
        for shares in (host.shares, self._workers[host.silent]):
            shares.release(task.namespace)
        return host

    def _leave(self, host: Host, task: Task) -> None:
        """Note that a task is over."""
        for namespace in task.requesters:
            for shares in (host.shares, self._workers[host.silent]):
                shares.leave(namespace)
        self.hosts.forget_if_idle(host)

    def _classify(self, host: Host, now: float) -> None:
        """Move a host that has become silent or responsive, with its tasks."""
        silent = self.hosts.is_silent(host, now)
        if silent == host.silent:
            return
        self._workers[host.silent].subtract(host.shares)
        for lane in host.lanes:
            if lane:
                del self._turns[host.silent][lane]
                self._turns[silent][lane] = None
        self.hosts.set_silent(host, silent=silent)
        self._workers[silent].add(host.shares)

    def _sweep(self, host: Host, lane: Lane, now: float) -> None:
        ahead = 0
        for task in dict.fromkeys(lane):
            wait = self._wait(lane, now, ahead)
            if task.deadline <= now:
                self._refuse(host, lane, task, _late(task))
            elif now + wait > task.deadline:
                self._refuse(host, lane, task, self._limited(lane, wait, now))
            else:
                ahead += 1

    def _refuse(self, host: Host, lane: Lane, task: Task, error: UnavailableError) -> None:
        self._remove(host, lane, task)
        self.refused.append((task, error))

    def _remove(self, host: Host, lane: Lane, task: Task) -> None:
        lane.remove(task)
        self._note_dequeued(host, lane, task)
        self._leave(host, task)


def _lane(host: Host, task: Task) -> Lane:
    return host.charged if task.charged else host.free


def _late(task: Task) -> DeadlineError:
    return DeadlineError(f"ran out of time while other images waited for {task.host}; try again")
