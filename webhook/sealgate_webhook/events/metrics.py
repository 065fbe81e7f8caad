"""Prometheus metrics of the endpoint. Labels are names of sources, which the settings list, and enumerations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.process.serving.limits import Crowding
    from sealgate_webhook.events.pushes import Ignored

#: Seconds; registries count half a second as a failure.
LATENCY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class EventMetrics:
    """All metrics of one endpoint."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "sealgate_events_requests",
            "Requests with push events, by source and HTTP status code.",
            ("source", "code"),
            registry=self.registry,
        )
        self._latency = Histogram(
            "sealgate_events_request_duration_seconds",
            "Time from the arrival of a request with push events to its response, in seconds.",
            ("source",),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._pushes = Counter(
            "sealgate_events_pushes",
            "Pushes of images that a signing policy covers, by source and by what became of them.",
            ("source", "result"),
            registry=self.registry,
        )
        self._ignored = Counter(
            "sealgate_events_ignored",
            "Events that caused no signing request, by reason.",
            ("source", "reason"),
            registry=self.registry,
        )
        self._waiting = Gauge(
            "sealgate_events_waiting_requests", "Signing requests that wait to be signed.", registry=self.registry
        )
        self._policies = Gauge(
            "sealgate_events_signing_policies", "Signing policies.", ("state",), registry=self.registry
        )
        self._closed_connections = Counter(
            "sealgate_closed_connections",
            "Connections closed to make room for others, by what had run out.",
            ("limit",),
            registry=self.registry,
        )
        self._certificate_errors = Counter(
            "sealgate_certificate_reload_failures",
            "Reloads of the serving certificate or the client CA rejected because the files were invalid.",
            registry=self.registry,
        )
        self._internal_errors = Counter("sealgate_internal_errors", "Unexpected exceptions.", registry=self.registry)

    def answered(self, source: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            source: name of the source; `unknown` for any other.
            status: HTTP status of the response.
            seconds: time until the response, in seconds.
        """
        self._requests.labels(source, str(status)).inc()
        self._latency.labels(source).observe(seconds)

    def accepted(self, source: str, *, new: bool) -> None:
        """Count a push under one policy; `new` if it did not wait before."""
        self._pushes.labels(source, "accepted" if new else "waiting_already").inc()

    def ignored(self, source: str, reason: Ignored) -> None:
        """Count an event that caused no request."""
        self._ignored.labels(source, reason.value).inc()

    def count_waiting(self, waiting: Callable[[], int]) -> None:
        """Have the requests that wait counted whenever the metrics are read."""
        self._waiting.set_function(waiting)

    def policies_loaded(self, usable: int, unreadable: int) -> None:
        """Record how many signing policies there are."""
        self._policies.labels("usable").set(usable)
        self._policies.labels("unreadable").set(unreadable)

    def certificate_refused(self) -> None:
        """Count a reload rejected because a certificate or CA file was invalid."""
        self._certificate_errors.inc()

    def connection_closed(self, of: Crowding) -> None:
        """Count a connection that was closed to make room for others, by what had run out."""
        self._closed_connections.labels(of).inc()

    def internal_error(self) -> None:
        """Count an unexpected exception."""
        self._internal_errors.inc()
