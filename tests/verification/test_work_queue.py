"""The order of work: fair, at the pace of budgets, nothing starved and nothing lost, in any interleaving."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import DeadlineError, RateLimitedError, UnavailableError
from sealgate.verification import work_queue
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.tasks import Requester, Task
from sealgate.verification.work_queue import QueueFullError, WorkQueue
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST, OTHER_HOST = "registry.example.org", "other.example.org"
SETTINGS = VerifierSettings(
    verifications_per_minute=60, burst=1, host_concurrency=4, workers=8, silent_workers=4, silent_host_concurrency=2
)


@dataclass
class Simulation:
    """A queue on a virtual clock, which runs what it gives out as soon as it may.

    Attributes:
        settings: budgets and concurrency limits.
        now: the time.
        running: the tasks that run.
        started: the tasks that were started, each with when.
        over: the tasks that were run to their end.
    """

    settings: VerifierSettings = SETTINGS
    now: float = 0.0
    running: list[Task] = field(default_factory=list)
    started: list[tuple[float, Task]] = field(default_factory=list)
    over: list[Task] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queue = WorkQueue(self.settings)

    def add(  # noqa: PLR0913 - a task has these
        self,
        namespace: str = "a",
        host: str = HOST,
        *,
        charged: bool = False,
        seconds: float = 1e6,
        review: int = 0,
        number: int = 0,
    ) -> Task:
        """Queue a task, and start what may start."""
        task = Task(host, charged, lambda: number, lambda *_: None, self.now + seconds, self.now)
        self.queue.add(task, Requester(namespace, review), self.now)
        self.start()
        return task

    def start(self) -> None:
        while (task := self.queue.take(self.now)) is not None:
            self.running.append(task)
            self.started.append((self.now, task))

    def end(self, task: Task, *, responded: bool = True) -> None:
        """End a task, and start what may start then."""
        self.running.remove(task)
        self.over.append(task)
        self.queue.end(task, self.now, responded=responded)
        self.start()

    def advance(self, seconds: float) -> None:
        """Let time pass, and start what is due at its moment."""
        end = self.now + seconds
        while (due := self.queue.next_due(self.now)) is not None and self.now + due <= end:
            self.now += max(due, 1e-9)
            self.start()
        self.now = end
        self.queue.sweep(end)
        self.start()

    def respond(self, host: str = HOST) -> None:
        """Have a host respond once."""
        self.end(self.add("first", host))
        self.started.clear()
        self.over.clear()


def namespaces(tasks: Sequence[tuple[float, Task]]) -> list[str]:
    return [task.namespace for _, task in tasks]


# Workers -------------------------------------------------------------------------------------------------------------


def test_dead_hosts_share_few_workers_and_delay_no_other() -> None:
    simulation = Simulation()
    simulation.respond()
    for number in range(100):
        simulation.add(host=f"dead{number}.example.org")
    assert len(simulation.running) == SETTINGS.silent_workers
    simulation.add("a")
    assert simulation.started[-1][1].host == HOST


def test_new_host_of_another_namespace_gets_a_worker_at_once() -> None:
    simulation = Simulation()
    for number in range(100):
        simulation.add("flood", f"dead{number}.example.org")
    task = simulation.add("other", "new.example.org")
    assert task in simulation.running
    simulation.end(task)
    more = [simulation.add("other", "new.example.org") for _ in range(4)]
    assert all(one in simulation.running for one in more)


def test_host_that_stops_responding_gives_its_workers_up() -> None:
    simulation = Simulation()
    for host in ("a.example.org", "b.example.org", HOST):
        simulation.respond(host)
    for host in ("a.example.org", "b.example.org"):
        for _ in range(4):
            simulation.add("flood", host)
    assert len(simulation.running) == SETTINGS.workers
    late = [simulation.add("flood") for _ in range(4)]
    assert not any(task in simulation.running for task in late)
    simulation.advance(SETTINGS.unresponsive_after + 1)
    assert all(task in simulation.running for task in late)


def test_one_namespace_leaves_a_host_to_others() -> None:
    simulation = Simulation()
    simulation.respond()
    for _ in range(50):
        simulation.add("flood")
    assert len(simulation.running) == SETTINGS.host_concurrency
    others = [simulation.add("other") for _ in range(3)]
    assert [task in simulation.running for task in others] == [True, True, False]


def test_reviews_of_one_namespace_take_turns() -> None:
    simulation = Simulation(VerifierSettings(host_concurrency=1, workers=1))
    simulation.respond()
    tasks = [simulation.add(review=1) for _ in range(3)] + [simulation.add(review=2)]
    order = []
    while simulation.running:
        order.append(tasks.index(simulation.running[0]))
        simulation.end(simulation.running[0])
    assert order == [0, 1, 3, 2]


# Budgets -------------------------------------------------------------------------------------------------------------


def test_slots_of_a_budget_go_to_the_namespaces_in_turn() -> None:
    simulation = Simulation()
    for _ in range(10):
        simulation.add("flood", charged=True)
    simulation.add("other", charged=True)
    simulation.add("third", charged=True)
    for _ in range(5):
        simulation.advance(1)
        for task in list(simulation.running):
            simulation.end(task)
    assert namespaces(simulation.started)[:5] == ["flood", "flood", "other", "third", "flood"]


def test_task_that_is_too_late_in_its_turn_is_refused_with_when_to_retry() -> None:
    simulation = Simulation()
    for _ in range(5):
        simulation.add("flood", charged=True)
    with pytest.raises(RateLimitedError, match="retry in 5 s") as refused:
        simulation.add("flood", charged=True, seconds=4.5)
    assert refused.value.retry_after == pytest.approx(5)
    # The same deadline is long enough for a namespace that has asked for nothing yet.
    assert simulation.add("other", charged=True, seconds=4.5).waiting


def test_task_that_others_have_come_before_is_refused() -> None:
    simulation = Simulation()
    tasks = [simulation.add("flood", charged=True, seconds=4.5) for _ in range(5)]
    for number in range(3):
        simulation.add(f"other{number}", charged=True)
    simulation.queue.sweep(simulation.now)
    assert [task for task, _ in simulation.queue.refused] == tasks[2:]
    assert all(isinstance(error, RateLimitedError) for _, error in simulation.queue.refused)


def test_waiting_task_is_dropped_at_its_deadline() -> None:
    simulation = Simulation(VerifierSettings(silent_workers=1, silent_host_concurrency=1))
    simulation.add()
    late = simulation.add(seconds=5)
    simulation.advance(5)
    ((task, error),) = simulation.queue.refused
    assert task is late
    assert isinstance(error, DeadlineError)
    assert len(simulation.queue) == 0


def test_pause_of_a_host_refuses_those_who_cannot_wait_and_has_no_burst_after_it() -> None:
    simulation = Simulation(VerifierSettings(verifications_per_minute=60, burst=100))
    simulation.respond()
    simulation.queue.pause(HOST, 10)
    with pytest.raises(RateLimitedError, match="limits its rate; retry in 10 s"):
        simulation.add(charged=True, seconds=9)
    with pytest.raises(RateLimitedError, match="limits its rate; retry in 10 s"):
        simulation.add(seconds=9)
    for _ in range(5):
        simulation.add(charged=True, seconds=60)
    simulation.advance(12.5)
    assert [when for when, _ in simulation.started] == pytest.approx([10, 11, 12])


def test_budget_is_paced_per_host() -> None:
    simulation = Simulation()
    for host in (HOST, OTHER_HOST):
        for _ in range(3):
            simulation.add(host=host, charged=True)
    assert Counter(task.host for _, task in simulation.started) == {HOST: 1, OTHER_HOST: 1}


def test_task_that_was_put_back_is_next() -> None:
    simulation = Simulation(VerifierSettings(verifications_per_minute=60, burst=5, workers=1))
    simulation.respond()
    first = simulation.add(charged=True)
    simulation.running.remove(first)
    simulation.queue.put_back(first, simulation.now + 3)
    second = simulation.add("b", charged=True)
    simulation.advance(2.9)
    assert not simulation.running
    simulation.advance(0.2)
    assert simulation.running == [first]
    simulation.end(first)
    simulation.advance(1)
    assert simulation.running == [second]


# Work that several want ----------------------------------------------------------------------------------------------


def test_joined_task_runs_in_the_turn_of_the_first_who_has_one_and_takes_one_slot() -> None:
    simulation = Simulation()
    flood = [simulation.add("flood", charged=True) for _ in range(20)]
    simulation.queue.join(flood[-1], Requester("other", 9), inf)
    simulation.end(flood[0])
    simulation.advance(2)
    assert [task for _, task in simulation.started] == [flood[0], flood[1], flood[-1]]
    simulation.end(flood[-1])
    simulation.end(flood[1])
    simulation.advance(60)
    assert len(simulation.started) == len({id(task) for _, task in simulation.started})


def test_joining_extends_the_deadline() -> None:
    simulation = Simulation(VerifierSettings(silent_workers=1, silent_host_concurrency=1))
    first = simulation.add()
    task = simulation.add(seconds=5)
    simulation.queue.join(task, Requester("a", 9), 100)
    simulation.advance(50)
    simulation.end(first)
    assert task in simulation.running
    simulation.queue.join(task, Requester("late", 1), 100)
    assert "late" not in task.requesters


# Bounds --------------------------------------------------------------------------------------------------------------


def test_queue_of_a_namespace_a_host_and_a_review_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "MAX_QUEUED", 30)
    monkeypatch.setattr(work_queue, "MAX_QUEUED_OF_REVIEW", 5)
    simulation = Simulation()

    assert fill(simulation, "one", "one.example.org", review=7) == "review"
    assert fill(simulation, "flood", HOST) == "namespace"
    assert len(simulation.queue) <= 20
    # There always is room for another namespace at another host.
    assert simulation.add("other", OTHER_HOST) in simulation.running
    with pytest.raises(QueueFullError, match="too many images wait for registry"):
        simulation.add("third")


def fill(simulation: Simulation, namespace: str, host: str, review: int | None = None) -> str:
    """Queue tasks until one is refused, and return the limit that was reached."""
    for number in range(100, 200):
        try:
            simulation.add(namespace, host, review=number if review is None else review)
        except QueueFullError as full:
            return full.cause
    raise AssertionError


def test_idle_hosts_are_forgotten() -> None:
    simulation = Simulation()
    simulation.end(simulation.add())
    simulation.queue.withdraw(simulation.add())
    simulation.queue.hosts.track(HOST, 0)
    simulation.queue.hosts.untrack(HOST)
    simulation.add(charged=True)
    with pytest.raises(RateLimitedError):
        simulation.add(charged=True, seconds=0.5)
    simulation.add(charged=True)
    simulation.queue.clear(UnavailableError("closed"))
    for task in [task for task in simulation.running if task.charged]:
        simulation.end(task)
    assert list(simulation.queue.hosts) == []


# A thousand tags -----------------------------------------------------------------------------------------------------


def assert_within_budget(times: Sequence[float], per_minute: float, burst: int) -> None:
    """Check every window that begins with one start and ends with another."""
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + (times[last] - begin) * per_minute / 60 + 1e-6


@pytest.mark.parametrize("burst", [1, 50, 300])
def test_thousand_tags_take_the_time_that_the_budget_implies(burst: int) -> None:
    simulation = Simulation(VerifierSettings(verifications_per_minute=300, burst=burst))
    simulation.respond()
    for number in range(1000):
        simulation.add(f"n{number % 7}", charged=True)
        for task in list(simulation.running):
            simulation.end(task)
    while len(simulation.queue):
        simulation.advance(0.2)
        for task in list(simulation.running):
            simulation.end(task)
    times = [when for when, _ in simulation.started]
    assert len(times) == 1000
    assert times[-1] == pytest.approx((1000 - burst) * 60 / 300, abs=0.2)
    assert_within_budget(times, 300, burst)
    if burst == 1:
        for when in times:
            assert len([other for other in times if when <= other < when + 60 - 1e-6]) <= 300


# Any interleaving ----------------------------------------------------------------------------------------------------

NEVER = 1e6
NAMES = ["a", "b", "c"]
HOSTS = [HOST, OTHER_HOST, "dead.example.org", "dead2.example.org"]
ARRIVAL = st.tuples(st.sampled_from(NAMES), st.sampled_from(HOSTS), st.booleans(), st.sampled_from([2.0, 10.0, NEVER]))
END = st.tuples(st.integers(0, 30), st.booleans())
STEPS = st.lists(st.one_of(ARRIVAL, END, st.floats(0.1, 7.0)), max_size=120)


class Model(Simulation):
    """A simulation that checks itself after each step.

    Attributes:
        added: the tasks that were queued.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.added: list[Task] = []

    def step(self, step: object) -> None:
        """Make one step, and check."""
        match step:
            case (str(namespace), str(host), bool(charged), float(seconds)):
                with suppress(RateLimitedError):
                    review = len(self.added) % 3
                    self.added.append(self.add(namespace, host, charged=charged, seconds=seconds, review=review))
            case (int(number), bool(responded)) if self.running:
                task = self.running[number % len(self.running)]
                self.end(task, responded=responded and "dead" not in task.host)
            case float(seconds):
                self.advance(seconds)
        self.check()

    def check(self) -> None:
        """Check that nothing is lost, that limits hold, and that shares are given."""
        refused = [task for task, _ in self.queue.refused]
        waiting = [task for task in self.added if task.waiting]
        states = Counter(id(task) for task in [*waiting, *self.running, *self.over, *refused])
        assert states == Counter(id(task) for task in self.added)
        assert len(self.queue) == len(waiting)
        assert self.queue.running == len(self.running)
        for task in waiting:
            self.check_share(task, waiting)

    def check_share(self, task: Task, waiting: Sequence[Task]) -> None:
        """Check that a task waits only for its budget, or because its namespace has its share."""
        host = self.queue.hosts[task.host]
        lane = host.charged if task.charged else host.free
        if self.queue._wait(lane, self.now) > 0:
            return
        silent = {name for name in HOSTS if name in {h.name for h in self.queue.hosts if h.silent}}
        for namespace in task.requesters:
            of_host = [one for one in self.running if one.host == task.host]
            of_kind = [one for one in self.running if (one.host in silent) == host.silent]
            kind_waiting = [one for one in waiting if (one.host in silent) == host.silent]
            host_waiting = [one for one in waiting if one.host == task.host]
            limit = self.settings.silent_workers if host.silent else self.settings.workers
            assert self._has_share(namespace, of_host, host_waiting, host.shares.limit) or self._has_share(
                namespace, of_kind, kind_waiting, limit
            )

    @staticmethod
    def _has_share(namespace: str, running: Sequence[Task], waiting: Sequence[Task], limit: int) -> bool:
        present = {name for task in [*running, *waiting] for name in task.requesters}
        own = len([task for task in running if task.namespace == namespace])
        return len(running) >= limit and own >= max(limit // len(present), 1)


@settings(max_examples=examples(150), deadline=None)
@given(STEPS)
def test_shares_hold_nothing_starves_and_nothing_is_lost(steps: list[object]) -> None:
    model = Model()
    for step in steps:
        model.step(step)
    # A task that may wait gets its turn, also if half of the hosts never respond.
    for _ in range(len(model.added) + 1):
        for task in list(model.running):
            model.end(task, responded="dead" not in task.host)
        model.advance(2)
    for task in list(model.running):
        model.end(task)
    model.check()
    assert len(model.queue) == 0
    assert list(model.queue.hosts) == []
    assert all(task.deadline < NEVER for task, _ in model.queue.refused)
    for host in HOSTS:
        assert_within_budget([when for when, task in model.started if task.charged and task.host == host], 60, 1)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 3)), min_size=1, max_size=80))
def test_no_namespace_gets_two_slots_while_another_waits_for_one(arrivals: list[tuple[str, int]]) -> None:
    simulation = Simulation(VerifierSettings(verifications_per_minute=60, burst=1))
    simulation.respond()
    tasks: list[Task] = []

    def check() -> None:
        for (_, one), (when, two) in zip(simulation.started, simulation.started[1:], strict=False):
            if one.namespace == two.namespace:
                others = [t for t in tasks if t.queued_at < when - 1 - 1e-6 and t.namespace != two.namespace]
                started = {id(t) for at, t in simulation.started if at <= when}
                assert all(id(t) in started for t in others)

    for namespace, pause in arrivals:
        tasks.append(simulation.add(namespace, charged=True))
        simulation.advance(pause * 0.7)
        for task in list(simulation.running):
            simulation.end(task)
    while len(simulation.queue):
        simulation.advance(1)
        for task in list(simulation.running):
            simulation.end(task)
    check()
    assert len(simulation.started) == len(tasks)


# Work in the background ----------------------------------------------------------------------------------------------


@dataclass
class Spare:
    """A simulation to which background tasks are offered."""

    simulation: Simulation

    def offer(self, host: str = HOST, namespace: str = "background") -> float | None:
        """Offer a task; return what the queue returns. One that starts runs until `end` is called."""
        now = self.simulation.now
        self.task = Task(host, True, lambda: None, lambda *_: None, now, now, background=True)
        return self.simulation.queue.start_spare(self.task, Requester(namespace, 0), now)

    def end(self) -> None:
        self.simulation.queue.end(self.task, self.simulation.now, responded=True)


def test_background_takes_only_slots_that_would_be_lost() -> None:
    simulation = Simulation(VerifierSettings(verifications_per_minute=60, burst=5))
    simulation.respond()
    spare = Spare(simulation)
    for _ in range(3):
        simulation.end(simulation.add(charged=True))
    assert spare.offer() == pytest.approx(3.0)
    simulation.advance(3.0)
    assert spare.offer() == 0
    spare.end()
    assert spare.offer() == pytest.approx(1.0)
    # All slots but the one that was taken are there for reviews.
    for _ in range(4):
        simulation.end(simulation.add(charged=True, seconds=0.1))
    with pytest.raises(RateLimitedError):
        simulation.add(charged=True, seconds=0.1)


def test_background_waits_while_tasks_of_reviews_wait() -> None:
    simulation = Simulation(VerifierSettings(verifications_per_minute=60, burst=5, host_concurrency=4, workers=8))
    simulation.respond()
    spare = Spare(simulation)
    tasks = [simulation.add() for _ in range(5)]
    assert spare.offer() is None
    for task in tasks[:2]:
        simulation.end(task)
    # None waits, but more than half of the workers of the host run.
    assert spare.offer() is None
    for task in tasks[2:4]:
        simulation.end(task)
    assert spare.offer() == 0
    spare.end()


def test_background_leaves_half_of_all_workers() -> None:
    simulation = Simulation(VerifierSettings(workers=4, host_concurrency=4))
    simulation.respond(OTHER_HOST)
    simulation.respond()
    running = [simulation.add(host=OTHER_HOST) for _ in range(2)]
    spare = Spare(simulation)
    assert spare.offer() is None
    simulation.end(running[0])
    assert spare.offer() == 0
    spare.end()
    simulation.end(running[1])
    assert list(simulation.queue.hosts) == []


def test_background_asks_no_host_that_does_not_respond() -> None:
    simulation = Simulation()
    spare = Spare(simulation)
    assert spare.offer() is None
    simulation.respond()
    simulation.add()
    simulation.advance(SETTINGS.unresponsive_after + 1)
    assert spare.offer() is None


def test_background_waits_for_the_end_of_a_pause() -> None:
    simulation = Simulation()
    simulation.respond()
    simulation.queue.pause(HOST, simulation.now + 30)
    assert Spare(simulation).offer() == pytest.approx(30.0)
