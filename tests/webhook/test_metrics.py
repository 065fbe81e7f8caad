"""Metrics have bounded labels and a port of their own."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from typing import TYPE_CHECKING

import pytest
import urllib3

from sealgate.findings import Finding, Outcome
from sealgate.process.logs import configure_logs
from sealgate.process.metrics_server import MAX_SCRAPES
from sealgate.reasons import Reason
from sealgate_webhook.metrics import Metrics, serve_metrics
from tests.webhook.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(configure_logs("json", io.StringIO()), lambda: frozenset({"registry.example.com"}))


@pytest.fixture
def scraped(metrics: Metrics) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    server = serve_metrics(listener, metrics.registry)
    yield f"http://{host}:{port}"
    server.shutdown()
    server.server_close()


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


def test_threads_of_silent_scrapers_are_bounded(scraped: str) -> None:
    host, port = scraped.removeprefix("http://").split(":")
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((host, int(port)), 60)) for _ in range(MAX_SCRAPES + 20)]
        assert silent[-1].recv(1) == b""
        assert threading.active_count() <= before + MAX_SCRAPES
    with urllib3.PoolManager() as http:
        eventually(lambda: answers(http, f"{scraped}/metrics"))


def answers(http: urllib3.PoolManager, url: str) -> bool:
    try:
        return http.request("GET", url, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False
