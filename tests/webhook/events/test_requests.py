"""What waits is bounded, in total and for each repository."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from kubernetes.client.configuration import Configuration

from sealgate.errors import UnavailableError
from sealgate.kubernetes.client import KubernetesAPI
from tests.support.simulators.kubernetes import Fault
from tests.webhook.events.bodies import docker_body, docker_event
from tests.webhook.events.environment import EventsEnvironment, open_environment, signing_policy, source
from tests.webhook.servers import eventually

if TYPE_CHECKING:
    from pathlib import Path


def push(endpoint: EventsEnvironment, repository: str, tag: str) -> int:
    """Report a push, and return the status."""
    return endpoint.send(docker_body(docker_event(f"shop/{repository}", tag))).status_code


def test_requests_that_wait_are_bounded(tmp_path: Path) -> None:
    with open_environment([source(tmp_path)], [signing_policy()], max_waiting=10) as endpoint:
        assert [push(endpoint, f"app-{number}", "v1") for number in range(12)] == [200] * 10 + [503] * 2
        assert len(endpoint.stored()) == 10
        response = endpoint.send(docker_body(docker_event("shop/app-11")))
        assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
        # What waits already is taken again, and a place that becomes free is given to the next.
        assert push(endpoint, "app-0", "v1") == 200
        endpoint.end(endpoint.stored()[0])
        assert push(endpoint, "app-11", "v1") == 200


def test_one_repository_has_a_tenth_of_the_places_and_the_rest_waits_for_the_resync(tmp_path: Path) -> None:
    with open_environment([source(tmp_path)], [signing_policy()], max_waiting=30) as endpoint:
        assert [push(endpoint, "app", f"v{number}") for number in range(5)] == [200] * 5
        assert sorted(each["spec"]["tag"] for each in endpoint.stored()) == ["v0", "v1", "v2"]
        assert endpoint.value("sealgate_events_ignored_total", source="shop", reason="left_to_resync") == 2
        body = docker_body(docker_event("shop/app", "v5"), docker_event("shop/other", "v1"))
        assert endpoint.send(body).text == "accepted 1, ignored 0, left to the next resync 1\n"


def test_requests_that_were_there_before_the_start_are_counted(tmp_path: Path) -> None:
    with open_environment([source(tmp_path)], [signing_policy()], max_waiting=10) as endpoint:
        assert push(endpoint, "app", "v1") == 200
        (stored,) = endpoint.stored()
        for number in range(9):
            spec = {**stored["spec"], "repository": f"registry.example.com/shop/other-{number}"}
            endpoint.cluster.put(
                "/apis/sealgate.dev/v1alpha1/namespaces/sealgate/signingrequests",
                {"metadata": {"name": f"push-{number}"}, "spec": spec},
            )
        eventually(lambda: endpoint.requests.waiting() == 10)
        assert push(endpoint, "more", "v1") == 503


def test_place_of_a_request_that_was_not_stored_is_free_again(tmp_path: Path) -> None:
    with open_environment([source(tmp_path)], [signing_policy()], max_waiting=10) as endpoint:
        endpoint.cluster.faults.append(Fault("POST", "signingrequests", 500, times=20))
        assert [push(endpoint, f"app-{number}", "v1") for number in range(20)] == [503] * 20
        assert push(endpoint, "app", "v1") == 200


def test_malformed_objects_of_another_hand_are_counted_as_they_are(tmp_path: Path) -> None:
    with open_environment([source(tmp_path)], [signing_policy()]) as endpoint:
        path = "/apis/sealgate.dev/v1alpha1/namespaces/sealgate/signingrequests"
        endpoint.cluster.put(path, {"metadata": {"name": "bare"}})
        endpoint.cluster.put(path, {"metadata": {"name": "odd"}, "spec": {"repository": 7, "acceptedAt": "x"}})
        eventually(lambda: endpoint.requests.waiting() == 2)
        assert push(endpoint, "app", "v1") == 200


def test_api_server_that_does_not_answer_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        open_environment([source(tmp_path)], [signing_policy()], store_seconds=0.1) as endpoint,
    ):
        host, port = silent.getsockname()
        silent_api = KubernetesAPI(Configuration(host=f"http://{host}:{port}"))
        with pytest.raises(UnavailableError):
            silent_api.within(0.05).get("/api/v1/namespaces/default")
        endpoint.cluster.pause()
        assert push(endpoint, "app", "v1") == 503
        endpoint.cluster.resume()
