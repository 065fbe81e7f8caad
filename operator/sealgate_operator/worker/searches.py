"""Decides which search a policy needs now, and runs it in a thread of its own.

A baseline that is missing is recorded before anything else. A run and resyncs go on side by side, so that a long run
does not delay what was pushed since.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.signing_status import BaselineStatus
from sealgate.errors import SealgateError
from sealgate_operator.worker.scans import CancelledError, IncompleteError, note_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate_operator.worker.manual_runs import ManualRuns
    from sealgate_operator.worker.metrics import WorkerMetrics
    from sealgate_operator.worker.policy_states import OpenPolicy, PolicyState
    from sealgate_operator.worker.scans import Scans

#: Seconds between two looks at what the policies need.
_TICK_SECONDS = 0.25
#: Seconds after which a search that failed begins again, the first and the longest time.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0

_Key = tuple[str, str]


class Searches:
    """Starts searches as they are due. One of each kind runs for a policy at a time.

    Args:
        scans: records baselines and resyncs.
        runs: manual runs.
        resync_seconds: between two resyncs of a policy.
        clock: measures them.
        metrics: counts failures.
        log: gets a line for every failure.
    """

    def __init__(
        self,
        scans: Scans,
        runs: ManualRuns,
        resync_seconds: float,
        clock: Clock,
        metrics: WorkerMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._scans = scans
        self._runs = runs
        self._resync_seconds = resync_seconds
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._under_way: dict[_Key, threading.Thread] = {}
        self._failures: dict[_Key, int] = {}
        self._not_before: dict[_Key, float] = {}

    def run(self, stop: threading.Event, policies: Mapping[str, PolicyState]) -> None:
        """Start what is due until `stop` is set; then wait for what writes."""
        while not stop.wait(_TICK_SECONDS):
            for policy in list(policies.values()):
                self._start_due(policy, stop)
            self._forget(policies.keys())
        for thread in list(self._under_way.values()):
            thread.join()

    def _start_due(self, policy: PolicyState, stop: threading.Event) -> None:
        opened = policy.opened
        if opened is None:
            return
        baseline, wanted = policy.status.baseline, self._runs.wanted(policy)
        if wanted and baseline is not None and baseline.state == "Lost":
            policy.baseline = None
            recording = BaselineStatus(state="Recording", key=opened.baseline_key)
            policy.change(lambda _: {"baseline": recording})
        elif baseline is not None and baseline.state == "Recording":
            self._start("record", self._scans.record, policy, opened, stop)
        else:
            if wanted:
                self._start("run", self._runs.run, policy, opened, stop)
            if policy.baseline_for(opened) is not None and self._clock.monotonic() >= policy.resync_at:
                self._start("resync", self._resync, policy, opened, stop)

    def _resync(self, policy: PolicyState, opened: OpenPolicy, stop: threading.Event) -> None:
        self._scans.resync(policy, opened, stop)
        policy.resync_at = self._clock.monotonic() + self._resync_seconds

    def _start(
        self,
        kind: str,
        search: Callable[[PolicyState, OpenPolicy, threading.Event], None],
        policy: PolicyState,
        opened: OpenPolicy,
        stop: threading.Event,
    ) -> None:
        key = (kind, policy.uid)
        running = self._under_way.get(key)
        if (running is not None and running.is_alive()) or self._clock.monotonic() < self._not_before.get(key, 0.0):
            return

        def guarded() -> None:
            try:
                search(policy, opened, stop)
                self._failures.pop(key, None)
            except CancelledError:
                return
            except Exception as error:  # noqa: BLE001 - the boundary: every error is logged and the search begins again
                self._failed(key, policy, error)

        thread = threading.Thread(target=guarded, name=f"{kind} {policy.name}", daemon=True)
        self._under_way[key] = thread
        thread.start()

    def _failed(self, key: _Key, policy: PolicyState, error: Exception) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(FIRST_PAUSE * 2 ** min(count - 1, 16), LONGEST_PAUSE)
        self._not_before[key] = self._clock.monotonic() + pause
        self._metrics.failed(key[0])
        fields = {"policy": policy.name, "search": key[0], "backoff_seconds": pause}
        if isinstance(error, IncompleteError):
            note_problems(policy, error.problems)
            self._log.warning("search is not complete; will retry", error=error.problems[0], **fields)
        elif isinstance(error, SealgateError):
            note_problems(policy, (error.message,))
            self._log.warning("search failed; will retry", error=error.message, **fields)
        else:
            self._log.error("search failed; will retry", exc_info=error, **fields)

    def _forget(self, known: Collection[str]) -> None:
        """Drop what is kept about policies that are gone."""
        for kept in (self._failures, self._not_before):
            for key in [key for key in kept if key[1] not in known]:
                del kept[key]
        for key in [key for key, thread in self._under_way.items() if key[1] not in known and not thread.is_alive()]:
            del self._under_way[key]
