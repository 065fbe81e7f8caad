"""Prometheus metrics of the signing worker.

Labels are states, and names of policies: SigningPolicies are written by administrators who decide where keys sign.
Their number is bounded here nevertheless. No label has the name of an image.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from sealgate_operator.series import replace_series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PREFIX = "sealgate_signing"
#: The most policies that have series of their own; others are counted under the name "other".
MAX_POLICIES = 256
_OTHER = "other"


class WorkerMetrics:
    """All metrics of one worker process.

    Args:
        leads: returns whether this replica is the leader.
    """

    def __init__(self, leads: Callable[[], bool]) -> None:
        self.registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._policies: set[str] = set()
        self._images = self._counter(
            "images", "Images by outcome: signed, already_signed, failed, dropped, undecided.", "policy", "outcome"
        )
        self._retries = self._counter(
            "retries", "Attempts to sign that failed and are repeated: a service did not answer.", "policy"
        )
        self._readded = self._counter(
            "readded", "Signatures that another writer had dropped and that were added again.", "policy"
        )
        self._reconciles = self._counter("reconcile_errors", "Failed reconciliations, which are retried.", "kind")
        self._writes = self._counter("status_writes", "Updates of the status of an object.", "kind")
        self._events_dropped = Counter(
            f"{_PREFIX}_events_dropped", "Kubernetes Events that could not be written.", registry=self.registry
        )
        self._objects = self._gauge("policies", "SigningPolicies, by the status of their condition Ready.", "ready")
        self._baselines = self._gauge("baseline_entries", "Entries of the baseline of a policy.", "policy")
        self._lost = self._gauge(
            "baseline_lost", "1 if the baseline of a policy is lost or too large, so that it signs nothing.", "policy"
        )
        self._waiting = self._gauge("requests_waiting", "SigningRequests that have not ended.")
        self._oldest = self._gauge("oldest_request_age_seconds", "Age of the oldest SigningRequest that has not ended.")
        leader = self._gauge("leader", "1 if this replica is the leader, 0 if not.")
        leader.set_function(lambda: float(leads()))

    def ended(self, policy: str, outcome: str) -> None:
        """Count an image that ended in a way."""
        self._images.labels(self._bounded(policy), outcome).inc()

    def retried(self, policy: str) -> None:
        """Count an attempt that is repeated."""
        self._retries.labels(self._bounded(policy)).inc()

    def readded(self, policy: str, count: int) -> None:
        """Count signatures that another writer had dropped."""
        self._readded.labels(self._bounded(policy)).inc(count)

    def failed(self, kind: str) -> None:
        """Count a failed reconciliation of an object of a kind."""
        self._reconciles.labels(kind).inc()

    def wrote(self, kind: str) -> None:
        """Count an update of the status of an object of a kind."""
        self._writes.labels(kind).inc()

    def event_dropped(self) -> None:
        """Count an Event that could not be written."""
        self._events_dropped.inc()

    def policies(self, ready: Mapping[str, int], baselines: Mapping[str, tuple[int, bool]]) -> None:
        """Set what is known about policies.

        Args:
            ready: how many there are, by the status of the condition Ready.
            baselines: number of entries of each baseline and whether it is lost or too large, by policy.
        """
        for status in ("True", "False", "Unknown"):
            self._objects.labels(status).set(ready.get(status, 0))
        bounded = {(self._bounded(policy),): baseline for policy, baseline in baselines.items()}
        replace_series(self._baselines, {labels: entries for labels, (entries, _) in bounded.items()})
        replace_series(self._lost, {labels: float(lost) for labels, (_, lost) in bounded.items()})

    def requests(self, waiting: int, oldest_seconds: float) -> None:
        """Set how many SigningRequests wait, and the age of the oldest; 0 without any."""
        self._waiting.set(waiting)
        self._oldest.set(oldest_seconds)

    def _bounded(self, policy: str) -> str:
        with self._lock:
            if policy not in self._policies and len(self._policies) >= MAX_POLICIES:
                return _OTHER
            self._policies.add(policy)
            return policy

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)
