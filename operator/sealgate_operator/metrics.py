"""What Prometheus is told, and `/healthz`, on one port.

Labels are kinds and states, never names: whoever may write objects must not be able to make time series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_PREFIX = "sealgate_operator"


class Metrics:
    """All metrics of one operator process.

    Args:
        leads: whether this replica works.
    """

    def __init__(self, leads: Callable[[], bool]) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = self._counter("reconciles", "Looks at objects that went well.", "kind")
        self._errors = self._counter("errors", "Looks that failed and are tried again.", "kind")
        self._writes = self._counter("status_writes", "Statuses that were written.", "kind")
        self._events_dropped = Counter(
            f"{_PREFIX}_events_dropped", "Kubernetes Events that could not be made.", registry=self.registry
        )
        self._keys = self._gauge("keys", "Keys read from elsewhere than the spec.", "state")
        self._objects = self._gauge("objects", "Objects by whether they are ready.", "kind", "ready")
        self._expiry = self._gauge(
            "certificate_expiry_timestamp_seconds", "When a certificate ends, seconds since 1970.", "certificate"
        )
        self._node_critical = self._gauge(
            "node_critical_daemonsets", "DaemonSets of class system-node-critical in namespaces that are not excluded."
        )
        self._waiting = Gauge(f"{_PREFIX}_queue_length", "Objects that wait to be looked at.", registry=self.registry)
        self._enforcing = Gauge(
            f"{_PREFIX}_enforcing", "Whether every webhook configuration carries its rules.", registry=self.registry
        )
        self._rules_restored = Counter(
            f"{_PREFIX}_rules_restored",
            "Webhook configurations whose rules another client had changed, and that got them back.",
            registry=self.registry,
        )
        leader = Gauge(f"{_PREFIX}_leader", "Whether this replica is the one that works.", registry=self.registry)
        leader.set_function(lambda: float(leads()))

    def worked(self, kind: str) -> None:
        """Count a look that went well."""
        self._reconciles.labels(kind).inc()

    def failed(self, kind: str) -> None:
        """Count a look that failed."""
        self._errors.labels(kind).inc()

    def wrote(self, kind: str) -> None:
        """Count a status that was written."""
        self._writes.labels(kind).inc()

    def event_dropped(self) -> None:
        """Count an Event that could not be made."""
        self._events_dropped.inc()

    def enforcing(self, *, enforcing: bool) -> None:
        """Set whether every webhook configuration carries its rules."""
        self._enforcing.set(float(enforcing))

    def rules_restored(self) -> None:
        """Count a webhook configuration that got its rules back."""
        self._rules_restored.inc()

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Have the length of the queue told from now on."""
        self._waiting.set_function(lambda: float(length()))

    def counted(self, keys: Iterable[str], objects: Mapping[tuple[str, str], int]) -> None:
        """Set how much there is.

        Args:
            keys: the state of every key in a status.
            objects: how many, by kind and the status of `Ready`.
        """
        states = list(keys)
        for state in ("Accepted", "Refused"):
            self._keys.labels(state).set(states.count(state))
        self._objects.clear()
        for (kind, ready), count in objects.items():
            self._objects.labels(kind, ready).set(count)

    def node_critical(self, count: int) -> None:
        """Set how many DaemonSets of class system-node-critical are in namespaces that are not excluded."""
        self._node_critical.set(count)

    def certificates(self, ca: datetime | None, leaf: datetime | None) -> None:
        """Set when the certificates end."""
        for name, end in (("ca", ca), ("webhook", leaf)):
            if end is not None:
                self._expiry.labels(name).set(end.timestamp())

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)


def metrics_app(metrics: Metrics, well: Callable[[], bool], problem: Callable[[], str]) -> WSGIApplication:
    """Return what answers on the port: `/healthz` and `/readyz`, on followers too, and metrics everywhere else.

    Args:
        metrics: what there is to tell.
        well: whether everything runs that has to.
        problem: why this replica is not ready; empty if it is.
    """
    told: WSGIApplication = make_wsgi_app(metrics.registry)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path not in {"/healthz", "/readyz"}:
            return told(environ, start_response)
        why = "" if well() else "something has stopped"
        if path == "/readyz":
            why = why or problem()
        status, body = ("503 Service Unavailable", f"{why}\n") if why else ("200 OK", "ok\n")
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body.encode("ascii", "backslashreplace")]

    return answer
