"""Connections are kept alive, reused, replaced when stale, and never shared between requests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import DeadlineError, UnavailableError
from sealgate.http import pools
from sealgate.references import Repository
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import Names, client_for, repository_of, session_of
from tests.support.simulators.registry import RegistrySimulator, digest_of

if TYPE_CHECKING:
    from sealgate.registry.client import RegistryClient


@pytest.mark.parametrize("tls", [False, True])
def test_reused_connection_has_the_next_request_deadline(*, tls: bool) -> None:
    # With a frozen clock the short timeout applies to the response only, and to no step before it.
    clock = FakeClock()
    with RegistrySimulator(tls=tls) as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        slow = registry.faults.hang("manifests/slow")
        repository = repository_of(registry)
        session_of(client, clock=clock, seconds=600).manifest(repository, "v1")
        with pytest.raises(DeadlineError):
            session_of(client, clock=clock, seconds=0.1).manifest(repository, "slow")
        assert slow.hit.wait(100)
        session_of(client, clock=clock, seconds=600).manifest(repository, "v1")
        assert [request.connection for request in registry.requests] == [1, 1, 2]


@pytest.mark.parametrize("status", [404, 500])
def test_connection_is_reused_after_a_fully_read_error(status: int) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.status("manifests/bad", status)
        registry.push_image("team/app", "v1")
        with pytest.raises(UnavailableError):
            session_of(client).manifest(repository_of(registry), "bad")
        session_of(client).manifest(repository_of(registry), "v1")
        assert [request.connection for request in registry.requests] == [1, 1]


def test_connection_is_closed_after_an_endless_error_body() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.answer("manifests/bad", 500, {}, b"x" * 1_000_000)
        registry.push_image("team/app", "v1")
        with pytest.raises(UnavailableError, match="500"):
            session_of(client).manifest(repository_of(registry), "bad")
        session_of(client).manifest(repository_of(registry), "v1")
        assert [request.connection for request in registry.requests] == [1, 2]


def test_closing_registry_gets_a_new_connection_per_request() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        registry.faults.header("manifests", "Connection", "close")
        for _ in range(2):
            session_of(client).manifest(repository_of(registry), "v1")
        assert [request.connection for request in registry.requests] == [1, 2]


def test_connections_closed_while_idle_are_replaced() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client).manifest(repository_of(registry), "v1")
        registry.close_idle_connections()
        session_of(client).manifest(repository_of(registry), "v1")
        assert [request.connection for request in registry.requests] == [1, 2]


def test_kept_connection_that_ends_early_is_replaced_once() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client).manifest(repository_of(registry), "v1")
        registry.faults.drop("manifests", times=1)
        session_of(client).manifest(repository_of(registry), "v1")
        assert [request.connection for request in registry.requests] == [1, 1, 2]
        registry.faults.drop("manifests")
        with pytest.raises(UnavailableError, match="closed without an answer"):
            session_of(client).manifest(repository_of(registry), "v1")
        assert [request.connection for request in registry.requests] == [1, 1, 2, 2, 3]


def test_new_connection_that_ends_early_is_not_replaced() -> None:
    with RegistrySimulator(tls=True) as registry, client_for(registry) as client:
        registry.faults.drop("manifests")
        with pytest.raises(UnavailableError):
            session_of(client).manifest(repository_of(registry), "v1")
        assert len(registry.requests) == 1


def test_a_post_is_never_sent_twice() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        services = client.services(Deadline.after(SystemClock(), 20))
        services.request("GET", f"{registry.url}/v2/")
        registry.faults.drop("/v1/records")
        with pytest.raises(UnavailableError):
            services.request("POST", f"{registry.url}/v1/records", body=b"{}")
        assert [request.method for request in registry.requests] == ["GET", "POST"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nDocker-Content-Digest: x\x7fy\r\nContent-Length: 5\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\n12345",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\n12345",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n12345",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_truncated_or_invalid_http_responses_are_unavailable(answer: bytes) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.drop("blobs", after=answer)
        with pytest.raises(UnavailableError) as failed:
            session_of(client).blob(repository_of(registry), digest_of(b"12345"), 100)
        assert "12345" not in failed.value.message
        assert "SSH" not in failed.value.message


def test_idle_connections_are_closed_after_a_timeout() -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        session_of(client, clock=clock).manifest(repository_of(registry), "v1")
        clock.advance(pools.IDLE_SECONDS + 1)
        session_of(client, clock=clock).manifest(repository_of(registry), "v1")
        assert [request.connection for request in registry.requests] == [1, 2]


def _read_at_once(registry: RegistrySimulator, client: RegistryClient, count: int) -> None:
    """Read one manifest that many times, on as many connections."""
    gate, before = threading.Event(), len(registry.requests)
    registry.faults.wait_for("manifests", gate, times=count)

    def read() -> None:
        session_of(client).manifest(repository_of(registry), "v1")

    threads = [threading.Thread(target=read) for _ in range(count)]
    for thread in threads:
        thread.start()
    while len(registry.requests) < before + count:
        gate.wait(0.01)
    gate.set()
    for thread in threads:
        thread.join()


def test_idle_connections_to_one_origin_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_IDLE", 1)
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        for _ in range(2):
            _read_at_once(registry, client, 2)
        assert {request.connection for request in registry.requests} == {1, 2, 3}


def test_idle_connections_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_IDLE_TOTAL", 2)
    with RegistrySimulator() as one, RegistrySimulator() as other, client_for(one, other) as client:
        for registry in (one, other):
            registry.push_image("team/app", "v1")
        _read_at_once(one, client, 2)
        session_of(client).manifest(repository_of(other), "v1")
        _read_at_once(one, client, 2)
        assert {request.connection for request in one.requests} == {1, 2, 3}
        monkeypatch.setattr(pools, "MAX_IDLE_TOTAL", 0)
        session_of(client).manifest(repository_of(other), "v1")
        session_of(client).manifest(repository_of(other), "v1")
        assert [request.connection for request in other.requests] == [1, 2, 3]


def test_closed_client_has_no_open_connections() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client).manifest(repository_of(registry), "v1")
        client.close()
        for _ in range(2):
            session_of(client).manifest(repository_of(registry), "v1")
        assert [request.connection for request in registry.requests] == [1, 2, 3]


def test_the_next_address_is_tried_when_one_refuses() -> None:
    names = Names({"registry.example.test": "127.0.0.2 127.0.0.1"})
    with RegistrySimulator(host_name="registry.example.test") as registry:
        registry.push_image("team/app", "v1")
        with client_for(registry, resolver=names) as client:
            session_of(client).manifest(repository_of(registry), "v1")
        assert registry.requests[0].headers["host"] == registry.host


def test_a_name_without_addresses_is_unavailable() -> None:
    names = Names({"registry.example.test": ""})
    with client_for(resolver=names) as client, pytest.raises(UnavailableError):
        session_of(client).manifest(Repository("registry.example.test", "app"), "v1")


def test_unreachable_address_is_reported_with_its_cause() -> None:
    host = "registry.example.test"
    with client_for(resolver=Names({host: "::1%nowhere"}), insecure=frozenset({host})) as client:
        services = client.services(Deadline.after(SystemClock(), 20))
        with pytest.raises(UnavailableError, match=f"{host} cannot be reached: "):
            services.request("GET", f"http://{host}/")


def test_no_request_is_sent_after_the_deadline() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        with pytest.raises(DeadlineError):
            session_of(client, seconds=0).manifest(repository_of(registry), "v1")
        assert registry.requests == []


def test_many_threads_share_one_client() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digests = {f"v{n}": registry.push_image("team/app", f"v{n}") for n in range(8)}
        seen: list[bool] = []

        def read(tag: str) -> None:
            session = session_of(client)
            seen.extend(session.manifest(repository_of(registry), tag).digest == digests[tag] for _ in range(5))

        threads = [threading.Thread(target=read, args=(tag,)) for tag in digests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [True] * 40
        assert len({request.connection for request in registry.requests}) <= 8
