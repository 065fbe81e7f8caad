"""The front: reviews from memory, and those that cannot be taken in time."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from flask import Flask, request_started

from sealgate.policies.decisions import UnmatchedImages
from sealgate_webhook.server.bodies import LARGE_BYTES
from tests.support.builders.objects import policy
from tests.webhook.objects import encode, pod, review
from tests.webhook.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.webhook.environment import WebhookEnvironment
    from tests.webhook.ways import Way


@pytest.fixture
def way() -> Way:
    return "front"


@contextlib.contextmanager
def held_back(environment: WebhookEnvironment, path: str) -> Iterator[threading.Event]:
    """Have the registry answer a path only once the event is set, which it is at the end."""
    go = threading.Event()
    environment.registry.faults.wait_for(path, go)
    try:
        yield go
    finally:
        go.set()


def test_review_that_no_thread_takes_in_time_is_answered_with_when_to_retry(environment: WebhookEnvironment) -> None:
    environment.threads = 1
    image, go = environment.sign("team/app", "v1"), threading.Event()
    environment.registry.faults.wait_for("/manifests/v1", go)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(environment.validate, review(pod(image)))
        eventually(lambda: bool(environment.registry.requests))
        late = environment.validate(review(pod(image)), "timeout=200ms")
        assert (late.allowed, late.code) == (False, 503)
        assert late.message == "the webhook has too many reviews that wait for registries; try again in 1 s"
        assert environment.mutate(review(pod(image)), "timeout=200ms").allowed
        assert environment.metric("sealgate_refused_reviews_total", limit="threads") == 2
        assert [line["reason"] for line in environment.lines("review")] == ["too many reviews"] * 2
        go.set()
        assert first.result(150).allowed
    assert environment.metric("sealgate_admission_reviews_in_flight") == 0
    assert environment.metric("sealgate_admission_reviews_total", endpoint="validate", result="denied") == 1


def test_small_review_is_verified_without_a_thread_of_flask(environment: WebhookEnvironment) -> None:
    begun: list[Flask] = []

    def note(app: Flask, **_: object) -> None:
        begun.append(app)

    with request_started.connected_to(note):
        assert environment.validate(review(pod(environment.sign("team/app", "v1")))).allowed
        assert not environment.validate(review(pod(environment.push("team/other", "v1")))).allowed
        assert begun == []
        # The signal is that of the application's requests: `mutate` resolves the tag in a thread.
        assert environment.mutate(review(pod(environment.sign("team/third", "v1")))).allowed
        assert len(begun) == 1


def test_review_whose_policies_change_while_it_waits_is_decided_by_the_new_ones(
    environment: WebhookEnvironment,
) -> None:
    environment.unmatched = UnmatchedImages.DENY
    image = environment.sign("team/app", "v1")
    with ThreadPoolExecutor(1) as pool, held_back(environment, "/manifests/v1") as go:
        waiting = pool.submit(environment.validate, review(pod(image)))
        eventually(lambda: bool(environment.registry.requests))
        environment.write(policy("all", "other.example.org/**"))
        environment.source.poll()
        go.set()
        assert waiting.result(60).code == 403


def test_review_is_denied_at_its_deadline_while_the_registry_is_silent(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    with held_back(environment, "/manifests/v1"):
        late = environment.validate(review(pod(image)), "timeout=1s")
        assert (late.allowed, late.code) == (False, 503)
        assert "ran out of time" in late.message
    eventually(lambda: environment.validate(review(pod(image))).allowed)
    assert environment.metric("sealgate_admission_reviews_in_flight") == 0


def test_large_review_from_memory_needs_no_thread_of_the_pool(environment: WebhookEnvironment) -> None:
    environment.threads = 1
    image, cold, go = environment.sign("team/app", "v1"), environment.sign("team/cold", "v2"), threading.Event()
    assert environment.validate(review(pod(image))).allowed
    environment.registry.faults.wait_for("/manifests/v2", go)
    large = pod(image)
    large["metadata"]["annotations"] = {"note": "x" * LARGE_BYTES}
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(environment.validate, review(pod(cold)))
        eventually(lambda: any("v2" in path for path in environment.registry.paths))
        assert environment.validate(review(large)).allowed
        go.set()
        assert waiting.result(150).allowed


def test_caches_count_once_on_each_way_to_an_answer(environment: WebhookEnvironment) -> None:
    """A look that finds nothing counts nothing; the thread that then verifies does."""
    image = environment.sign("team/app", "v1")
    for _ in range(3):
        assert environment.validate(review(pod(image))).allowed
    misses, hits = "sealgate_cache_misses_total", "sealgate_cache_hits_total"
    # The first verifies, the second makes a verdict of what is cached, the third finds it.
    assert [environment.metric(misses, cache=cache) for cache in ("verdict", "tag", "finding")] == [2, 1, 1]
    assert [environment.metric(hits, cache=cache) for cache in ("verdict", "tag", "finding")] == [1, 1, 1]


def test_body_of_a_request_that_is_no_review_is_answered_by_flask(environment: WebhookEnvironment) -> None:
    response = environment.post("/elsewhere", encode({}))
    assert (response.status_code, response.get_data(as_text=True)) == (404, "Not Found\n")
