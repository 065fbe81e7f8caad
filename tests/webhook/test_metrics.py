"""Metrics have bounded labels and a port of their own."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from typing import TYPE_CHECKING

import pytest
import urllib3
from prometheus_client.registry import Collector

from sealgate.findings import Finding, Outcome
from sealgate.policies.decisions import UnmatchedImages, decide
from sealgate.process.logs import configure_logs
from sealgate.process.metrics_server import MetricsServer, metrics_app
from sealgate.process.serving.limits import ServingLimits
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from sealgate.verification.byte_cache import Usage
from sealgate_webhook.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

CONNECTIONS = 30


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(configure_logs("json", io.StringIO()), lambda: frozenset({"registry.example.com"}))


@pytest.fixture
def scraped(metrics: Metrics) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    server = MetricsServer(
        listener,
        metrics_app(metrics.registry),
        configure_logs("json", io.StringIO()),
        ServingLimits(connections=CONNECTIONS),
    )
    yield f"http://{host}:{port}"
    server.close()


def labels_of(metrics: Metrics, family: str, label: str) -> set[str]:
    return {
        sample.labels[label]
        for collected in metrics.registry.collect()
        if collected.name == family
        for sample in collected.samples
        if label in sample.labels
    }


def test_only_hosts_named_by_a_policy_become_labels(metrics: Metrics) -> None:
    for host in ("registry.example.com", "a.evil.example", "b.evil.example"):
        metrics.request(host, "200")
        metrics.budget_wait(host, 0.5)
        metrics.rate_limited(host)
    for family in ("sealgate_registry_requests", "sealgate_budget_wait_seconds", "sealgate_rate_limited_verifications"):
        assert labels_of(metrics, family, "host") == {"registry.example.com", "other"}


def test_verdicts_are_counted_by_registries_that_a_policy_names(metrics: Metrics) -> None:
    images = ("registry.example.com/shop/web:1", "a.evil.example/shop/web:1")
    metrics.decided(
        "shop", tuple(decide(image, parse_reference(image), None, [], UnmatchedImages.DENY) for image in images)
    )
    metrics.decided("shop", (decide("//", None, None, [], UnmatchedImages.DENY),))
    assert labels_of(metrics, "sealgate_registry_verdicts", "host") == {"registry.example.com", "other"}


def test_unknown_request_outcomes_are_counted_as_other(metrics: Metrics) -> None:
    for outcome in ("200", "429", "RegistryUnavailable", "299", "x" * 50):
        metrics.request("registry.example.com", outcome)
    assert labels_of(metrics, "sealgate_registry_requests", "code") == {
        "200",
        "429",
        "RegistryUnavailable",
        "other",
    }


def test_checks_are_counted_by_outcome(metrics: Metrics) -> None:
    metrics.verification(Finding("release", "cosign", Outcome.VERIFIED, Reason.VERIFIED, ""), 0.2)
    metrics.verification(Finding("release", "cosign", Outcome.UNAVAILABLE, Reason.RATE_LIMITED, ""), 0.2)
    assert labels_of(metrics, "sealgate_unavailable_verifications", "reason") == {"RateLimited"}
    assert labels_of(metrics, "sealgate_verifications", "outcome") == {"verified", "unavailable"}


def test_other_verifier_events_are_counted(metrics: Metrics) -> None:
    metrics.cache_hit("finding")
    metrics.cache_miss("tag")
    metrics.joined("finding")
    metrics.certificate_refused()
    metrics.event_dropped()
    metrics.internal_error(RuntimeError("x"))
    value = metrics.registry.get_sample_value
    assert value("sealgate_cache_hits_total", {"cache": "finding"}) == 1
    assert value("sealgate_cache_misses_total", {"cache": "tag"}) == 1
    assert value("sealgate_single_flight_joins_total", {"work": "finding"}) == 1
    assert value("sealgate_certificate_reload_failures_total") == 1
    assert value("sealgate_events_dropped_total") == 1
    assert value("sealgate_internal_errors_total") == 1


def test_shared_cache_is_reported_where_there_is_one(metrics: Metrics) -> None:
    value = metrics.registry.get_sample_value
    assert value("sealgate_shared_cache_connected") == 0
    connected = True
    metrics.watch_shared_cache(lambda: connected)
    assert value("sealgate_shared_cache_connected") == 1
    connected = False
    assert value("sealgate_shared_cache_connected") == 0
    metrics.shared_cache_used("get", "hit")
    assert value("sealgate_shared_cache_uses_total", {"operation": "get", "result": "hit"}) == 1


def test_size_and_evictions_of_caches_are_reported(metrics: Metrics) -> None:
    metrics.caches.usage = lambda: {"answers": Usage(1000, 3, 7)}
    value = metrics.registry.get_sample_value
    labels = {"cache": "answers"}
    assert value("sealgate_cache_bytes", labels) == 1000
    assert value("sealgate_cache_entries", labels) == 3
    assert value("sealgate_cache_evictions_total", labels) == 7


def test_they_are_scraped_over_plain_http(metrics: Metrics, scraped: str) -> None:
    metrics.reviewed("validate", "denied", 0.01)
    with urllib3.PoolManager() as http:
        response = http.request("GET", f"{scraped}/metrics")
    assert response.status == 200
    assert 'sealgate_admission_reviews_total{endpoint="validate",result="denied"} 1.0' in response.data.decode()


def test_silent_scraper_delays_no_other(scraped: str) -> None:
    host, port = scraped.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))), urllib3.PoolManager() as http:
        assert http.request("GET", f"{scraped}/metrics").status == 200


def test_silent_scrapers_are_bounded_and_take_no_threads(scraped: str) -> None:
    host, port = scraped.removeprefix("http://").split(":")
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((host, int(port)), 60)) for _ in range(CONNECTIONS + 20)]
        assert silent[0].recv(1) == b""
        assert threading.active_count() <= before
        with urllib3.PoolManager() as http:
            assert http.request("GET", f"{scraped}/metrics", retries=False).status == 200


def test_a_collector_that_fails_fails_its_scrapes_only(metrics: Metrics, scraped: str) -> None:
    broken = Broken()
    with urllib3.PoolManager() as http:
        metrics.registry.register(broken)
        assert http.request("GET", f"{scraped}/metrics", retries=False).status == 500
        metrics.registry.unregister(broken)
        assert http.request("GET", f"{scraped}/metrics", retries=False).status == 200


class Broken(Collector):
    """A collector that can be registered and cannot be collected."""

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> list[Metric]:
        raise RuntimeError("an unforeseen fault")
