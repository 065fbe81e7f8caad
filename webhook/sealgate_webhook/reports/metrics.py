"""Prometheus metrics of the reports. Labels are names of policies, which administrators choose, and enumerations."""

from __future__ import annotations

from collections import Counter as Counts
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sealgate_webhook.policy_metrics import OTHER
from sealgate_webhook.reports.documents import APIS
from sealgate_webhook.reports.results import NO_POLICY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from prometheus_client import CollectorRegistry, Metric

    from sealgate_webhook.reports.documents import ReportAPI
    from sealgate_webhook.reports.results import Outcome

#: The most policies that are named.
MAX_POLICIES: Final = 1000


class ReportMetrics(Collector):
    """All metrics of the reports.

    Args:
        registry: gets the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._results: Counts[tuple[str, Outcome]] = Counts()
        registry.register(self)
        self._last = Gauge(
            "sealgate_report_last_round_timestamp_seconds",
            "Time of the last complete round, in seconds since the Unix epoch; 0 before the first.",
            registry=registry,
        )
        self._duration = Gauge(
            "sealgate_report_round_duration_seconds", "Duration of the last complete round.", registry=registry
        )
        self._workloads = Gauge("sealgate_report_workloads", "Workloads of the last round.", registry=registry)
        self._waiting = Gauge(
            "sealgate_report_waiting_images",
            "Images that have no verdict yet, because the budgets of their registries are used up.",
            registry=registry,
        )
        self._left_out = Gauge(
            "sealgate_report_left_out_workloads",
            "Workloads without a report, because there are too many in a namespace or in total.",
            registry=registry,
        )
        self._unread = Gauge(
            "sealgate_report_unread_kinds", "Kinds that could not be listed in the last round.", registry=registry
        )
        self._installed = Gauge(
            "sealgate_report_api_installed", "1 if the API is installed, 0 if not.", ("group",), registry=registry
        )
        self._writes = Counter(
            "sealgate_report_writes", "Reports that were written or deleted.", ("operation",), registry=registry
        )
        self._failures = Counter(
            "sealgate_report_write_failures", "Reports that could not be written or deleted.", registry=registry
        )
        self._failed_rounds = Counter(
            "sealgate_report_failed_rounds", "Rounds that ended with an error and were repeated.", registry=registry
        )

    def round_ended(self, now: float, seconds: float) -> None:
        """Record a complete round: when it ended, in seconds since the Unix epoch, and how long it took."""
        self._last.set(now)
        self._duration.set(seconds)

    def round_failed(self) -> None:
        """Count a round that ended with an error."""
        self._failed_rounds.inc()

    def found(self, workloads: int, left_out: int, unread: int, waiting: int) -> None:
        """Record what a round found; see the help of the metrics."""
        self._workloads.set(workloads)
        self._left_out.set(left_out)
        self._unread.set(unread)
        self._waiting.set(waiting)

    def reported(self, results: Mapping[tuple[str, Outcome], int]) -> None:
        """Record the number of results of all workloads, by policy and result."""
        counts: Counts[tuple[str, Outcome]] = Counts()
        named: set[str] = set()
        for (policy, outcome), count in results.items():
            if len(named) < MAX_POLICIES:
                named.add(policy)
            counts[policy if policy in named else OTHER, outcome] += count
        self._results = counts

    def installed(self, apis: Collection[ReportAPI]) -> None:
        """Record which report APIs are installed."""
        for api in APIS:
            self._installed.labels(api.group).set(api in apis)

    def wrote(self, operation: str) -> None:
        """Count a report that was written: "create", "update" or "delete"."""
        self._writes.labels(operation).inc()

    def write_failed(self) -> None:
        """Count a report that could not be written."""
        self._failures.inc()

    def collect(self) -> Iterable[Metric]:
        """Return the results of the last round."""
        found = GaugeMetricFamily(
            "sealgate_report_results",
            f'Results of the last round, by policy and result; policy "{NO_POLICY}" for those that no policy caused.',
            labels=("policy", "result"),
        )
        for (policy, outcome), count in self._results.items():
            found.add_metric((policy, outcome), count)
        return (found,)
