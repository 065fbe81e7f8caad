"""TLS certificates are always verified, with configured CAs if given; plain HTTP is for listed hosts only."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
import trustme

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import ConfigError, DeadlineError, ForbiddenAddressError, UnavailableError
from sealgate.http.client import NotTLSError
from sealgate.http.services import ServiceClient
from sealgate.http.settings import HostSettings
from sealgate.reasons import Reason
from sealgate.references import Repository
from sealgate.registry.client import RegistryClient
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import Names, client_for, repository_of, session_of, silent_server
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from pathlib import Path


def test_insecure_host_with_tls_is_asked_over_tls() -> None:
    with RegistrySimulator(tls=True) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client).manifest(repository_of(registry), "v1")
        assert registry.requests[0].headers["host"] == registry.host


def test_insecure_host_still_needs_a_valid_certificate() -> None:
    with RegistrySimulator(tls=True) as registry:
        settings = HostSettings(insecure=frozenset({registry.host}))
        with RegistryClient(settings) as client, pytest.raises(UnavailableError, match="certificate") as refused:
            session_of(client).manifest(repository_of(registry), "v1")
        assert type(refused.value) is UnavailableError
        assert registry.requests == []


def test_a_certificate_for_another_name_is_refused() -> None:
    names = Names({"registry.example.test": "127.0.0.1"})
    with RegistrySimulator(tls=True, host_name="registry.example.test") as registry:
        with client_for(registry, resolver=names) as client, pytest.raises(UnavailableError, match="certificate"):
            session_of(client).manifest(repository_of(registry), "v1")
        assert registry.requests == []


def test_certificate_is_checked_against_the_host_name() -> None:
    names = Names({"registry.example.test": "127.0.0.1"})
    host = "registry.example.test"
    with RegistrySimulator(tls=True, names=(host,), host_name=host) as registry:
        registry.push_image("team/app", "v1")
        with client_for(registry, resolver=names) as client:
            session_of(client).manifest(repository_of(registry), "v1")


def test_system_cas_count_if_none_are_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RegistrySimulator(tls=True) as registry:
        bundle = tmp_path / "bundle.pem"
        bundle.write_text(registry.ca_pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        registry.push_image("team/app", "v1")
        with RegistryClient(HostSettings(insecure=frozenset({registry.host}))) as client:
            session_of(client).manifest(repository_of(registry), "v1")


def test_configured_ca_replaces_the_system_cas() -> None:
    stranger = trustme.CA().cert_pem.bytes().decode()
    with RegistrySimulator(tls=True) as registry:
        client = client_for(registry, ca={registry.host: stranger})
        with client, pytest.raises(UnavailableError, match="certificate"):
            session_of(client).manifest(repository_of(registry), "v1")


def test_old_tls_is_refused() -> None:
    with RegistrySimulator(tls=True) as registry, client_for(registry) as client:
        assert registry.tls_context is not None
        with pytest.warns(DeprecationWarning, match="deprecated"):
            registry.tls_context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="deprecated"):
            registry.tls_context.maximum_version = ssl.TLSVersion.TLSv1_1
        registry.tls_context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(UnavailableError, match="no TLS"):
            session_of(client).manifest(repository_of(registry), "v1")
        assert registry.requests == []


def test_lack_of_tls_is_cached_until_a_failure() -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        for _ in range(2):
            session_of(client).manifest(repository_of(registry), "v1")
        registry.faults.status("manifests", 500, times=1)
        with pytest.raises(UnavailableError):
            session_of(client).manifest(repository_of(registry), "v1")
        session_of(client).manifest(repository_of(registry), "v1")
        assert len(registry.requests) == 4


def test_host_with_a_configured_ca_is_never_asked_over_plain_http() -> None:
    authority = trustme.CA().cert_pem.bytes().decode()
    with RegistrySimulator() as registry, client_for(registry, ca={registry.host: authority}) as client:
        with pytest.raises(UnavailableError, match="TLS"):
            session_of(client).manifest(repository_of(registry), "v1")
        assert registry.requests == []


def test_unlisted_host_is_never_asked_over_plain_http() -> None:
    with RegistrySimulator() as registry, RegistryClient() as client:
        services = client.services(Deadline.after(SystemClock(), 20))
        with pytest.raises(ForbiddenAddressError, match=r"listed as insecure \(--insecure-registry"):
            services.request("GET", f"{registry.url}/v2/")
        assert registry.requests == []


def test_silent_tls_handshake_does_not_fall_back_to_plain_http() -> None:
    with silent_server() as host, client_for(insecure=frozenset({host})) as client, pytest.raises(DeadlineError):
        session_of(client, seconds=0.2).manifest(Repository(host, "team/app"), "v1")


def test_host_that_ends_the_handshake_is_taken_as_one_without_tls() -> None:
    # What some builds of OpenSSL make of plain HTTP, too: an end without an error.
    close_notify = bytes.fromhex("15 0303 0002 0100")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(close_notify)

        thread = threading.Thread(target=answer)
        thread.start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        client = ServiceClient(HostSettings(insecure=frozenset({host})), clock=SystemClock())
        with client, pytest.raises(NotTLSError, match="breaks off the TLS handshake; if it is meant to be without TLS"):
            client.services(Deadline.after(SystemClock(), 20)).request("GET", f"https://{host}/")
        thread.join()


@pytest.mark.parametrize("pem", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "ä"])
def test_invalid_ca_bundle_is_found_at_the_start(pem: str) -> None:
    with pytest.raises(ConfigError, match="PEM"):
        RegistryClient(HostSettings(ca={"registry.example.org": pem}))


def test_service_may_have_its_own_ca() -> None:
    with RegistrySimulator(tls=True) as server, client_for(insecure=frozenset({server.host})) as client:
        services = client.services(Deadline.after(SystemClock(), 20))
        with pytest.raises(UnavailableError, match="certificate"):
            services.request("GET", f"{server.url}/v2/")
        assert services.request("GET", f"{server.url}/v2/", ca=server.ca_pem).status == 200
        with pytest.raises(UnavailableError, match="certificate"):
            services.request("GET", f"{server.url}/v2/")
        with pytest.raises(UnavailableError) as wrong:
            services.request("GET", f"{server.url}/v2/", ca="nonsense")
        assert wrong.value.reason is Reason.AUTHENTICATOR_NOT_READY


def test_failed_tls_server_is_retried_over_tls() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client).manifest(repository_of(registry), "v1")
        registry.faults.status("manifests", 400, times=1)
        with pytest.raises(UnavailableError, match="400"):
            session_of(client).manifest(repository_of(registry), "v1")
        assert not client.state.without_tls.holds(registry.host)
        session_of(client).manifest(repository_of(registry), "v1")
        assert client.state.without_tls.holds(registry.host)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("extra", [1, 10_000, 100_000])
def test_bytes_after_a_response_are_not_the_next_response(extra: int, *, tls: bool) -> None:
    with RegistrySimulator(tls=tls) as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        forged = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        registry.faults.raw(
            "blobs", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" + b"x" * extra + forged, times=1
        )
        with pytest.raises(UnavailableError):
            session_of(client).blob(repository_of(registry), digest, 10)
        assert session_of(client).manifest(repository_of(registry), "v1").digest == digest
