"""The endpoint as a process: TLS, client certificates, metrics, signals, a real docker-registry."""

from __future__ import annotations

import http.client
import signal
import socket
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
import yaml

from sealgate_webhook.events.policies import PATH as POLICIES
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.real_tools.notifications import notifications
from tests.support.real_tools.ports import port_of, reserve_port
from tests.support.real_tools.required import require_tool
from tests.support.signers.client_certificates import ClientCA, client_context
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator
from tests.webhook.backends.cluster.test_serving import kubeconfig
from tests.webhook.events.bodies import docker_body
from tests.webhook.events.environment import TOKEN, signing_policy, source
from tests.webhook.events.images import push_image
from tests.webhook.servers import PATIENCE_SECONDS, Server, TLSFiles, eventually, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serving(folder: Path, cluster: KubernetesSimulator, tls: TLSFiles | None = None, **fields: Any) -> Iterator[Server]:
    """Run the endpoint until the block ends."""
    config = folder / "config.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "listen": "127.0.0.1:0",
                "metricsListen": "127.0.0.1:0",
                "sources": [source(folder)],
                **({} if tls is None else {"tls": {"directory": str(tls.certificate.parent)}}),
                **fields,
            }
        )
    )
    arguments = ("sealgate_webhook.events", "--config", str(config), "--kubeconfig", str(kubeconfig(folder, cluster)))
    with running({}, tls.trust if tls else None, arguments) as server:
        server.wait_for_line("signing policies loaded")
        yield server


def url_of(server: Server) -> str:
    line = server.wait_for_line("events served")
    return f"{line['scheme']}://{line['address']}"


def send(
    server: Server, body: bytes, token: str = TOKEN, pool: urllib3.PoolManager | None = None
) -> urllib3.BaseHTTPResponse:
    """Send a body as registries do: again, while it is not taken in time, which a busy machine may cause."""
    headers = {"Authorization": f"Bearer {token}"}
    while True:
        response = (pool or server.pool).request("POST", f"{url_of(server)}/events/shop", body=body, headers=headers)
        if response.status != 503:
            return response


def wait_until_ready(server: Server, cluster: KubernetesSimulator) -> None:
    cluster.wait_for(lambda simulator: simulator.watches_begun >= 2)
    assert server.pool.request("GET", f"{url_of(server)}/readyz").status == 200


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as cluster:
        cluster.put(POLICIES, signing_policy())
        yield cluster


def test_events_are_taken_over_tls_and_counted(tmp_path: Path, cluster: KubernetesSimulator) -> None:
    tls = TLSFiles(tmp_path / "tls")
    with serving(tmp_path, cluster, tls) as server:
        wait_until_ready(server, cluster)
        assert send(server, docker_body()).status == 200
        assert send(server, docker_body(), "wrong").status == 401
        assert len(cluster.find("signingrequests")) == 1
        metrics = server.metrics()
        assert 'sealgate_events_requests_total{code="200",source="shop"} 1.0' in metrics
        assert 'sealgate_events_requests_total{code="401",source="shop"} 1.0' in metrics
        assert "sealgate_events_waiting_requests 1.0" in metrics


def test_malformed_requests_leave_no_secret_in_the_log(tmp_path: Path, cluster: KubernetesSimulator) -> None:
    path, head = f"/events/path/{TOKEN}", "Host: events\r\n"
    malformed = (
        f"POST {path}\r\n\r\n",
        f"POST http://[{path} HTTP/1.1\r\n{head}\r\n",
        f"POST {path} HTTP/1.1\r\n{head}Authorization Bearer {TOKEN}\r\n\r\n",
    )
    with serving(tmp_path, cluster, sources=[source(tmp_path, "path", "path")]) as server:
        wait_until_ready(server, cluster)
        assert [raw_status(server, request) for request in malformed] == [400] * 3
        server.wait_for_line("malformed request; connection closed", count=3)
        chunks = f"POST {path} HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"
        assert raw_status(server, chunks) == 400


def raw_status(server: Server, request: str) -> int:
    """Send bytes, and return the status of the response."""
    address = urllib3.util.parse_url(url_of(server))
    with socket.create_connection((address.host, address.port), PATIENCE_SECONDS) as connection:
        connection.sendall(request.encode())
        return int(connection.makefile("rb").readline().split()[1])


def test_requests_in_flight_are_answered_after_sigterm(tmp_path: Path, cluster: KubernetesSimulator) -> None:
    with serving(tmp_path, cluster) as server, ExitStack() as stack:
        wait_until_ready(server, cluster)
        address = urllib3.util.parse_url(url_of(server))
        assert address.host is not None
        connection = stack.enter_context(
            closing(http.client.HTTPConnection(address.host, address.port, timeout=PATIENCE_SECONDS))
        )
        body = docker_body()
        connection.putrequest("POST", "/events/shop")
        connection.putheader("Authorization", f"Bearer {TOKEN}")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:10])
        assert server.pool.request("GET", f"{url_of(server)}/healthz").status == 200
        server.signal(signal.SIGTERM)
        server.wait_for_line("Handling signal: term")
        connection.send(body[10:])
        # A busy API server may not have stored it in time; the answer came in any case.
        answered = connection.getresponse().status
        assert server.wait() == 0
    assert (answered, len(cluster.find("signingrequests"))) in {(200, 1), (503, 0), (503, 1)}


def test_client_certificates_are_required_beside_the_secret(tmp_path: Path, cluster: KubernetesSimulator) -> None:
    tls, ca = TLSFiles(tmp_path / "tls"), ClientCA()
    file = tmp_path / "client-ca.pem"
    file.write_bytes(ca.pem)
    with serving(tmp_path, cluster, tls, clientCa=str(file)) as server:
        wait_until_ready(server, cluster)
        assert send(server, docker_body()).status == 401
        assert cluster.find("signingrequests") == []
        context = client_context(tls.trust, ca.issue(tmp_path, "registry"))
        with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
            for token, status in ((TOKEN, 200), ("wrong", 401)):
                assert send(server, docker_body(), token, pool).status == status


def test_rotated_certificate_and_secret_need_no_restart(tmp_path: Path, cluster: KubernetesSimulator) -> None:
    tls = TLSFiles(tmp_path / "tls")
    with serving(tmp_path, cluster, tls) as server:
        wait_until_ready(server, cluster)
        tls.renew()
        server.pool.clear()
        assert send(server, docker_body()).status == 200
        (tmp_path / "shop" / "token").write_text("another-token-of-a-registry")
        eventually(lambda: send(server, docker_body(), "another-token-of-a-registry").status == 200)
        assert send(server, docker_body()).status == 401


def test_missing_secret_ends_the_start(tmp_path: Path, cluster: KubernetesSimulator) -> None:
    config = tmp_path / "config.yaml"
    settings = source(tmp_path)
    (tmp_path / "shop" / "token").unlink()
    config.write_text(yaml.safe_dump({"sources": [settings]}))
    arguments = ("sealgate_webhook.events", "--config", str(config), "--kubeconfig")
    with running({}, None, (*arguments, str(kubeconfig(tmp_path, cluster)))) as server:
        assert server.wait() == 2


def test_pushes_to_a_real_registry_are_requested(tmp_path: Path, cluster: KubernetesSimulator) -> None:
    """docker-registry sends an event until it is taken: nothing is lost while the API server stores nothing."""
    require_tool("docker-registry")
    cluster.faults.append(Fault("POST", "signingrequests", 503, times=2))
    with registry_with_notifications(tmp_path, cluster) as (registry, _):
        digests = {tag: push_image(registry, "shop/app", tag) for tag in ("v1", "v2")}
        registry.manifest("shop/app", "v1", "application/vnd.oci.image.manifest.v1+json")
        push_image(registry, "other/app", "v1")
        push_image(registry, "shop/app", "sha256-" + "4a" * 32 + ".sig")
        digests["last"] = push_image(registry, "shop/app", "last")
        cluster.wait_for(lambda simulator: len(simulator.find("signingrequests")) == 3)
        stored = {request["spec"]["tag"]: request["spec"] for request in cluster.find("signingrequests")}
        assert {tag: spec["digest"] for tag, spec in stored.items()} == digests
        assert {spec["repository"] for spec in stored.values()} == {f"{registry.host}/shop/app"}


@contextmanager
def registry_with_notifications(folder: Path, cluster: KubernetesSimulator) -> Iterator[tuple[DockerRegistry, Server]]:
    """Run a docker-registry that sends its events to an endpoint.

    Each needs the other's port: that of the registry is reserved, as the endpoint is started first.
    """
    with ExitStack() as stack:
        port = port_of(stack.enter_context(reserve_port()))
        host = f"127.0.0.1:{port}"
        cluster.put(POLICIES, signing_policy("shop", f"{host}/shop/*"))
        server = stack.enter_context(serving(folder, cluster, sources=[source(folder, registry=host)]))
        wait_until_ready(server, cluster)
        more = notifications(f"{url_of(server)}/events/shop", TOKEN)
        yield stack.enter_context(DockerRegistry(folder / "registry", port, more)), server
