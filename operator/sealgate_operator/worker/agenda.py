"""What waits to be signed, and in which order.

Requests come before resyncs, and resyncs before manual runs, but each gets a share of the turns. Within one source,
routes take turns (a policy's work in a registry), and within a route repositories. One image of a repository is worked
on at a time, a bounded number of a registry, and a route that fails, or whose rate is used up, is left alone for a
while, so that it holds up no other.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count, cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from sealgate.clocks import Clock

#: Images of one registry that are worked on at a time.
MAX_PER_HOST = 4
#: Seconds that a policy's work in a registry is left alone after a failure, the first and the longest time.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 120.0


#: UID of a policy, and a registry.
Route = tuple[str, str]


class Source(IntEnum):
    """Why an image is to be signed."""

    REQUEST = 0
    RESYNC = 1
    RUN = 2


#: Who has the first choice in ten turns.
_TURNS = (*(Source.REQUEST,) * 4, Source.RESYNC, *(Source.REQUEST,) * 2, Source.RESYNC, Source.REQUEST, Source.RUN)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job.

    Attributes:
        retry_after: seconds after which the job is due again, at least; None if it has ended.
        answered: whether registry and key service answered; if not, their other jobs pause too.
    """

    retry_after: float | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """One image to sign.

    Attributes:
        source: why.
        key: equal for jobs that are the same; such a job is worked on once.
        policy: UID of the policy.
        host: the registry.
        lane: what only one job may write to at a time: the repository that holds the signatures.
        work: does it.
    """

    source: Source
    key: Hashable
    policy: str
    host: str
    lane: str
    work: Callable[[], Outcome] = field(compare=False, repr=False)

    @property
    def route(self) -> Route:
        """What pauses together: a policy's work in a registry."""
        return self.policy, self.host


#: Returns the seconds until a job may begin; 0 if it may begin now, and then counts it as begun.
Admission = Callable[[Job], float]


class Agenda:
    """Jobs, taken in turns. Thread-safe.

    Args:
        clock: measures delays.
        admit: the rates of policies and registries.
    """

    def __init__(self, clock: Clock, admit: Admission) -> None:
        self._clock = clock
        self._admit = admit
        self._condition = threading.Condition()
        #: Jobs that are due, by source, route and lane.
        self._ready: dict[Source, OrderedDict[Route, OrderedDict[str, deque[Job]]]] = {
            source: OrderedDict() for source in Source
        }
        self._later: list[tuple[float, int, Job]] = []
        self._numbers = count()
        #: Keys of jobs that wait, or are worked on; the latter with whether they were added again.
        self._waiting: set[Hashable] = set()
        self._working: dict[Hashable, Job | None] = {}
        self._lanes: set[str] = set()
        self._hosts: Counter[str] = Counter()
        self._routes: Counter[Route] = Counter()
        self._failures: Counter[Route] = Counter()
        self._paused: dict[Route, float] = {}
        self._turns = cycle(_TURNS)
        self._closed = False

    def __len__(self) -> int:
        """Return the number of jobs that wait."""
        with self._condition:
            return len(self._waiting)

    def add(self, job: Job, delay: float = 0.0) -> None:
        """Add a job, unless it waits already; one that is worked on is worked on again afterwards."""
        with self._condition:
            if job.key in self._working:
                self._working[job.key] = job
            elif job.key not in self._waiting:
                self._waiting.add(job.key)
                self._queue(job, delay)
                self._condition.notify()

    def take(self) -> Job | None:
        """Wait for a job that may begin; None once closed. The caller must call `finish`."""
        with self._condition:
            while not self._closed:
                job = self._pop()
                if job is not None:
                    return job
                self._condition.wait(self._seconds())
            return None

    def poll(self) -> Job | None:
        """Return a job that may begin now; None if there is none. The caller must call `finish`."""
        with self._condition:
            return self._pop()

    def seconds_to_wait(self) -> float | None:
        """Return the seconds until a job may become due; None if that depends on jobs that are worked on."""
        with self._condition:
            return self._seconds()

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Release a job, and add it again if it has not ended."""
        with self._condition:
            self._lanes.discard(job.lane)
            self._hosts[job.host] -= 1
            self._routes[job.route] -= 1
            again = self._working.pop(job.key)
            self._judge(job, answered=outcome.answered)
            if again is not None or outcome.retry_after is not None:
                self._waiting.add(job.key)
                self._queue(again or job, outcome.retry_after or 0.0)
            self._condition.notify_all()

    def close(self) -> None:
        """Stop all workers."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _judge(self, job: Job, *, answered: bool) -> None:
        if answered:
            self._failures.pop(job.route, None)
            self._paused.pop(job.route, None)
            return
        self._failures[job.route] += 1
        pause = min(FIRST_PAUSE * 2 ** (min(self._failures[job.route], 16) - 1), LONGEST_PAUSE)
        self._paused[job.route] = self._clock.monotonic() + pause

    def _queue(self, job: Job, delay: float) -> None:
        if delay > 0:
            heapq.heappush(self._later, (self._clock.monotonic() + delay, next(self._numbers), job))
            return
        lanes = self._ready[job.source].setdefault(job.route, OrderedDict())
        lanes.setdefault(job.lane, deque()).append(job)

    def _pop(self) -> Job | None:
        now = self._clock.monotonic()
        while self._later and self._later[0][0] <= now:
            self._queue(heapq.heappop(self._later)[2], 0.0)
        first = next(self._turns)
        for source in (first, *(other for other in Source if other is not first)):
            for job in self._candidates(source, now):
                if self._begins(job, now):
                    self._remove(job)
                    return job
        return None

    def _candidates(self, source: Source, now: float) -> Iterator[Job]:
        for route, lanes in self._ready[source].items():
            for lane, jobs in lanes.items():
                if not self._is_open(route, now):
                    break
                if lane not in self._lanes:
                    yield jobs[0]

    def _is_open(self, route: Route, now: float) -> bool:
        # Where the last job failed, one at a time finds out whether it works again.
        probed = route in self._failures and self._routes[route] > 0
        return self._hosts[route[1]] < MAX_PER_HOST and not probed and not self._pauses(route, now)

    def _begins(self, job: Job, now: float) -> bool:
        seconds = self._admit(job)
        if seconds > 0:
            self._paused[job.route] = now + seconds
        return seconds <= 0

    def _pauses(self, route: Route, now: float) -> bool:
        until = self._paused.get(route)
        if until is not None and until <= now:
            del self._paused[route]
            return False
        return until is not None

    def _remove(self, job: Job) -> None:
        routes = self._ready[job.source]
        lanes = routes[job.route]
        lanes[job.lane].popleft()
        if lanes[job.lane]:
            lanes.move_to_end(job.lane)
        else:
            del lanes[job.lane]
        if lanes:
            routes.move_to_end(job.route)
        else:
            del routes[job.route]
        self._waiting.discard(job.key)
        self._working[job.key] = None
        self._lanes.add(job.lane)
        self._hosts[job.host] += 1
        self._routes[job.route] += 1

    def _seconds(self) -> float | None:
        now = self._clock.monotonic()
        moments = [self._later[0][0]] if self._later else []
        if any(self._ready.values()):
            moments += self._paused.values()
        # A pause that is over is counted once: no job may be left to remove it.
        self._paused = {route: until for route, until in self._paused.items() if until > now}
        return max(0.001, min(moments) - now) if moments else None
