"""Pushes become SigningRequests: one for each policy, stored before the source hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.api.v1alpha1.signing_request import RequestedPolicy, SigningRequestSpec, request_name
from sealgate_webhook.events.intake import STORE_SECONDS
from sealgate_webhook.events.policies import PATH as POLICIES
from tests.support.simulators.kubernetes import Fault
from tests.webhook.events.bodies import DIGEST, OTHER, docker_body, docker_event
from tests.webhook.events.environment import open_environment, signing_policy, source
from tests.webhook.servers import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.webhook.events.environment import EventsEnvironment


def test_push_becomes_a_request_named_by_its_content(endpoint: EventsEnvironment) -> None:
    response = endpoint.send()
    assert (response.status_code, response.text) == (200, "accepted 1, ignored 0\n")
    (stored,) = endpoint.stored()
    spec = SigningRequestSpec.model_validate(stored["spec"])
    assert (spec.repository, spec.tag, spec.digest) == ("registry.example.com/shop/app", "v1", DIGEST)
    assert spec.source == "shop"
    policy = endpoint.cluster.get(f"{POLICIES}/shop")
    assert spec.policy == RequestedPolicy(name="shop", uid=policy["metadata"]["uid"], generation=1)
    assert stored["metadata"]["name"] == request_name(spec.policy, spec.repository, spec.tag, spec.digest)
    (line,) = endpoint.lines("push accepted")
    assert {key: line[key] for key in ("policy", "repository", "tag", "digest", "source")} == {
        "policy": "shop",
        "repository": "registry.example.com/shop/app",
        "tag": "v1",
        "digest": DIGEST,
        "source": "shop",
    }
    assert endpoint.value("sealgate_events_pushes_total", source="shop", result="accepted") == 1
    assert endpoint.value("sealgate_events_waiting_requests") == 1


def test_two_tags_of_one_digest_are_two_requests(endpoint: EventsEnvironment) -> None:
    assert endpoint.send(docker_body(docker_event(tag="v1"), docker_event(tag="v2"))).status_code == 200
    assert {stored["spec"]["tag"] for stored in endpoint.stored()} == {"v1", "v2"}


def test_each_covering_policy_has_its_own_request(tmp_path: Path) -> None:
    policies = [
        signing_policy("first"),
        signing_policy("second", "registry.example.com/**"),
        signing_policy("by-hand", trigger="Manual"),
        signing_policy("elsewhere", "registry.example.com/other"),
        signing_policy("excluding", excludeImages=[{"repository": "registry.example.com/shop/app"}]),
    ]
    with open_environment([source(tmp_path)], policies) as endpoint:
        assert endpoint.send().text == "accepted 2, ignored 0\n"
        assert {stored["spec"]["policy"]["name"] for stored in endpoint.stored()} == {"first", "second"}


def test_event_that_is_sent_again_changes_nothing(endpoint: EventsEnvironment) -> None:
    endpoint.send()
    before = endpoint.stored()
    assert endpoint.send().status_code == 200
    assert endpoint.stored() == before
    assert len(endpoint.lines("push accepted")) == 1
    assert endpoint.value("sealgate_events_pushes_total", source="shop", result="waiting_already") == 1


@pytest.mark.parametrize("state", ["Signed", "AlreadySigned", "Dropped", "Undecided", "Failed"])
def test_request_that_has_ended_starts_again(endpoint: EventsEnvironment, state: str) -> None:
    endpoint.send()
    (first,) = endpoint.stored()
    endpoint.end(first, state)
    assert endpoint.requests.waiting() == 0
    assert endpoint.send().status_code == 200
    (second,) = endpoint.stored()
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert second["spec"]["acceptedAt"] > first["spec"]["acceptedAt"]
    assert second["status"]["acceptedAt"] == first["spec"]["acceptedAt"]
    # On a busy machine, its place may be free before the watch has reported that it waits again.
    eventually(lambda: endpoint.requests.waiting() == 1)


def test_request_of_another_replica_is_left_alone(tmp_path: Path) -> None:
    """The object is there and not seen yet: the API server says so, and that it waits."""
    with open_environment([source(tmp_path)], [signing_policy()]) as endpoint:
        endpoint.send()
        (stored,) = endpoint.stored()
        endpoint.cluster.faults.append(Fault("POST", "signingrequests", 409))
        assert endpoint.send(docker_body(docker_event())).status_code == 200
        assert endpoint.stored() == [stored]


def test_unreadable_events_do_not_block_the_others(endpoint: EventsEnvironment) -> None:
    body = docker_body(
        {"action": "push"}, docker_event(digest="sha256:short"), 7, docker_event(), docker_event("../escape")
    )
    assert endpoint.send(body).text == "accepted 1, ignored 4\n"
    assert len(endpoint.stored()) == 1
    assert endpoint.value("sealgate_events_ignored_total", source="shop", reason="unreadable") == 4
    assert all(line["source"] == "shop" and line["problem"] for line in endpoint.lines("event dropped"))


def test_uncovered_push_is_counted_and_taken(endpoint: EventsEnvironment) -> None:
    assert endpoint.send(docker_body(docker_event("other/app"))).text == "accepted 0, ignored 1\n"
    assert endpoint.stored() == []
    assert endpoint.value("sealgate_events_ignored_total", source="shop", reason="not_covered") == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"events": {}}', 400),
        (b'{"events": [], "events": []}', 400),
        (b'{"events": [' + b",".join([b"1"] * 1001) + b"]}", 413),
        (b" " * (1 << 20) + b"{}", 413),
    ],
)
def test_unreadable_body_is_refused(endpoint: EventsEnvironment, body: bytes, status: int) -> None:
    assert endpoint.send(body).status_code == status
    assert endpoint.stored() == []


def test_compressed_body_is_refused(endpoint: EventsEnvironment) -> None:
    assert endpoint.send(headers={"Content-Encoding": "gzip"}).status_code == 415


@pytest.mark.parametrize("status", [500, 429, 403])
def test_api_server_that_stores_nothing_is_503(endpoint: EventsEnvironment, status: int) -> None:
    endpoint.cluster.faults.append(Fault("POST", "signingrequests", status, times=1))
    response = endpoint.send()
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert endpoint.stored() == []
    assert endpoint.send().status_code == 200
    assert len(endpoint.stored()) == 1


def test_policies_that_were_not_read_yet_are_503(tmp_path: Path) -> None:
    with open_environment([source(tmp_path)]) as endpoint:
        assert endpoint.client.get("/readyz").status_code == 200
    with open_environment([source(tmp_path)], start=False) as endpoint:
        assert endpoint.client.get("/readyz").status_code == 503
        assert endpoint.send().status_code == 503
        assert endpoint.client.get("/healthz").status_code == 200


def test_pushes_stored_before_the_deadline_are_not_stored_again(endpoint: EventsEnvironment) -> None:
    """A body whose second push fails is sent again: the first one needs no request to the API server."""
    endpoint.send(docker_body(docker_event()))
    posts = len([request for request in endpoint.cluster.requests if request.method == "POST"])
    endpoint.cluster.faults.append(Fault("POST", "signingrequests", 500, times=1))
    body = docker_body(docker_event(), docker_event(digest=OTHER))
    assert endpoint.send(body).status_code == 503
    assert endpoint.send(body).status_code == 200
    assert len([request for request in endpoint.cluster.requests if request.method == "POST"]) == posts + 2
    assert len(endpoint.stored()) == 2


def test_unreadable_policy_covers_nothing(endpoint: EventsEnvironment) -> None:
    broken = signing_policy("shop", "*/shop/*")
    endpoint.cluster.put(POLICIES, broken)
    # The last that the endpoint does after a change.
    eventually(lambda: bool(endpoint.lines("signing policy invalid; it signs nothing")))
    assert endpoint.value("sealgate_events_signing_policies", state="unreadable") == 1
    assert endpoint.send().text == "accepted 0, ignored 1\n"
    line = endpoint.lines("signing policy invalid; it signs nothing")[-1]
    assert (line["policy"], "wildcard" in line["problem"]) == ("shop", True)


def test_changed_policy_makes_another_request(endpoint: EventsEnvironment) -> None:
    endpoint.send()
    endpoint.cluster.put(POLICIES, signing_policy(description="changed"))
    eventually(lambda: len(endpoint.lines("signing policies loaded")) >= 2)
    endpoint.send()
    assert {stored["spec"]["policy"]["generation"] for stored in endpoint.stored()} == {1, 2}


def test_registries_wait_longer_than_the_endpoint_does() -> None:
    """docker-registry gives up after half a second, by default."""
    assert STORE_SECONDS < 0.5
