"""At the webhook's ports: connections that stall, and more connections than there is room for, hold up nothing."""

from __future__ import annotations

import contextlib
import io
import resource
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from prometheus_client import CollectorRegistry

from sealgate.process.logs import configure_logs
from sealgate.process.metrics_server import SCRAPE_LIMITS, MetricsServer
from sealgate.process.probes import probes_app
from tests.webhook.environment import open_environment
from tests.webhook.objects import pod, review
from tests.webhook.servers import TLSFiles, children_of, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.environment import WebhookEnvironment
    from tests.webhook.servers import Server

HEAD = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
#: Fewer connections than this prove nothing; with fewer than MANY the test says so.
ENOUGH, MANY = 2_000, 10_000


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[WebhookEnvironment]:
    with open_environment(tmp_path) as environment:
        yield environment


@pytest.fixture
def tls(tmp_path: Path) -> TLSFiles:
    return TLSFiles(tmp_path / "tls")


def settings_of(environment: WebhookEnvironment, tls: TLSFiles, **more: Any) -> dict[str, Any]:
    return {
        "policies": [str(environment.folder)],
        "insecure": [environment.registry.host],
        "tls_cert": str(tls.certificate),
        "tls_key": str(tls.key),
        **more,
    }


def test_attack_50_stalled_clients_hold_up_no_review(environment: WebhookEnvironment, tls: TLSFiles) -> None:
    """Many more of each kind than there are threads, and all of them at once."""
    image = environment.sign("team/app", "v1")
    context = ssl.create_default_context(cadata=tls.trust)
    settings = settings_of(environment, tls, threads=2, connections=1000)
    with running(settings, tls.trust) as server, contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection(server.address, 60))

        def handshake() -> ssl.SSLSocket:
            return stack.enter_context(context.wrap_socket(connect(), server_hostname="127.0.0.1"))

        for _ in range(64):
            connect()
            connect().sendall(b"\x16\x03\x01")
        for _ in range(32):
            handshake()
            handshake().sendall(HEAD[:20])
            handshake().sendall(HEAD + b"{")
        assert server.validate(review(pod(image))).allowed
        assert server.connections().request("GET", f"{server.url}/readyz").status == 200


def test_attack_50_more_connections_than_descriptors_crash_nothing(
    environment: WebhookEnvironment, tls: TLSFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    image = environment.sign("team/app", "v1")
    with raised_descriptor_limit() as limit:
        count = min(limit - 500, MANY)
        if count < MANY:
            with capsys.disabled():
                print(f"\nonly {count} connections are opened: the limit of descriptors is {limit}")  # noqa: T201
        assert count >= ENOUGH, "the limit of descriptors is too low for this test"
        with running(settings_of(environment, tls, connections=2000), tls.trust) as server:
            assert server.validate(review(pod(image))).allowed
            workers = children_of(server.pid)
            with opened(server, count) as silent:
                assert silent[0].recv(1) == b""
                assert server.validate(review(pod(image)), pool=server.connections()).allowed
                assert children_of(server.pid) == workers
            assert server.validate(review(pod(image)), pool=server.connections()).allowed


@contextlib.contextmanager
def raised_descriptor_limit() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MANY + 1000 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def opened(server: Server, count: int) -> Iterator[list[socket.socket]]:
    connections: list[socket.socket] = []
    try:
        for _ in range(count):
            connections.append(socket.create_connection(server.address, 60))  # noqa: PERF401 - closed if one fails
        yield connections
    finally:
        for connection in connections:
            connection.close()


def test_attack_50_silent_connections_starve_neither_probes_nor_metrics() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    host, port = listener.getsockname()
    server = MetricsServer(
        listener, probes_app(CollectorRegistry(), lambda: True), configure_logs("json", io.StringIO())
    )
    with contextlib.ExitStack() as stack:
        stack.callback(server.close)
        for beginning in (
            b"",
            b"GET /metrics HTTP/1.1\r\n",
            b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        ):
            for _ in range(SCRAPE_LIMITS.connections):
                connection = stack.enter_context(socket.create_connection((host, port), 60))
                with contextlib.suppress(ConnectionError):
                    connection.sendall(beginning)
            for path in ("healthz", "readyz", "metrics"):
                assert urllib3.request("GET", f"http://{host}:{port}/{path}", retries=False).status == 200
