"""Prometheus metrics of the operator.

Labels are kinds and states, never names: users who may write objects must not be able to create time series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from sealgate_operator.series import replace_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

_PREFIX = "sealgate_operator"


class Metrics:
    """All metrics of one operator process.

    Args:
        leads: returns whether this replica is the leader.
    """

    def __init__(self, leads: Callable[[], bool]) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = self._counter("reconcile_successes", "Successful reconciliations.", "kind")
        self._errors = self._counter("reconcile_errors", "Failed reconciliations, which are retried.", "kind")
        self._writes = self._counter("status_writes", "Updates of the status of an object.", "kind")
        self._events_dropped = Counter(
            f"{_PREFIX}_events_dropped", "Kubernetes Events that could not be written.", registry=self.registry
        )
        self._keys = self._gauge("resolved_keys", "Keys resolved from Secrets and key management services.", "state")
        self._objects = self._gauge(
            "objects",
            "Authenticators and verification policies, by the status of their condition Ready.",
            "kind",
            "ready",
        )
        self._expiry = self._gauge(
            "certificate_expiry_timestamp_seconds",
            "Expiry of a certificate, in seconds since the Unix epoch.",
            "certificate",
        )
        self._node_critical = self._gauge(
            "node_critical_daemonsets", "DaemonSets of class system-node-critical in namespaces that are not excluded."
        )
        self._trusted_root = self._gauge(
            "trusted_root_timestamp_seconds",
            "When the trusted root was last fetched, and when the metadata that proves it expires, in seconds since "
            "the Unix epoch; 0 before the first time. Absent where nothing is fetched.",
            "event",
        )
        self._waiting = Gauge(
            f"{_PREFIX}_workqueue_depth", "Objects that wait to be reconciled.", registry=self.registry
        )
        self._enforcing = Gauge(
            "sealgate_enforcing",
            "1 if the API server asks the webhook as the chart wants, 0 if anything keeps it from that.",
            registry=self.registry,
        )
        self._problems = Gauge(
            "sealgate_enforcement_problems",
            "1 for each kind of problem that keeps the API server from asking the webhook as the chart wants.",
            ("problem",),
            registry=self.registry,
        )
        self._bundles_restored = Counter(
            f"{_PREFIX}_ca_bundles_restored",
            "Webhook configurations whose caBundle was changed by another client and was restored.",
            registry=self.registry,
        )
        self._rules_restored = Counter(
            f"{_PREFIX}_rules_restored",
            "Webhook configurations whose rules were changed by another client and were restored.",
            registry=self.registry,
        )
        leader = Gauge(f"{_PREFIX}_leader", "1 if this replica is the leader, 0 if not.", registry=self.registry)
        leader.set_function(lambda: float(leads()))

    def worked(self, kind: str) -> None:
        """Count a successful reconciliation of an object of a kind."""
        self._reconciles.labels(kind).inc()

    def failed(self, kind: str) -> None:
        """Count a failed reconciliation of an object of a kind."""
        self._errors.labels(kind).inc()

    def wrote(self, kind: str) -> None:
        """Count an update of the status of an object of a kind."""
        self._writes.labels(kind).inc()

    def event_dropped(self) -> None:
        """Count an Event that could not be written."""
        self._events_dropped.inc()

    def enforcement(self, problems: Iterable[str]) -> None:
        """Set the kinds of problems that keep the API server from asking the webhook as the chart wants."""
        kinds = set(problems)
        self._enforcing.set(not kinds)
        replace_series(self._problems, {(kind,): 1 for kind in kinds})

    def ca_bundle_restored(self) -> None:
        """Count a webhook configuration whose `caBundle` was restored."""
        self._bundles_restored.inc()

    def rules_restored(self) -> None:
        """Count a webhook configuration whose rules were restored."""
        self._rules_restored.inc()

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Report the length of the work queue from now on."""
        self._waiting.set_function(lambda: float(length()))

    def counted(self, keys: Iterable[str], objects: Mapping[tuple[str, str], int]) -> None:
        """Set the numbers of keys and objects.

        Args:
            keys: state of every resolved key, "Accepted" or "Refused".
            objects: number of objects, by kind and status of the condition Ready.
        """
        states = list(keys)
        for state in ("Accepted", "Refused"):
            self._keys.labels(state).set(states.count(state))
        replace_series(self._objects, objects)

    def node_critical(self, count: int) -> None:
        """Set how many DaemonSets of class system-node-critical are in namespaces that are not excluded."""
        self._node_critical.set(count)

    def certificates(self, ca: datetime | None, leaf: datetime | None) -> None:
        """Set when the certificates expire; None leaves the value as it is."""
        for name, end in (("ca", ca), ("webhook", leaf)):
            if end is not None:
                self._expiry.labels(name).set(end.timestamp())

    def trusted_root(self, fetched: datetime | None, expires: datetime | None) -> None:
        """Set when the trusted root was last fetched, and when the metadata that proves it expires; None for never."""
        for event, at in (("fetched", fetched), ("expiry", expires)):
            self._trusted_root.labels(event).set(0 if at is None else at.timestamp())

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)
