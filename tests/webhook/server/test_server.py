"""The webhook as a process: start, TLS, reload, rotation, signals, misbehaving clients."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from sealgate.policies.policy_counts import decode_counts
from sealgate.process.serving.limits import ServingLimits
from tests.support.builders.objects import policy
from tests.webhook.objects import pod, review
from tests.webhook.servers import TLSFiles, children_of, eventually, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.webhook.environment import WebhookEnvironment
    from tests.webhook.servers import Server
    from tests.webhook.ways import Way


@pytest.fixture
def tls(tmp_path: Path) -> TLSFiles:
    return TLSFiles(tmp_path / "tls")


@pytest.fixture
def way() -> Way:
    """Return one way: the environment is only what is around the server."""
    return "flask"


@pytest.fixture
def server(environment: WebhookEnvironment, tls: TLSFiles) -> Iterator[Server]:
    with running(settings_of(environment, tls), tls.trust) as started:
        yield started


def serial_shown_by(server: Server, tls: TLSFiles) -> int:
    context = ssl.create_default_context(cadata=tls.trust)
    with (
        socket.create_connection(server.address, 30) as connection,
        context.wrap_socket(connection, server_hostname="127.0.0.1") as client,
    ):
        certificate = client.getpeercert(binary_form=True)
        assert certificate is not None
        return x509.load_der_x509_certificate(certificate).serial_number


def test_it_serves_reviews_health_and_metrics(environment: WebhookEnvironment, server: Server) -> None:
    signed, unsigned = environment.sign("team/app", "v1"), environment.push("team/bad", "v1")
    assert server.url.startswith("https://")
    assert server.get("/healthz").data == b"ok\n"
    assert server.get("/readyz").status == 200
    assert server.get("/nowhere").status == 404
    assert server.validate(review(pod(signed))).allowed
    assert not server.validate(review(pod(unsigned))).allowed
    metrics = server.metrics()
    assert 'sealgate_image_verdicts_total{reason="NoSignature",verdict="deny"} 1.0' in metrics
    assert "sealgate_verification_policies 1.0" in metrics
    server.wait_for_line("review", 2)


def test_counts_by_policy_are_served_beside_the_metrics(environment: WebhookEnvironment, server: Server) -> None:
    signed, unsigned = environment.sign("team/app", "v1"), environment.push("team/bad", "v1")
    server.validate(review(pod(signed)))
    server.validate(review(pod(unsigned)))
    server.validate(review(pod(unsigned), dryRun=True))
    (counts,) = decode_counts(server.metrics("/policy-counts").encode()).policies.values()
    assert (counts.images, [count for _, count in counts.denied]) == (2, [1])
    assert [count for _, count in counts.dry_run] == [1]


def test_changed_policies_take_effect_without_a_signal(environment: WebhookEnvironment, server: Server) -> None:
    image = environment.push("team/app", "v1")
    assert not server.validate(review(pod(image))).allowed
    environment.write(policy("elsewhere", "registry.example.com/**"))
    server.wait_for_line("policies loaded", 2)
    assert server.validate(review(pod(image))).allowed


def test_failed_task_is_logged_and_restarted(environment: WebhookEnvironment, tls: TLSFiles) -> None:
    with running({**settings_of(environment, tls), "stumbling": True}, tls.trust) as server:
        line = server.wait_for_line("background task failed; restarting", 2)
        assert "an unforeseen fault" in line["exception"]
        environment.write(policy("elsewhere", "registry.example.com/**"))
        server.wait_for_line("policies loaded", 2)
        assert "sealgate_internal_errors_total 2.0" in server.metrics()


def test_invalid_policies_leave_the_last_good_ones_in_force(environment: WebhookEnvironment, server: Server) -> None:
    image = environment.push("team/app", "v1")
    assert not server.validate(review(pod(image))).allowed
    environment.write(policy("broken", "{a", authenticators=("absent",)))
    server.wait_for_line("policies invalid; keeping the last valid ones")
    assert not server.validate(review(pod(image))).allowed
    assert server.get("/readyz").status == 200
    metrics = server.metrics()
    assert "sealgate_policy_reload_failures_total 1.0" in metrics
    assert "sealgate_policy_last_reload_successful 0.0" in metrics


def test_rotated_certificate_is_served_to_new_connections(server: Server, tls: TLSFiles) -> None:
    old = server.connections()
    assert old.request("GET", f"{server.url}/healthz").status == 200
    assert serial_shown_by(server, tls) == tls.serial
    tls.renew()
    assert serial_shown_by(server, tls) == tls.serial
    assert old.request("GET", f"{server.url}/healthz").status == 200
    old.clear()


def test_rotation_fails_no_call(server: Server, tls: TLSFiles) -> None:
    done = threading.Event()

    def call() -> list[int]:
        statuses: list[int] = []
        while not done.is_set():
            with server.connections() as pool:
                statuses += [pool.request("GET", f"{server.url}/healthz").status for _ in range(2)]
        return statuses

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(call) for _ in range(4)]
        try:
            for _ in range(10):
                tls.renew()
                assert serial_shown_by(server, tls) == tls.serial
        finally:
            done.set()
        assert {status for each in calls for status in each.result(150)} == {200}


def test_a_bad_certificate_leaves_the_last_good_one_in_use(server: Server, tls: TLSFiles) -> None:
    good = serial_shown_by(server, tls)
    tls.write(b"nonsense", b"nonsense")
    assert serial_shown_by(server, tls) == good
    server.wait_for_line("serving certificate invalid; keeping the last valid one")
    assert "sealgate_certificate_reload_failures_total 1.0" in server.metrics()


def test_sigterm_waits_for_requests_in_flight(environment: WebhookEnvironment, server: Server) -> None:
    image = environment.sign("team/app", "v1")
    go = threading.Event()
    asked = environment.registry.faults.wait_for("/manifests/", go)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.validate, review(pod(image)))
        assert asked.hit.wait(100)
        server.signal(signal.SIGTERM)
        server.wait_for_line("Handling signal: term")
        go.set()
        assert answer.result(30).allowed
    assert server.wait() == 0


def test_sigint_stops_the_server(server: Server) -> None:
    assert server.get("/healthz").status == 200
    server.signal(signal.SIGINT)
    assert server.wait() == 0


def test_dead_worker_is_replaced_with_the_newest_policies(environment: WebhookEnvironment, server: Server) -> None:
    image = environment.push("team/app", "v1")
    assert not server.validate(review(pod(image))).allowed
    (worker,) = children_of(server.pid)
    environment.write(policy("elsewhere", "registry.example.com/**"))
    os.kill(worker, signal.SIGKILL)
    server.wait_for_line("reviews served", 2)
    server.pool.clear()
    server.wait_for_line("policies loaded", 2)
    eventually(lambda: server.validate(review(pod(image))).allowed)
    assert "sealgate_verification_policies 1.0" in server.metrics()


@pytest.mark.long
def test_hanging_registry_delays_no_other_review(environment: WebhookEnvironment, server: Server) -> None:
    """More reviews wait for the dead registry than there are threads; another registry's images go through."""
    stuck = [environment.sign(f"stuck/app-{number}", "v1") for number in range(40)]
    fine = environment.sign("fine/app", "v1")
    hanging = environment.registry.faults.hang("/stuck/")
    assert server.validate(review(pod(fine))).allowed
    with ThreadPoolExecutor(len(stuck)) as pool:
        waiting = [pool.submit(server.validate, review(pod(image)), "timeout=12s") for image in stuck]
        assert hanging.hit.wait(100)
        assert server.validate(review(pod(fine)), "timeout=10s").allowed
        assert [answer.result(150).code for answer in waiting] == [503] * len(stuck)


def test_stalled_clients_are_closed_and_silent_ones_hold_no_thread(
    environment: WebhookEnvironment, tls: TLSFiles
) -> None:
    settings = {**settings_of(environment, tls), "threads": 2}
    with running(settings, tls.trust) as server, contextlib.ExitStack() as stack:
        assert server.get("/healthz").status == 200
        for _ in range(8):
            stack.enter_context(socket.create_connection(server.address, 60))
        assert server.get("/healthz").status == 200
        # One stalls in the handshake, one in the request: both occupy a thread until their timeout frees it.
        handshake = stack.enter_context(socket.create_connection(server.address, 60))
        handshake.sendall(b"\x16\x03\x01")
        context = ssl.create_default_context(cadata=tls.trust)
        plain = socket.create_connection(server.address, 60)
        request = stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))
        request.sendall(
            b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        assert server.get("/healthz").status == 200
        assert cut_off(handshake)
        assert cut_off(request)


def test_paused_server_does_not_time_out_its_clients(server: Server, tls: TLSFiles) -> None:
    assert server.get("/healthz").status == 200
    (worker,) = children_of(server.pid)
    context = ssl.create_default_context(cadata=tls.trust)
    plain = socket.create_connection(server.address, 60)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(
            b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{"
        )
        assert server.get("/healthz").status == 200
        os.kill(worker, signal.SIGSTOP)
        threading.Event().wait(ServingLimits().io + 1)
        os.kill(worker, signal.SIGCONT)
        # By the second response the server has checked for slow clients.
        assert [server.get("/healthz").status for _ in range(2)] == [200, 200]
        client.sendall(b"}")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_when_connections_run_out_the_most_idle_one_makes_room(environment: WebhookEnvironment, tls: TLSFiles) -> None:
    settings = {**settings_of(environment, tls), "threads": 2, "connections": 10}
    with running(settings, tls.trust) as server, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(server.address, 60)) for _ in range(12)]
        assert server.get("/healthz").status == 200
        assert cut_off(silent[0])
        # Connections that sent a request once are closed next, after all silent ones.
        idle = [server.connections() for _ in range(20)]
        for pool in idle:
            stack.callback(pool.clear)
            assert pool.request("GET", f"{server.url}/healthz").status == 200
        assert 'sealgate_closed_connections_total{limit="connections"}' in server.metrics()


def test_most_idle_connection_is_closed_without_free_descriptors(
    environment: WebhookEnvironment, tls: TLSFiles
) -> None:
    with running(settings_of(environment, tls), tls.trust) as server, contextlib.ExitStack() as stack:
        assert server.get("/healthz").status == 200
        (worker,) = children_of(server.pid)
        used = len(list(Path(f"/proc/{worker}/fd").iterdir()))
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + 4, used + 4))
        silent = [stack.enter_context(socket.create_connection(server.address, 60)) for _ in range(8)]
        assert cut_off(silent[0])
        assert server.connections().request("GET", f"{server.url}/healthz").status == 200


def test_without_tls_it_serves_loopback(environment: WebhookEnvironment) -> None:
    with running({"policies": [str(environment.folder)]}) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.get("/readyz").status == 200
        assert not server.validate(review(pod("NOT AN IMAGE"))).allowed


def test_generated_certificate_is_logged_with_its_fingerprint(environment: WebhookEnvironment) -> None:
    with running({"policies": [str(environment.folder)], "tls_self_signed": True}) as server:
        announced = server.wait_for_line("self-signed certificate created")["sha256_fingerprint"]
        shown = x509.load_pem_x509_certificate(ssl.get_server_certificate(server.address).encode())
        assert shown.fingerprint(SHA256()).hex() == announced.replace(":", "").lower()


def test_a_worker_that_cannot_start_ends_the_whole_server(environment: WebhookEnvironment) -> None:
    """Workers do not restart in a loop without serving a request."""
    with running({"policies": [str(environment.folder)], "threads": -1}) as server:
        assert server.wait() != 0


def settings_of(environment: WebhookEnvironment, tls: TLSFiles) -> dict[str, Any]:
    return {
        "policies": [str(environment.folder)],
        "insecure": [environment.registry.host],
        "tls_cert": str(tls.certificate),
        "tls_key": str(tls.key),
    }


def cut_off(connection: socket.socket) -> bool:
    """Wait for the server to close a connection; it may send data before."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True
