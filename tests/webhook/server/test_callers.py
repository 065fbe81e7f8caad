"""Client certificates on the webhook's port: permitted callers, and changes of the CA."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from sealgate import self_test
from sealgate.errors import ConfigError
from sealgate_webhook.server.callers import PermittedCallers
from sealgate_webhook.server.server import ServerSettings, check_tls
from sealgate_webhook.transport.addresses import Address
from sealgate_webhook.transport.callers import Caller
from sealgate_webhook.transport.client_certificates import ClientTrustFiles
from tests.support.builders.objects import authenticator
from tests.support.clocks import NOW, FakeClock
from tests.support.signers.client_certificates import ClientCA, client_context
from tests.support.signers.private_keys import new_key
from tests.webhook.environment import write_objects
from tests.webhook.objects import encode, pod, review
from tests.webhook.servers import PATIENCE_SECONDS, Server, TLSFiles, running
from tests.webhook.ways import BY_A_SERVER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.environment import WebhookEnvironment

NAME = "kube-apiserver"


class Callers:
    """A server that requires client certificates, and clients of it."""

    def __init__(self, server: Server, trust: str, ca: ClientCA, folder: Path) -> None:
        self.server = server
        self.trust = trust
        self.ca = ca
        self.folder = folder
        self.ca_file = folder / "client-ca.pem"

    def replace_ca(self, content: bytes) -> None:
        scratch = self.ca_file.with_suffix(".scratch")
        scratch.write_bytes(content)
        scratch.rename(self.ca_file)

    @contextlib.contextmanager
    def connect(
        self, certificate: Path | None, version: ssl.TLSVersion | None = None
    ) -> Iterator[http.client.HTTPSConnection]:
        """Open a connection that is kept for several requests."""
        context = client_context(self.trust, certificate)
        if version is not None:
            context.maximum_version = version
        connection = http.client.HTTPSConnection(*self.server.address, context=context, timeout=PATIENCE_SECONDS)
        try:
            yield connection
        finally:
            connection.close()

    def status(self, certificate: Path | None, **headers: str) -> int:
        """Send a review over a connection of its own and return the status."""
        with self.connect(certificate) as connection:
            return send(connection, **headers)[0]


def send(connection: http.client.HTTPSConnection, path: str = "/validate", **headers: str) -> tuple[int, bytes, bool]:
    """Send a review; return status, body, and whether the server closes the connection."""
    headers = {"Content-Type": "application/json", **headers}
    connection.request("POST", path, encode(review(pod("NOT AN IMAGE"))), headers)
    response = connection.getresponse()
    return response.status, response.read(), response.getheader("Connection") == "close"


@pytest.fixture
def callers(tmp_path: Path) -> Iterator[Callers]:
    tls = TLSFiles(tmp_path / "tls")
    ca = ClientCA()
    ca_file = tmp_path / "client-ca.pem"
    ca_file.write_bytes(ca.pem)
    settings: dict[str, Any] = {
        "policies": [str(write_objects(tmp_path / "policies", authenticator("release", new_key("ECDSA P-256"))))],
        "tls_cert": str(tls.certificate),
        "tls_key": str(tls.key),
        "client_ca": str(ca_file),
        "client_names": [NAME, "spiffe://cluster/api", "api@example.com", "apiserver.example.com"],
    }
    with running(settings, tls.trust) as server:
        server.wait_for_line("reviews served")
        yield Callers(server, tls.trust, ca, tmp_path)


def test_permitted_caller_is_answered_and_health_is_open(callers: Callers) -> None:
    with callers.connect(callers.ca.issue(callers.folder, NAME)) as connection:
        for _ in range(2):
            status, body, closes = send(connection)
            assert (status, closes) == (200, False)
            assert json.loads(body)["response"]["allowed"] is False
    assert callers.server.get("/healthz").status == 200
    assert callers.server.get("/readyz").status == 200
    assert "sealgate_unauthenticated_callers_allowed 0.0" in callers.server.metrics()


def test_a_subject_alternative_name_counts_like_the_common_name(callers: Callers) -> None:
    for alternative in (
        x509.UniformResourceIdentifier("spiffe://cluster/api"),
        x509.RFC822Name("api@example.com"),
        x509.DNSName("apiserver.example.com"),
    ):
        assert callers.status(callers.ca.issue(callers.folder, "other", alternatives=[alternative])) == 200


def test_refusal_has_a_reason_and_is_counted(callers: Callers) -> None:
    with callers.connect(callers.ca.issue(callers.folder, "kubelet\n")) as connection:
        status, body, _ = send(connection)
    assert status == 403
    assert body == (b"the client certificate is not permitted: no permitted name among its names (kubelet\\n)\n")
    line = callers.server.wait_for_line("forbidden review")
    assert line["endpoint"] == "validate"
    assert 'sealgate_admission_reviews_total{endpoint="validate",result="forbidden"} 1.0' in callers.server.metrics()


def test_intermediate_cas_may_be_sent_along_or_be_the_configured_one(callers: Callers) -> None:
    middle = ClientCA("middle", callers.ca)
    assert callers.status(middle.issue(callers.folder, NAME, chain=[middle])) == 200
    callers.replace_ca(middle.pem)
    assert callers.status(middle.issue(callers.folder, NAME)) == 200


def test_replaced_ca_is_used_without_a_restart(callers: Callers) -> None:
    old = callers.ca.issue(callers.folder, NAME)
    other = ClientCA("other")
    new = other.issue(callers.folder, NAME)
    assert callers.status(old) == 200
    callers.replace_ca(callers.ca.pem + other.pem)
    assert (callers.status(old), callers.status(new)) == (200, 200)
    callers.replace_ca(other.pem)
    assert callers.status(new) == 200
    assert is_refused(callers, old)


def test_open_connections_continue_while_their_ca_is_trusted(callers: Callers) -> None:
    with callers.connect(callers.ca.issue(callers.folder, NAME)) as connection:
        assert send(connection)[0] == 200
        callers.replace_ca(callers.ca.pem + ClientCA("other").pem)
        status, _, closes = send(connection)
        # Answered as before; the next request verifies the certificate again.
        assert (status, closes) == (200, True)


def test_open_connections_with_an_intermediate_ca_continue(callers: Callers) -> None:
    middle = ClientCA("middle", callers.ca)
    certificate = middle.issue(callers.folder, NAME, chain=[middle])
    with callers.connect(certificate) as connection:
        assert send(connection)[0] == 200
        callers.replace_ca(callers.ca.pem + ClientCA("other").pem)
        status, _, closes = send(connection)
        assert (status, closes) == (200, True)
        # The next connection: its CA is withdrawn.
        assert send(connection)[0] == 200
        callers.replace_ca(ClientCA("another").pem)
        status, _, closes = send(connection)
        assert (status, closes) == (403, True)


def test_a_bad_ca_file_leaves_the_last_good_one_in_force(callers: Callers) -> None:
    good = callers.ca.issue(callers.folder, NAME)
    malformed = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    for number, spoilt in enumerate((b"", b"nonsense", malformed), 1):
        callers.replace_ca(spoilt)
        assert callers.status(good) == 200
        callers.server.wait_for_line("client CA invalid; keeping the last valid one", number)
    assert is_refused(callers, ClientCA("other").issue(callers.folder, NAME))
    other = ClientCA("another")
    callers.replace_ca(other.pem)
    assert callers.status(other.issue(callers.folder, NAME)) == 200


@BY_A_SERVER
def test_generated_certificate_works_with_client_certificates(environment: WebhookEnvironment, tmp_path: Path) -> None:
    ca = ClientCA()
    ca_file = tmp_path / "client-ca.pem"
    ca_file.write_bytes(ca.pem)
    settings = {
        "policies": [str(environment.folder)],
        "tls_self_signed": True,
        "client_ca": str(ca_file),
        "client_names": [NAME],
    }
    with running(settings) as server:
        trust = ssl.get_server_certificate(server.address)
        callers = Callers(server, trust, ca, tmp_path)
        assert callers.status(ca.issue(tmp_path, NAME)) == 200
        assert callers.status(None) == 403
        other = ClientCA("other")
        callers.replace_ca(other.pem)
        assert callers.status(other.issue(tmp_path, NAME)) == 200


@BY_A_SERVER
def test_without_client_certificates_the_open_port_is_logged(environment: WebhookEnvironment) -> None:
    with running({"policies": [str(environment.folder)]}) as server:
        assert "sealgate_unauthenticated_callers_allowed 1.0" in server.metrics()


def test_caller_name_comes_only_from_the_wsgi_environment(environment: WebhookEnvironment) -> None:
    environment.callers = PermittedCallers([NAME], FakeClock())
    body = encode(review(pod("NOT AN IMAGE")))
    known = Caller(frozenset({NAME}), NOW, NOW, client_auth=True)
    assert environment.post("/validate", body, caller=known).status_code == 200
    assert environment.post("/validate", body).status_code == 403
    assert environment.get("/healthz").status_code == 200


@pytest.mark.parametrize("names", [[], [""], [NAME, " "]])
def test_caller_names_that_permit_none_or_all_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError, match="no name may be empty"):
        PermittedCallers(names, FakeClock())


def test_missing_ca_file_at_the_start_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        ClientTrustFiles(tmp_path / "absent", None, pytest.fail)
    huge = tmp_path / "huge"
    huge.write_bytes(b"\n" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="larger than the limit"):
        ClientTrustFiles(huge, None, pytest.fail)


def test_unusable_self_test_certificate_does_not_affect_reviews(tmp_path: Path) -> None:
    ca_file, self_test = tmp_path / "ca.pem", tmp_path / "self-test.pem"
    ca_file.write_bytes(ClientCA().pem)
    said: list[str] = []
    files = ClientTrustFiles(ca_file, self_test, said.append)
    assert files.current().self_test == frozenset()
    self_test.write_bytes(b"nonsense")
    assert len(files.current().cas) == 1
    assert files.current().self_test == frozenset()
    assert len(said) == 1
    self_test.write_bytes(ClientCA("self-test").pem)
    assert len(files.current().self_test) == 1


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"client_ca": "ca.pem"}, "belong together"),
        ({"client_names": frozenset({NAME})}, "belong together"),
        ({"client_ca": "ca.pem", "client_names": frozenset({NAME})}, "need TLS"),
    ],
)
def test_settings_with_unintended_permissions_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        check_tls(ServerSettings(Address("127.0.0.1", 0), **settings))


def is_refused(callers: Callers, certificate: Path) -> bool:
    """Return whether a review with a certificate fails in the handshake or with 403."""
    try:
        return callers.status(certificate) == 403
    except (ssl.SSLError, ConnectionError):
        return True


def test_the_self_test_is_always_refused_with_the_same_text(environment: WebhookEnvironment) -> None:
    for obj in (pod("NOT AN IMAGE"), pod(environment.sign("team/app", "v1")), None):
        response = json.loads(environment.post(self_test.PATH, encode(review(obj))).data)["response"]
        assert response["allowed"] is False
        assert response["status"]["message"] == self_test.TEXT
    assert environment.registry.requests == []
