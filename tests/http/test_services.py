"""Requests to signature stores return complete responses of any status."""

from __future__ import annotations

import contextlib

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import ForbiddenAddressError, UnavailableError, VerificationError
from sealgate.reasons import Reason
from tests.support.environments.registry_clients import Names, client_for, repository_of, session_of
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.registry import RegistrySimulator


@pytest.mark.parametrize("status", [200, 404, 500])
def test_response_of_any_status_is_returned(status: int) -> None:
    with RegistrySimulator() as server, client_for(server) as client:
        server.documents["/v1/notes"] = Answer(status, {"X-Thing": "a"}, b"body")
        response = client.services(Deadline.after(SystemClock(), 20)).request(
            "POST", f"{server.url}/v1/notes?a=b", headers={"Authorization": "Bearer x"}, body=b"sent"
        )
        assert (response.status, response.headers["x-thing"], response.body) == (status, "a", b"body")
        request = server.requests[0]
        assert (request.method, request.query, request.body) == ("POST", (("a", "b"),), b"sent")
        assert request.headers["authorization"] == "Bearer x"


def test_repeated_headers_are_joined() -> None:
    with RegistrySimulator() as server, client_for(server) as client:
        server.faults.raw("/v1", b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n")
        response = client.services(Deadline.after(SystemClock(), 20)).request("GET", f"{server.url}/v1")
        assert response.headers["x-a"] == "1, 2"


def test_too_many_bytes_are_a_refusal() -> None:
    with RegistrySimulator() as server, client_for(server) as client:
        server.documents["/v1"] = Answer(body=b"12345")
        services = client.services(Deadline.after(SystemClock(), 20))
        assert services.request("GET", f"{server.url}/v1", limit=5).body == b"12345"
        with pytest.raises(VerificationError) as refused:
            services.request("GET", f"{server.url}/v1", limit=4)
        assert refused.value.reason is Reason.EVIDENCE_TOO_LARGE


def test_redirects_are_followed_on_the_same_origin_only() -> None:
    with RegistrySimulator() as server, RegistrySimulator() as other, client_for(server, other) as client:
        server.documents["/v1"] = Answer(302, {"Location": "/v2/"})
        server.documents["/away"] = Answer(302, {"Location": f"{other.url}/v2/"})
        services = client.services(Deadline.after(SystemClock(), 20))
        assert services.request("GET", f"{server.url}/v1").status == 200
        assert services.request("POST", f"{server.url}/v1").status == 302
        away = services.request("GET", f"{server.url}/away")
        assert (away.status, away.headers["location"]) == (302, f"{other.url}/v2/")
        assert other.requests == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "no url", "https://user:password@host.example.org/", "https://"])
def test_invalid_url_is_refused(url: str) -> None:
    with client_for() as client, pytest.raises(ForbiddenAddressError):
        client.services(Deadline.after(SystemClock(), 20)).request("GET", url)


def test_every_request_is_counted() -> None:
    seen: list[tuple[str, str]] = []

    class Observer:
        def request(self, host: str, outcome: str) -> None:
            seen.append((host, outcome))

    with RegistrySimulator() as registry, client_for(registry, observer=Observer(), resolver=Names({})) as client:
        services = client.services(Deadline.after(SystemClock(), 20))
        with pytest.raises(ForbiddenAddressError):
            services.request("GET", "http://elsewhere.example.org/")
    assert seen == [("elsewhere.example.org", "AddressForbidden")]
    seen.clear()
    with RegistrySimulator() as registry, client_for(registry, observer=Observer()) as client:
        registry.push_image("team/app", "v1")
        registry.faults.status("manifests", 500, times=1)
        for _ in range(2):
            with contextlib.suppress(UnavailableError):
                session_of(client).manifest(repository_of(registry), "v1")
    assert seen == [(registry.host, "500"), (registry.host, "200")]
