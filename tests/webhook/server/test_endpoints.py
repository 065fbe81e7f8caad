"""HTTP endpoints of the webhook: invalid reviews, health, readiness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate import self_test
from sealgate_webhook.reviews.request import MAX_REVIEW_BYTES
from tests.support.clocks import FakeClock
from tests.webhook.environment import FailingNamespaces
from tests.webhook.objects import encode, pod, review
from tests.webhook.ways import CHUNK_BYTES, Sent

if TYPE_CHECKING:
    from sealgate.verification.policy_sets import PolicySet
    from tests.webhook.environment import WebhookEnvironment

ENDPOINTS = ("/validate", "/mutate", "/self-test")
GOOD = encode(review(pod("docker.io/library/nginx:1")))


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("body", [b" ", b"{", b"[]", b"{}", b'{"a": 1, "a": 2}', b"\xff\xfe", b"null"])
def test_invalid_review_gets_a_400_in_one_line(environment: WebhookEnvironment, path: str, body: bytes) -> None:
    response = environment.post(path, body)
    assert response.status_code == 400
    assert response.content_type == "text/plain; charset=utf-8"
    text = response.get_data(as_text=True)
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert "Traceback" not in text


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/yaml", "application/jsonp", "application/x-www-form-urlencoded"]
)
def test_another_content_type_gets_a_415(environment: WebhookEnvironment, path: str, content_type: str) -> None:
    response = environment.post(path, GOOD, content_type=content_type)
    assert response.status_code == 415
    assert "AdmissionReviews must be application/json" in response.get_data(as_text=True)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_in_all_its_spellings_is_taken(environment: WebhookEnvironment, content_type: str) -> None:
    assert environment.post("/validate", GOOD, content_type=content_type).status_code == 200


def test_a_compressed_review_gets_a_415(environment: WebhookEnvironment) -> None:
    response = environment.post("/validate", GOOD, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ENDPOINTS)
def test_another_method_gets_a_405(environment: WebhookEnvironment, path: str, method: str) -> None:
    response = environment.post(path, GOOD, method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_another_method_on_the_other_paths_gets_a_405(environment: WebhookEnvironment, path: str, method: str) -> None:
    response = environment.post(path, b"", method=method)
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert response.get_data(as_text=True) == "Method Not Allowed\n"


@pytest.mark.parametrize("path", ["/", "/validate/", "/validate/x", "/static/x", "/metrics", "/%2e%2e/validate"])
def test_another_path_gets_a_404(environment: WebhookEnvironment, path: str) -> None:
    response = environment.post(path, GOOD)
    assert response.status_code == 404
    assert response.get_data(as_text=True) == "Not Found\n"


def test_a_review_of_just_seven_mebibytes_is_read(environment: WebhookEnvironment) -> None:
    body = GOOD + b" " * (MAX_REVIEW_BYTES - len(GOOD))
    assert environment.post("/validate", body).status_code == 200


def test_a_review_that_is_larger_gets_a_413(environment: WebhookEnvironment) -> None:
    response = environment.post("/validate", GOOD + b" " * (MAX_REVIEW_BYTES - len(GOOD) + 1))
    assert response.status_code == 413


def test_review_with_an_excessive_content_length_is_not_read(environment: WebhookEnvironment) -> None:
    sent = Sent("/validate", GOOD, length=str(MAX_REVIEW_BYTES + 1))
    assert environment.send(sent).status_code == 413
    assert sent.taken == 0


def test_a_chunked_review_is_read(environment: WebhookEnvironment) -> None:
    assert environment.post("/validate", GOOD, chunked=True).status_code == 200


def test_a_chunked_review_without_end_gets_a_413(environment: WebhookEnvironment) -> None:
    sent = Sent("/validate", b" " * (2 * MAX_REVIEW_BYTES), chunked=True)
    assert environment.send(sent).status_code == 413
    assert sent.taken <= MAX_REVIEW_BYTES + CHUNK_BYTES


def test_review_without_a_length_gets_a_411(environment: WebhookEnvironment) -> None:
    assert environment.post("/validate", GOOD, length="").status_code == 411


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "\u00b9"])
def test_invalid_length_gets_a_411(environment: WebhookEnvironment, length: str) -> None:
    assert environment.post("/validate", GOOD, length=length).status_code == 411


def test_a_review_that_breaks_off_gets_a_400(environment: WebhookEnvironment) -> None:
    response = environment.post("/validate", GOOD, length=str(len(GOOD) + 1))
    assert response.status_code == 400
    assert "shorter" in response.get_data(as_text=True)


def test_invalid_review_is_logged_and_counted(environment: WebhookEnvironment) -> None:
    environment.post("/validate", b"{")
    (line,) = environment.lines("malformed review")
    assert line["level"] == "warning"
    assert line["status"] == "400 Bad Request"
    assert environment.metric("sealgate_admission_reviews_total", endpoint="validate", result="malformed") == 1
    assert environment.metric("sealgate_admission_reviews_in_flight") == 0


def test_a_fault_inside_is_a_denial_with_the_uid_and_never_a_500(environment: WebhookEnvironment) -> None:
    environment.namespaces = FailingNamespaces(lambda name: RuntimeError(f"secret detail about {name}"))
    answer = environment.validate(review(pod(environment.sign("team/app", "v1"))))
    assert answer.code == 503
    assert "internal error" in answer.message
    assert "secret" not in answer.message
    (line,) = environment.lines("internal error in a review")
    assert line["uid"] == answer.response["uid"]
    assert "RuntimeError" in line["exception"]
    assert environment.metric("sealgate_internal_errors_total") == 1


LEASE = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "sealgate-self-test"}}


def test_the_self_test_is_always_refused_with_the_agreed_text(environment: WebhookEnvironment) -> None:
    answer = environment.self_test(review(LEASE, dryRun=True))
    assert not answer.allowed
    assert answer.response["status"]["message"] == self_test.TEXT


def test_the_self_test_does_not_succeed_without_policies(environment: WebhookEnvironment) -> None:
    class NotYet:
        def current(self) -> PolicySet | None:
            return None

        def problem(self) -> str:
            return "waiting for the API server"

    environment.policies = NotYet()
    answer = environment.self_test(review(LEASE, dryRun=True))
    assert not answer.allowed
    assert answer.response["status"]["message"] == "the webhook is not ready: waiting for the API server"


def test_it_is_alive(environment: WebhookEnvironment) -> None:
    response = environment.get("/healthz")
    assert (response.status_code, response.get_data(as_text=True)) == (200, "ok\n")


def test_it_is_ready_with_policies(environment: WebhookEnvironment) -> None:
    assert environment.get("/readyz").status_code == 200


def test_it_is_not_ready_without(environment: WebhookEnvironment) -> None:
    class NotYet:
        def current(self) -> PolicySet | None:
            return None

        def problem(self) -> str:
            return "waiting for the API server"

    environment.policies = NotYet()
    response = environment.get("/readyz")
    assert (response.status_code, response.get_data(as_text=True)) == (
        503,
        "not ready: waiting for the API server\n",
    )


def test_waiting_for_a_thread_counts_towards_the_deadline(environment: WebhookEnvironment) -> None:
    """The server noted that the request came 9 s ago; of the 10 s nothing is left for the registry."""
    clock = FakeClock()
    clock.advance(100)
    environment.clock = clock
    image = environment.sign("team/app", "v1")
    body = encode(review(pod(image)))
    answer = environment.post("/validate?timeout=10s", body, arrived=91.0).get_json()["response"]
    assert answer["status"]["code"] == 503
    assert not environment.registry.requests
    answer = environment.post("/validate?timeout=10s", body, arrived=99.0).get_json()["response"]
    assert answer["allowed"]


def test_caller_gets_no_more_time_than_the_webhook_configuration_gives(environment: WebhookEnvironment) -> None:
    clock = FakeClock()
    clock.advance(100)
    environment.clock, environment.timeout = clock, 10
    body = encode(review(pod(environment.sign("team/app", "v1"))))
    answer = environment.post("/validate?timeout=30s", body, arrived=91.0).get_json()["response"]
    assert answer["status"]["code"] == 503
    assert not environment.registry.requests
