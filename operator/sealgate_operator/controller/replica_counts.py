"""Reads what the webhook's replicas count for each policy, and has it written into the policies' status.

A policy's status is written for its numbers at most once a minute, and of all policies together so many a minute that
the API server does not notice; those that have waited longest come first.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from sealgate.api.v1alpha1.status import PolicyActivity
from sealgate.errors import SealgateError, UnavailableError
from sealgate_operator.controller.resources import POLICY
from sealgate_operator.controller.work_queue import Key
from sealgate_operator.status.policy_activity import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate_operator.controller.replicas import Replicas
    from sealgate_operator.controller.store import ObjectStore
    from sealgate_operator.controller.work_queue import WorkQueue
    from sealgate_operator.metrics import Metrics

#: Seconds between two readings: what a replica counts in its last seconds is lost with it.
READ_SECONDS: Final = 15.0
#: Seconds between two writes of one status for its numbers.
WRITE_SECONDS: Final = 60.0
#: The most statuses that are written after one reading: 300 a minute.
MAX_WRITES: Final = 75


@dataclass(frozen=True, slots=True)
class _Published:
    activity: PolicyActivity | None
    at: float


class ReplicaReader:
    """Reads the counts of the webhook's replicas. `activity` may be called from any thread.

    Args:
        replicas: the replicas.
        store: cache of the policies.
        queue: gets the policies whose numbers changed.
        clock: source of the time.
        metrics: counts readings.
        log: gets a line when replicas cannot be read any more.
    """

    def __init__(
        self,
        replicas: Replicas,
        store: ObjectStore,
        queue: WorkQueue,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._replicas = replicas
        self._store = store
        self._queue = queue
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._tally = Tally()
        self._began = clock.monotonic()
        self._problem = ""
        self._lock = threading.Lock()
        self._published: dict[str, _Published] = {}

    def run(self, stop: threading.Event) -> None:
        """Read periodically until `stop` is set."""
        while not stop.is_set():
            self.read()
            stop.wait(READ_SECONDS)

    def read(self) -> None:
        """Read every replica once, and queue the policies whose numbers changed and are due."""
        problem = ""
        try:
            for address in self._replicas.addresses():
                problem = self._read(address) or problem
        except UnavailableError as error:
            problem = error.message
        self._note(problem)
        self._publish()

    def activity(self, policy: str, before: PolicyActivity | None) -> PolicyActivity | None:
        """Return the numbers that the status of a policy should show.

        Args:
            policy: its name.
            before: what its status shows; kept while nothing was read.
        """
        with self._lock:
            published = self._published.get(policy)
        return before if published is None else published.activity

    def _read(self, address: str) -> str:
        """Read one replica; return why it could not be read, empty if it could."""
        try:
            counts = self._replicas.counts(address)
        except SealgateError as error:
            self._metrics.failed("counts")
            return error.message
        self._tally.read(counts, self._clock.monotonic())
        self._metrics.worked("counts")
        return ""

    def _note(self, problem: str) -> None:
        if problem and not self._problem:
            self._log.warning("replicas cannot be read; policies show old counts", error=problem)
        self._problem = problem

    def _publish(self) -> None:
        now = self._clock.monotonic()
        self._tally.expire(now)
        if self._tally.empty and now - self._began < 60 * WRITE_SECONDS:
            # After a start: what the status shows is better than nothing, for an hour.
            return
        policies = {obj["metadata"]["name"]: obj for obj in self._store.all(POLICY)}
        changed = [(name, activity) for name, obj in policies.items() for activity in self._change(name, obj, now)]
        with self._lock:
            self._published = {name: known for name, known in self._published.items() if name in policies}
            changed.sort(key=lambda change: self._published_at(change[0]))
            for name, activity in changed[:MAX_WRITES]:
                self._published[name] = _Published(activity, now)
        for name, _ in changed[:MAX_WRITES]:
            self._queue.add(Key(POLICY, name))

    def _change(self, name: str, obj: Mapping[str, Any], now: float) -> Iterator[PolicyActivity | None]:
        """Yield the numbers of a policy if they changed and may be written."""
        if now - self._published_at(name) < WRITE_SECONDS:
            return
        before = _activity_of(obj)
        activity = self._tally.activity(name, before, now, self._clock.now())
        if activity != before:
            yield activity

    def _published_at(self, name: str) -> float:
        published = self._published.get(name)
        return float("-inf") if published is None else published.at


def _activity_of(obj: Mapping[str, Any]) -> PolicyActivity | None:
    """Return the numbers in a policy's status: all of it would take a second for ten thousand policies."""
    found = (obj.get("status") or {}).get("activity")
    try:
        return None if found is None else PolicyActivity.model_validate(found)
    except ValidationError:
        return None
