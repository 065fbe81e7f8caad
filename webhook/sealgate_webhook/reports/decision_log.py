"""The reports' part of the decision log: a line for each result that is not a pass, when it appears.

A line keeps to the schema `docs/decision-log.schema.json` (`msg` is `MESSAGE`) and has the id that the report has. A
result is logged once while it stays; after a restart of the process, all are logged again. So many new results that
they would flood the log are logged in the rounds that follow, a share of each round for each namespace.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from sealgate.clocks import timestamp
from sealgate.decision_ids import FIELD, LOG_VERSION
from sealgate.messages import quote
from sealgate_webhook.reports.documents import decision_id

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sealgate_webhook.reports.results import Result
    from sealgate_webhook.reports.workloads import Workload

#: The event of a line.
MESSAGE: Final = "report result"
#: Lines of one round, which namespaces share; each may have at least `MIN_SHARE` and at most `MAX_SHARE`.
MAX_LOGGED: Final = 1000
MIN_SHARE: Final = 10
MAX_SHARE: Final = 100


class ResultLog:
    """Logs results. Not thread-safe.

    Args:
        log: gets the lines.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._logged: frozenset[str] = frozenset()
        self._there: set[str] = set()
        self._share = MAX_SHARE
        self._new: Counter[str] = Counter()

    def begin(self, namespaces: int) -> None:
        """Begin a round.

        Args:
            namespaces: number of namespaces whose results may follow.
        """
        self._there = set()
        self._new = Counter()
        self._share = min(MAX_SHARE, max(MIN_SHARE, MAX_LOGGED // max(1, namespaces)))

    def note(self, workload: Workload, result: Result) -> None:
        """Log a result unless it is a pass, was logged before, or its namespace has used its share of the round."""
        if result.outcome == "pass":
            return
        decision = decision_id(workload, result)
        if decision in self._logged:
            self._there.add(decision)
        elif decision not in self._there:
            self._new[workload.namespace] += 1
            if self._new[workload.namespace] <= self._share:
                self._there.add(decision)
                self._write(decision, workload, result)

    def end(self) -> None:
        """End the round: results that were not in it are logged again if they return."""
        self._logged, self._there = frozenset(self._there), set()
        waiting = sum(max(0, count - self._share) for count in self._new.values())
        if waiting:
            self._log.warning("results are logged in the next rounds; the reports have them", count=waiting)

    def _write(self, decision: str, workload: Workload, result: Result) -> None:
        group = workload.api_version.rpartition("/")[0]
        fields = {
            FIELD: decision,
            "decision_version": LOG_VERSION,
            "kind": quote(f"{group}/{workload.kind}" if group else workload.kind),
            "namespace": quote(workload.namespace),
            "name": quote(workload.name),
            "workload_uid": quote(workload.uid),
            "outcome": result.outcome,
            "policy": result.policy,
            "action": result.action,
            "reason": result.reason,
            "image": result.image,
            "digest": result.digest,
            "running": result.running,
            "verified_at": timestamp(result.verified_at),
            "message": result.message,
        }
        self._log.info(MESSAGE, **{name: value for name, value in fields.items() if value != ""})
