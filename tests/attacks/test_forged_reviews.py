"""Attacks by callers that reach the webhook's port and are not the API server, over real TLS against the real process.

A forged review that is answered uses another tenant's pull secrets, reads digests and verdicts and writes Events.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealgate import self_test
from sealgate_operator.certificates.self_test import CERTIFICATE, KEY, TRUSTED, next_data
from sealgate_webhook.backends.cluster.policies import AUTHENTICATORS, POLICIES
from sealgate_webhook.server.callers import PermittedCallers
from sealgate_webhook.transport.callers import Caller
from tests.support.builders.objects import authenticator, policy
from tests.support.clocks import NOW, FakeClock
from tests.support.signers.client_certificates import CLIENT, DAY, SERVER, ClientCA, client_context
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.support.simulators.registry import RegistrySimulator
from tests.webhook.backends.cluster.test_serving import KEY as RELEASE_KEY
from tests.webhook.backends.cluster.test_serving import configuration, kubeconfig
from tests.webhook.objects import encode, pod, review
from tests.webhook.servers import PATIENCE_SECONDS, Server, TLSFiles, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "kube-apiserver"
ENDPOINTS = ("/validate", "/mutate", "/validate-policies", "/stamp-exceptions")
#: What an endpoint said to a connection that was closed in the handshake.
HANDSHAKE = (0, b"")


class Port:
    """The port of a webhook in a cluster that requires client certificates.

    Args:
        folder: for files.
        cluster: the API server that it watches.
        registry: where the images of its policies are.
    """

    def __init__(self, folder: Path, cluster: KubernetesSimulator, registry: RegistrySimulator) -> None:
        self.folder = folder
        self.cluster = cluster
        self.registry = registry
        self.ca = ClientCA()
        self.ca_file, self.self_test_file = folder / "client-ca.pem", folder / "self-test.pem"
        self.replace(self.ca_file, self.ca.pem)
        self.tls = TLSFiles(folder / "tls")
        self.server: Server

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        path = configuration(
            self.folder,
            self.registry,
            clientCa=str(self.ca_file),
            clientNames=[NAME],
            selfTestCertificate=str(self.self_test_file),
        )
        arguments = (
            *("sealgate_webhook", "--config", str(path)),
            *("--kubeconfig", str(kubeconfig(self.folder, self.cluster))),
        )
        with running({}, self.tls.trust, arguments) as self.server:
            self.server.wait_for_line("reviews served")
            self.server.wait_for_line("policies loaded")
            yield

    def replace(self, file: Path, content: bytes) -> None:
        scratch = file.with_suffix(".scratch")
        scratch.write_bytes(content)
        scratch.rename(file)

    def connect(self, certificate: Path | None, version: ssl.TLSVersion | None = None) -> http.client.HTTPSConnection:
        context = client_context(self.tls.trust, certificate)
        context.maximum_version = version or ssl.TLSVersion.TLSv1_3
        return http.client.HTTPSConnection(*self.server.address, context=context, timeout=PATIENCE_SECONDS)

    def forge(self, certificate: Path | None, *paths: str, **headers: str) -> set[tuple[int, bytes]]:
        """Post another tenant's pod to endpoints, each over a connection of its own; return what came back."""
        return {self._forge(certificate, path, headers) for path in paths or ENDPOINTS}

    def _forge(self, certificate: Path | None, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        with contextlib.closing(self.connect(certificate)) as connection:
            try:
                return post(connection, self.document, path, **headers)
            except (ssl.SSLError, ConnectionError):
                return HANDSHAKE

    @property
    def document(self) -> bytes:
        """The review of a pod of tenant `bank` that pulls with a secret of that namespace."""
        obj = pod(f"{self.registry.host}/bank/app:v1")
        obj["spec"]["imagePullSecrets"] = [{"name": "pull"}]
        return encode(review(obj, namespace="bank"))

    def nothing_was_done(self) -> bool:
        """Whether no Secret was read, no registry asked and no Event written."""
        asked = [request.path for request in self.cluster.requests if "/secrets" in request.path]
        return not asked and not self.registry.requests and not self.cluster.find("events")


def post(
    connection: http.client.HTTPSConnection, body: bytes, path: str = "/validate", **headers: str
) -> tuple[int, bytes]:
    connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    return response.status, response.read()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    with KubernetesSimulator() as cluster, RegistrySimulator() as registry:
        cluster.put("/api/v1/namespaces", {"metadata": {"name": "bank"}})
        cluster.put(AUTHENTICATORS, authenticator("release", RELEASE_KEY))
        cluster.put(POLICIES, policy("all", f"{registry.host}/**"))
        registry.push_image("bank/app", "v1")
        port = Port(tmp_path, cluster, registry)
        with port.serving():
            yield port


def test_attack_49_caller_needs_a_permitted_certificate(port: Port) -> None:
    ca, folder = port.ca, port.folder
    assert port.forge(None) == {
        (403, b"reviews need a client certificate of a permitted caller, and this connection has none\n")
    }
    # Certificates that do not verify end the handshake.
    assert port.forge(ClientCA("other").issue(folder, NAME)) == {HANDSHAKE}
    assert port.forge(ClientCA().issue(folder, NAME)) == {HANDSHAKE}  # a CA of the same name
    assert port.forge(ca.issue(folder, NAME, ends=-DAY)) == {HANDSHAKE}
    assert port.forge(ca.issue(folder, NAME, usages=[SERVER])) == {HANDSHAKE}
    leaf = ca.issue(folder, NAME)
    assert port.forge(leaf_as_ca(ca, folder)) == {HANDSHAKE}
    # Others verify, and their names or usages are not those of the API server.
    for certificate in (
        ca.issue(folder, "system:node:node-1"),
        ca.issue(folder),
        ca.issue(folder, NAME.upper()),
        ca.issue(folder, f"{NAME} "),
        ca.issue(folder, f"{NAME}\0.attacker.example"),
        ca.issue(folder, f"{NAME}.attacker.example"),
        ca.issue(folder, "attacker", NAME),
        ca.issue(folder, "attacker", alternatives=[x509.DNSName("*"), x509.DNSName(f"{NAME}.attacker.example")]),
        ca.issue(folder, "attacker", alternatives=[x509.DirectoryName(x509.Name([]))]),
    ):
        ((status, body),) = port.forge(certificate, "/validate")
        assert status == 403
        assert b"no permitted name" in body
    for usages in ([], [ExtendedKeyUsageOID.CODE_SIGNING, SERVER], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]):
        ((status, body),) = port.forge(ca.issue(folder, NAME, usages=usages), "/validate")
        assert (status, body) == HANDSHAKE or (status == 403 and b"clientAuth" in body)
    assert port.nothing_was_done()
    # What a permitted caller gets, so that nothing above was refused for another reason.
    ((status, body),) = port.forge(leaf, "/validate")
    assert status == 200
    assert b"NoSignature" in body
    assert not port.nothing_was_done()


def test_attack_49_headers_and_methods_name_no_caller(port: Port) -> None:
    claims = {
        "X-Forwarded-Client-Cert": f"Subject=CN={NAME}",
        "X-SSL-Client-S-DN": f"CN={NAME}",
        "SSL-Client-Verify": "SUCCESS",
        "Sealgate.Caller": NAME,
        "sealgate.caller": NAME,
        "X-Remote-User": NAME,
    }
    refused = {(403, b"reviews need a client certificate of a permitted caller, and this connection has none\n")}
    assert port.forge(None, **claims) == refused
    with contextlib.closing(port.connect(None)) as connection:
        # Refused before anything is said about the request, and before its body is there.
        connection.putrequest("PUT", "/validate")
        connection.putheader("Content-Length", "1000")
        connection.endheaders()
        assert connection.getresponse().status == 403
    with contextlib.closing(port.connect(None)) as connection:
        connection.request("GET", "/readyz")
        assert connection.getresponse().status in {200, 503}
    assert port.nothing_was_done()


def test_attack_49_self_test_certificate_allows_only_self_tests(port: Port) -> None:
    certificate = self_test_certificate(port)
    assert port.forge(certificate) == {(403, b"the certificate of the self-test is good for the self-test only\n")}
    ((status, body),) = port.forge(certificate, self_test.PATH)
    assert status == 200
    assert json.loads(body)["response"]["allowed"] is False
    assert port.forge(None, self_test.PATH).pop()[0] == 403
    assert port.nothing_was_done()


def test_attack_49_an_identity_does_not_outlive_its_ca(port: Port) -> None:
    old = port.ca.issue(port.folder, NAME)
    with contextlib.closing(port.connect(old)) as kept, contextlib.closing(port.connect(old)) as idle:
        for connection in (kept, idle):
            assert post(connection, port.document)[0] == 200
        port.replace(port.ca_file, ClientCA("other").pem)
        # The open connections are good for nothing any more, from the next request on.
        for connection in (kept, idle):
            status, body = post(connection, port.document)
            assert status == 403
            assert b"this connection has none" in body
    assert port.forge(old) == {HANDSHAKE}


def test_attack_49_no_session_is_resumed(port: Port) -> None:
    """A resumed session would take over the identity of the first without verifying it again."""
    certificate = port.ca.issue(port.folder, NAME)
    context = client_context(port.tls.trust, certificate)
    first, session = shake_hands(port, context, None)
    assert first is False
    resumed, _ = shake_hands(port, context, session)
    port.replace(port.ca_file, port.ca.pem)
    after, _ = shake_hands(port, context, session)
    assert (resumed, after) == (False, False)
    # TLS 1.2 could resume sessions by their IDs.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        shake_hands(port, context, None)


def test_attack_49_expired_certificate_is_refused_mid_connection() -> None:
    clock = FakeClock()
    callers = PermittedCallers([NAME], clock)
    caller = Caller(frozenset({NAME}), NOW - timedelta(hours=1), NOW + timedelta(hours=1), client_auth=True)
    assert callers.refusal(caller) == ""
    clock.advance(3601)
    assert "validity period" in callers.refusal(caller)


def shake_hands(
    port: Port, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bool | None, ssl.SSLSession | None]:
    """Send a request over a session; return whether the server resumed it, and the session for the next."""
    with (
        socket.create_connection(port.server.address, PATIENCE_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as client,
    ):
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        return client.session_reused, client.session


def leaf_as_ca(ca: ClientCA, folder: Path) -> Path:
    """Return a certificate that was issued by a leaf of the CA."""
    middle = ClientCA("leaf", ca)
    leaf = x509.load_pem_x509_certificate(ca.issue(folder, "leaf").read_bytes())
    middle.certificate = leaf
    return middle.issue(folder, NAME, chain=[middle], usages=[CLIENT])


def self_test_certificate(port: Port) -> Path:
    """Have the operator's certificate trusted by the webhook, and return it with its key."""
    data = next_data({}, datetime.now(UTC))
    assert data is not None
    port.replace(port.self_test_file, data[TRUSTED])
    path = port.folder / "self-test-pair.pem"
    path.write_bytes(data[CERTIFICATE] + data[KEY])
    return path
