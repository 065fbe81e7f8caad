"""A slow registry or name server: one total deadline holds for every step."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING

import pytest
import trustme

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import DeadlineError, UnavailableError
from sealgate.http.dns import SystemResolver
from sealgate.references import Repository
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import client_for, login, repository_of, session_of, silent_server
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.registry import RegistrySimulator, digest_of
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from sealgate.registry.session import Session


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("headers", [False, True])
def test_attack_34_an_answer_byte_by_byte_ends_at_the_deadline(*, tls: bool, headers: bool) -> None:
    clock = FakeClock()
    with RegistrySimulator(tls=tls) as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        # No read takes long, however busy the machine is; only the total is too long.
        registry.faults.drip("manifests", lambda: clock.advance(30), headers=headers)
        with pytest.raises(DeadlineError, match=f"asking {registry.host}"):
            session_of(client, clock=clock, seconds=900).manifest(repository_of(registry), "v1")
        assert clock.monotonic() >= 900


@pytest.mark.parametrize("status", [302, 401, 404, 500])
def test_attack_34_a_slow_error_ends_at_the_deadline_too(status: int) -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry, client_for(registry, clock=clock) as client:
        registry.faults.drip("manifests", lambda: clock.advance(1)).change = lambda _: Answer(status, body=b"x" * 1000)
        with pytest.raises(DeadlineError):
            session_of(client, clock=clock, seconds=10).manifest(repository_of(registry), "v1")


def _read(session: Session, repository: Repository, what: str) -> None:
    if what == "blobs":
        session.blob(repository, digest_of(b"x"), 10)
    elif what == "referrers":
        session.referrers(repository, digest_of(b"x"), 10)
    else:
        session.manifest(repository, "v1")


@pytest.mark.parametrize("path", ["manifests", "blobs", "referrers", "/token"])
def test_attack_34_missing_response_ends_at_the_deadline(path: str) -> None:
    auth = Auth("bearer" if path == "/token" else "none", users={"robot": "s3cret"})
    with RegistrySimulator(auth=auth) as registry, client_for(registry) as client:
        registry.faults.hang(path)
        with pytest.raises(DeadlineError):
            _read(session_of(client, login(registry), seconds=0.2), repository_of(registry), path)


def test_attack_34_a_redirect_does_not_start_the_time_anew() -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry, client_for(registry, clock=clock) as client:
        digest = registry.push_blob("team/app", b"x")
        away = Answer(307, {"Location": f"/v2/team/app/blobs/{digest}"})

        def change(_: Answer) -> Answer:
            clock.advance(40)
            return away

        registry.faults.add(Fault("blobs", change))
        with pytest.raises(DeadlineError):
            session_of(client, clock=clock, seconds=100).blob(repository_of(registry), digest, 10)
        assert len(registry.requests) == 3


def test_attack_34_a_hung_handshake_ends_at_the_deadline() -> None:
    with silent_server() as host, client_for(insecure=frozenset({host})) as client:
        with pytest.raises(DeadlineError):
            session_of(client, seconds=0.2).manifest(Repository(host, "team/app"), "v1")
        with pytest.raises(DeadlineError):
            client.services(Deadline.after(SystemClock(), 0.2)).request("GET", f"https://{host}/")


def test_attack_34_stalled_name_server_delays_no_other_request() -> None:
    answer = threading.Event()

    def lookup(host: str) -> tuple[str, ...]:
        if host == "stalled.example.test":
            answer.wait()
        return ("127.0.0.1",)

    resolver = SystemResolver(SystemClock(), lookup)
    with RegistrySimulator(host_name="registry.example.test") as registry:
        registry.push_image("team/app", "v1")
        with client_for(registry, resolver=resolver) as client:
            with pytest.raises(DeadlineError):
                session_of(client, seconds=0.1).manifest(Repository("stalled.example.test", "app"), "v1")
            session_of(client).manifest(repository_of(registry), "v1")
    answer.set()


@pytest.mark.parametrize("tls", [False, True])
def test_attack_34_server_that_stops_reading_meets_the_deadline(*, tls: bool) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with silent_server(context if tls else None) as host, client_for(insecure=frozenset({host})) as client:
        services = client.services(Deadline.after(SystemClock(), 0.5))
        url, ca = f"{'https' if tls else 'http'}://{host}/", authority.cert_pem.bytes().decode()
        with pytest.raises(DeadlineError):
            services.request("POST", url, body=b"x" * 20_000_000, ca=ca)


def test_attack_34_one_hung_registry_does_not_hold_up_another() -> None:
    with RegistrySimulator() as hung, RegistrySimulator() as other, client_for(hung, other) as client:
        other.push_image("team/app", "v1")
        stuck = hung.faults.hang("manifests")
        outcomes: list[str] = []

        def wait() -> None:
            try:
                session_of(client, seconds=60).manifest(repository_of(hung), "v1")
            except UnavailableError:
                outcomes.append("unavailable")

        threads = [threading.Thread(target=wait) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert stuck.hit.wait(100)
        session_of(client).manifest(repository_of(other), "v1")
        assert outcomes == []
        hung.close()
        for thread in threads:
            thread.join()
        assert outcomes == ["unavailable"] * 8
