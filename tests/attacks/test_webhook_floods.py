"""At the webhook: many reviews, big ones and hostile ones are all answered, and admit nothing."""

from __future__ import annotations

import gc
import json
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from sealgate.verification.settings import VerifierSettings
from sealgate_webhook.admission.outcome import AdmissionOutcome
from sealgate_webhook.reviews.kept import MAX_ITEMS
from sealgate_webhook.reviews.request import MAX_REVIEW_BYTES
from sealgate_webhook.reviews.response import ALLOWED
from sealgate_webhook.server.bodies import MAX_LARGE_BYTES
from tests.webhook.objects import encode, pod, review
from tests.webhook.servers import eventually, running
from tests.webhook.ways import BY_A_SERVER, Sent

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate_webhook.reviews.request import AdmissionRequest
    from tests.webhook.environment import WebhookEnvironment


@BY_A_SERVER
def test_attack_25_flood_for_a_dead_registry_is_denied_in_time(
    environment: WebhookEnvironment,
) -> None:
    """Four threads, sixty reviews at once: none is left to the API server's own limit, which might admit."""
    images = [environment.sign(f"dead/app-{number}", "v1") for number in range(60)]
    fine = environment.sign("fine/app", "v1")
    environment.registry.faults.hang("/dead/")
    with running(
        {"policies": [str(environment.folder)], "insecure": [environment.registry.host], "threads": 4}
    ) as server:
        with ThreadPoolExecutor(len(images)) as pool:
            answers = list(pool.map(lambda image: server.validate(review(pod(image)), "timeout=2s"), images))
        assert {answer.code for answer in answers} == {503}
        assert server.validate(review(pod(fine))).allowed
        assert len(server.lines("internal error in a review")) == 0


def test_attack_30_three_hundred_pods_are_one_verification(environment: WebhookEnvironment) -> None:
    # A namespace gets half of the threads. A busy machine needs a while until all pods wait.
    environment.threads, environment.timeout = 601, 120
    environment.verifier_settings = VerifierSettings(max_waiters=1000, max_waiting=601, verification_seconds=120)
    image = environment.sign("team/app", "v1")
    go = threading.Event()
    environment.registry.faults.wait_for("/manifests/v1", go)
    assert environment.get("/readyz").status_code == 200
    with ThreadPoolExecutor(300) as pool:
        answers = [pool.submit(environment.validate, review(pod(image)), "timeout=120s") for _ in range(300)]
        eventually(lambda: environment.metric("sealgate_single_flight_joins_total", work="tag") == 299)
        go.set()
        assert all(answer.result(120).allowed for answer in answers)
    assert (
        environment.metric("sealgate_verifications_total", format="cosign", outcome="verified", reason="Verified") == 1
    )
    assert len([path for path in environment.registry.paths if path.endswith("/manifests/v1")]) == 1


def test_attack_35_five_hundred_containers_are_answered(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    assert environment.validate(review(pod(*[image] * 500))).allowed
    different = [f"{environment.registry.host}/team/app:{number}" for number in range(500)]
    assert environment.validate(review(pod(*different))).code == 403


def test_attack_35_one_bad_image_of_five_hundred_is_found(environment: WebhookEnvironment) -> None:
    image, bad = environment.sign("team/app", "v1"), environment.push("team/bad", "v1")
    answer = environment.validate(review(pod(*[image] * 499, bad)))
    assert not answer.allowed
    assert answer.message.startswith("spec.containers[499]: ")


def test_attack_35_an_object_of_three_megabytes_is_judged(environment: WebhookEnvironment) -> None:
    big = pod(environment.push("team/bad", "v1"))
    big["metadata"]["annotations"] = {"note": "x" * (3 << 20)}
    assert not environment.validate(review(big, "UPDATE", oldObject=big | {"spec": {"containers": []}})).allowed


def test_attack_35_large_bodies_are_received_a_few_at_a_time(environment: WebhookEnvironment) -> None:
    """However many come at once, and however slowly; small ones do not wait for them."""
    image = environment.sign("team/app", "v1")
    assert environment.validate(review(pod(image))).allowed
    large = pod(image)
    large["metadata"]["annotations"] = {"note": "x" * (MAX_REVIEW_BYTES - 10_000)}
    body, go = encode(review(large)), threading.Event()
    held = [Sent("/validate?timeout=30s", body, hold=go) for _ in range(MAX_LARGE_BYTES // MAX_REVIEW_BYTES)]
    with ThreadPoolExecutor(len(held) + 2) as pool:
        taking = [pool.submit(environment.send, sent) for sent in held]
        eventually(lambda: environment.metric("sealgate_admission_reviews_in_flight") == len(held))
        for path in ("/validate", "/mutate"):
            response = pool.submit(environment.post, f"{path}?timeout=100ms", body, client="192.0.2.2").result(150)
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "1"
        assert environment.metric("sealgate_refused_reviews_total", limit="bodies") == 2
        assert environment.validate(review(pod(image))).allowed
        go.set()
        assert all(answer.result(150).get_json()["response"]["allowed"] for answer in taking)
    assert environment.validate(review(large)).allowed


@pytest.mark.parametrize("way", ["front"])
def test_attack_51_cached_reviews_do_not_wait_for_cold_ones(environment: WebhookEnvironment) -> None:
    """Every thread waits for a silent registry, others queue, large bodies dribble, a policy object is validated."""
    fine, dead = environment.sign("fine/app", "v1"), environment.sign("dead/app", "v1")
    environment.threads, go = 4, threading.Event()
    environment.admit_policy_object = _Validation(go)
    for _ in range(2):
        assert environment.validate(review(pod(fine))).allowed
    environment.registry.faults.wait_for("/dead/", go)
    held = [Sent("/validate?timeout=30s", b" " * MAX_REVIEW_BYTES, hold=go) for _ in range(6)]
    with ThreadPoolExecutor(40) as pool:
        cold = [pool.submit(environment.validate, review(pod(dead), namespace=f"n{number}")) for number in range(20)]
        large = [pool.submit(environment.send, sent) for sent in held]
        objects = [pool.submit(environment.post, "/validate-policies", encode(review({}))) for _ in range(8)]
        eventually(lambda: environment.metric("sealgate_admission_reviews_in_flight") == 34)
        for _ in range(20):
            assert environment.validate(review(pod(fine))).allowed
            assert environment.mutate(review(pod(fine))).allowed
        assert environment.get("/healthz").status_code == environment.get("/readyz").status_code == 200
        assert not any(answer.done() for answer in cold)
        assert not any(answer.done() for answer in objects)
        go.set()
        assert all(answer.result(150).allowed for answer in cold)
        assert {answer.result(150).status_code for answer in objects} == {200}
        assert {answer.result(150).status_code for answer in large} <= {400, 503}


@dataclass(frozen=True)
class _Validation:
    """Validation of a policy object that goes on until it is let go."""

    go: threading.Event

    def __call__(self, request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        del request, deadline
        assert self.go.wait(150)
        return AdmissionOutcome(ALLOWED, "well formed")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b'{"request": {"uid": "1", "object": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"a": ' + b"9" * 1_000_000 + b"}",
        b'{"a": 1e999999999, "a": 2}',
        b'"' + b"\\u0000" * 100_000,
        b"{" + b",".join(b'"k":1' for _ in range(100_000)) + b"}",
        b"\x00" * 1000,
        b" " * (MAX_REVIEW_BYTES + 1),
    ],
    ids=["lists", "objects", "uid first", "digits", "exponent", "escapes", "one key", "zeros", "spaces"],
)
@pytest.mark.parametrize("path", ["/validate", "/mutate"])
def test_attack_35_bodies_made_to_break_parsers_get_an_error(
    environment: WebhookEnvironment, path: str, body: bytes
) -> None:
    response = environment.post(path, body)
    assert response.status_code in (400, 413)
    assert len(response.data) < 1000


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_attack_35_forms_are_not_even_parsed(environment: WebhookEnvironment, content_type: str) -> None:
    parts = b"".join(b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' for _ in range(10_000))
    for path in ("/validate", "/mutate", "/healthz"):
        assert environment.post(path, parts + b"--x--\r\n", content_type=content_type).status_code in (405, 415)


@pytest.mark.parametrize("unit", [b"{},", b'{"":{}},', b"[[]],", b'"",'])
@pytest.mark.parametrize("path", ["/validate", "/mutate"])
def test_attack_55_body_that_unfolds_to_many_times_its_size_is_not_decoded(
    environment: WebhookEnvironment, path: str, unit: bytes
) -> None:
    body = b'{"request":{"object":[' + unit * (MAX_REVIEW_BYTES // len(unit) - 10) + b"0]}}"
    response = environment.post(path, body)
    assert response.status_code == 400
    assert b"at most 262144 are decoded" in response.data


@pytest.mark.parametrize("kind", ["", "Pod"])
def test_attack_55_refused_bodies_are_freed_at_once(environment: WebhookEnvironment, kind: str) -> None:
    """Not by the garbage collector, which few large values do not start."""
    request = {"uid": "1", "kind": {"version": "v1", "kind": kind}, "operation": "?"} if kind else {}
    text = "x" * (MAX_REVIEW_BYTES - 1000)
    body = encode({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request, "more": text})
    status = 200 if kind else 400
    assert environment.post("/validate", body).status_code == status
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(3):
            assert environment.post("/validate", body).status_code == status
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept < MAX_REVIEW_BYTES


def test_attack_55_endless_containers_are_denied(environment: WebhookEnvironment) -> None:
    """One image, so no limit of different images is in their way; each would be kept while the review waits."""
    answer = environment.validate(review(pod(*[environment.sign("team/app", "v1")] * (MAX_ITEMS + 1))))
    assert answer.message == f"the object has more than {MAX_ITEMS} containers, volumes, pull secrets and owners"


def test_attack_35_two_objects_in_one_review_are_refused(environment: WebhookEnvironment) -> None:
    """What the webhook reads and what the API server stores must be the same object."""
    good, bad = pod(environment.sign("team/app", "v1")), pod(environment.push("team/bad", "v1"))
    body = encode(review(bad)).replace(b'"object": ', b'"object": ' + json.dumps(good).encode() + b', "object": ', 1)
    assert environment.post("/validate", body).status_code == 400


@BY_A_SERVER
def test_attack_35_endless_body_is_cut_off_by_the_server(environment: WebhookEnvironment) -> None:
    with running({"policies": [str(environment.folder)]}) as server:
        response = server.pool.request(
            "POST",
            f"{server.url}/validate",
            body=(b" " * 65536 for _ in range(MAX_REVIEW_BYTES // 65536 + 2)),
            headers={"Content-Type": "application/json", "Transfer-Encoding": "chunked"},
        )
        assert response.status == 413
        assert server.connections().request("GET", f"{server.url}/healthz").status == 200
