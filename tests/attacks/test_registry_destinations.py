"""Requests that foreign text sends where none may go, and credentials that it tries to draw there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import ForbiddenAddressError, InvalidReferenceError, SealgateError, UnavailableError
from sealgate.references import Digest, Repository
from sealgate.registry.client import RegistryClient
from tests.support.environments.registry_clients import (
    Names,
    client_for,
    docker_config,
    login,
    repository_of,
    session_of,
)
from tests.support.simulators.registry import RegistrySimulator, digest_of
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Sequence

USERS = {"robot": "s3cret"}
NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[::]",
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
    "224.0.0.1",
    "255.255.255.255",
]
NEVER_SPELT_ODDLY = [
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "0:443",
    "2852039166",
    "0xa9fea9fe:8443",
    "0xa9.0xfe.0xa9.0xfe",
    "169.16689662",
    "0251.0376.0251.0376",
]
LOOPBACK = ["127.0.0.1", "127.0.0.2:5000", "localhost", "[::1]"]
LOOPBACK_SPELT_ODDLY = ["127.1", "2130706433:80", "0x7f.1", "0x7f000001", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]


@pytest.mark.parametrize("host", NEVER)
def test_attack_37_metadata_and_link_local_addresses_are_refused(host: str) -> None:
    with client_for(insecure=frozenset({host}), private=frozenset({host})) as client:
        with pytest.raises(ForbiddenAddressError):
            session_of(client, literal=frozenset({host})).manifest(Repository(host, "team/app"), "v1")
        for scheme in ("https", "http"):
            with pytest.raises(ForbiddenAddressError):
                client.services(Deadline.after(SystemClock(), 60)).request(
                    "GET", f"{scheme}://{host}/latest/meta-data/"
                )


@pytest.mark.parametrize("host", LOOPBACK)
def test_attack_37_loopback_addresses_are_refused_unless_listed(host: str) -> None:
    with RegistryClient() as client, pytest.raises(ForbiddenAddressError, match="insecure"):
        session_of(client, literal=frozenset({host})).manifest(Repository(host, "team/app"), "v1")


@pytest.mark.parametrize("host", NEVER_SPELT_ODDLY + LOOPBACK_SPELT_ODDLY)
def test_attack_37_odd_spellings_of_addresses_are_no_way_around(host: str) -> None:
    with RegistryClient() as client:
        with pytest.raises((ForbiddenAddressError, InvalidReferenceError)):
            session_of(client, literal=frozenset({host})).manifest(Repository(host, "team/app"), "v1")
        with pytest.raises(ForbiddenAddressError):
            client.services(Deadline.after(SystemClock(), 60)).request("GET", f"https://{host}/")


@pytest.mark.parametrize("host", NEVER_SPELT_ODDLY + LOOPBACK_SPELT_ODDLY)
def test_attack_37_a_redirect_to_an_odd_spelling_is_no_way_around(host: str) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.redirect("blobs", f"https://{host}/")
        with pytest.raises(ForbiddenAddressError):
            session_of(client).blob(repository_of(registry), digest_of(b"x"), 10)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1"]
)
def test_attack_37_private_addresses_need_a_named_host(address: str) -> None:
    host = "registry.example.test"
    with RegistryClient(resolver=Names({host: address})) as client:
        with pytest.raises(ForbiddenAddressError, match="literally"):
            session_of(client).manifest(Repository(host, "team/app"), "v1")
        with pytest.raises(ForbiddenAddressError, match="literally"):
            session_of(client, literal=frozenset({f"{host}:5000"})).manifest(Repository(host, "team/app"), "v1")


def test_attack_37_private_address_of_a_named_host_is_tried() -> None:
    host = "registry.example.test"
    # An address kept for documentation: not on the internet, and nothing responds there.
    with RegistryClient(resolver=Names({host: "192.0.2.1"})) as client:
        with pytest.raises(ForbiddenAddressError, match="literally"):
            session_of(client).manifest(Repository(host, "team/app"), "v1")
        with pytest.raises(UnavailableError) as tried:
            session_of(client, seconds=0.05, literal=frozenset({host})).manifest(Repository(host, "team/app"), "v1")
        assert not isinstance(tried.value, ForbiddenAddressError)


@pytest.mark.parametrize("answers", ["169.254.169.254", "1.1.1.1 169.254.169.254", "10.0.0.1 1.1.1.1", "127.0.0.1"])
def test_attack_37_every_resolved_address_is_checked(answers: str) -> None:
    host = "good.example.test"
    with RegistryClient(resolver=Names({host: answers})) as client, pytest.raises(ForbiddenAddressError):
        session_of(client).manifest(Repository(host, "team/app"), "v1")


def test_attack_37_changing_name_is_checked_for_each_connection() -> None:
    host = "rebinding.example.test"
    names = Names({host: ["127.0.0.1", "169.254.169.254"]})
    with RegistrySimulator(host_name=host) as registry:
        registry.push_image("team/app", "v1")
        with client_for(registry, resolver=names) as client, pytest.raises(ForbiddenAddressError):
            # TLS is tried, then plain HTTP: one lookup for each connection, and the second answer is bad.
            session_of(client).manifest(repository_of(registry), "v1")
        assert names.asked == [host, host]
        assert registry.requests == []


def _forbidden_targets(other: RegistrySimulator) -> Sequence[str]:
    return [
        "https://169.254.169.254/latest/meta-data/iam/",
        "http://169.254.169.254/latest/meta-data/iam/",
        "http://metadata.example.test/",
        "https://internal.example.test/",
        f"{other.url}/v2/",
        f"https://{other.host}/v2/",
        "http://registry.example.org/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
    ]


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("via", ["blobs", "manifests", "realm", "realm redirect"])
def test_attack_37_redirects_and_realms_are_checked_like_hosts(number: int, via: str) -> None:
    names = Names({"metadata.example.test": "169.254.169.254", "internal.example.test": "10.0.0.1"})
    with RegistrySimulator() as registry, RegistrySimulator() as other:
        names._answers["registry.example.org"] = ["1.1.1.1"]
        target = _forbidden_targets(other)[number]
        if via == "realm":
            registry.auth = Auth("bearer", users=USERS, realm=target)
        elif via == "realm redirect":
            registry.auth = Auth("bearer", users=USERS)
            registry.faults.redirect("/token", target)
        else:
            registry.faults.redirect(via, target)
        with client_for(registry, resolver=_Both(names)) as client:
            session = session_of(client, login(registry))
            read = {"blobs": lambda: session.blob(repository_of(registry), digest_of(b"x"), 10)}
            with pytest.raises(UnavailableError):
                read.get(via, lambda: session.manifest(repository_of(registry), "v1"))()
        assert other.requests == []


class _Both:
    """Resolve addresses to themselves and names to given addresses."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def resolve(self, host: str, deadline: Deadline) -> tuple[str, ...]:
        return (host,) if host[0].isdigit() else self._names.resolve(host, deadline)


def test_attack_37_from_https_nothing_leads_to_http() -> None:
    with RegistrySimulator(tls=True) as registry, RegistrySimulator() as other:
        digest = registry.push_blob("team/app", b"x")
        registry.faults.redirect("blobs", f"{other.url}/v2/team/app/blobs/{digest}")
        with client_for(registry) as client, pytest.raises(ForbiddenAddressError):
            session_of(client).blob(repository_of(registry), digest, 10)
        assert other.requests == []


def test_attack_37_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    netrc = f"{tmp_path}/netrc"
    with RegistrySimulator() as registry, RegistrySimulator() as proxy, client_for(registry) as client:
        with open(netrc, "w", encoding="ascii") as file:  # noqa: PTH123 - a path in text is what the variable holds
            file.write("default login robot password s3cret\n")
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NETRC", netrc)
        registry.push_image("team/app", "v1")
        session_of(client).manifest(repository_of(registry), "v1")
        assert proxy.requests == []
        assert "authorization" not in registry.requests[0].headers


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_attack_38_credentials_stay_with_their_registry(mode: str) -> None:
    with (
        RegistrySimulator(auth=Auth(mode, users=USERS)) as registry,
        RegistrySimulator() as storage,
        client_for(registry, storage) as client,
    ):
        digest = registry.push_blob("team/app", b"x")
        storage.push_blob("team/app", b"x")
        session_of(client, login(registry)).blob(repository_of(registry), digest, 10)
        registry.faults.redirect("blobs", f"{storage.url}/v2/team/app/blobs/{digest}")
        session_of(client, login(registry)).blob(repository_of(registry), digest, 10)
        assert "authorization" in registry.requests[-1].headers
        assert [("authorization" in r.headers, "cookie" in r.headers) for r in storage.requests] == [(False, False)]


def test_attack_38_credentials_do_not_come_back_after_a_detour() -> None:
    with (
        RegistrySimulator(auth=Auth("basic", users=USERS)) as registry,
        RegistrySimulator() as elsewhere,
        client_for(registry, elsewhere) as client,
    ):
        registry.push_image("team/app", "v1")
        session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        registry.faults.redirect("manifests/v2", f"{elsewhere.url}/back")
        elsewhere.faults.redirect("/back", f"{registry.url}/v2/team/app/manifests/v1")
        with pytest.raises(UnavailableError):
            session_of(client, login(registry)).manifest(repository_of(registry), "v2")
        detour = [request for request in registry.requests if request.path.endswith("v2")]
        assert "authorization" in detour[0].headers
        after = registry.requests[registry.requests.index(detour[0]) + 1]
        assert "authorization" not in after.headers
        assert "authorization" not in elsewhere.requests[0].headers


def test_attack_38_credentials_go_only_to_their_own_host() -> None:
    with RegistrySimulator(auth=Auth("basic")) as evil, client_for(evil) as client:
        host, _, port = evil.host.partition(":")
        keys = (host, f"{host}:{int(port) + 1}", f"{host}.example.org:{port}", f"{evil.host}/other", "docker.io")
        config = docker_config({key: {"username": "robot", "password": "s3cret"} for key in keys})
        with pytest.raises(UnavailableError):
            session_of(client, config).manifest(repository_of(evil), "v1")
        assert all("authorization" not in request.headers for request in evil.requests)


def test_attack_38_password_is_not_sent_to_a_realm_in_clear_text() -> None:
    with RegistrySimulator(tls=True) as registry, RegistrySimulator() as listener:
        registry.auth = Auth("bearer", users=USERS, realm=f"{listener.url}/token")
        with client_for(registry) as client, pytest.raises(ForbiddenAddressError, match="plain HTTP"):
            session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        assert listener.requests == []


def test_attack_38_token_is_not_sent_to_another_registry() -> None:
    with RegistrySimulator() as good, RegistrySimulator() as evil, client_for(good, evil) as client:
        good.auth = Auth("bearer", anonymous=True, service="shared")
        evil.auth = Auth("bearer", service="shared", realm=f"{good.url}/token")
        good.push_image("team/app", "v1")
        session_of(client).manifest(repository_of(good), "v1")
        token = good.requests[-1].headers["authorization"]
        with pytest.raises(UnavailableError):
            session_of(client).manifest(repository_of(evil), "v1")
        assert token not in {request.headers.get("authorization") for request in evil.requests}


def test_attack_38_token_of_one_account_does_not_serve_another() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        for other in (login(registry, password="guess"), login(registry, username="Robot"), None):
            with pytest.raises(UnavailableError):
                session_of(client, other).manifest(repository_of(registry), "v1")


def test_attack_38_token_for_one_repository_serves_no_other() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        for path in ("team/app", "team/other"):
            registry.push_image(path, "v1")
            session_of(client, login(registry)).manifest(repository_of(registry, path), "v1")
        sent = {
            request.path: request.headers["authorization"]
            for request in registry.requests
            if request.headers.get("authorization", "").startswith("Bearer")
        }
        assert len(set(sent.values())) == 2


def test_attack_38_secrets_do_not_enter_messages() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        for status in (400, 401, 403, 404, 500):
            registry.faults.clear()
            registry.faults.answer("/token", status, {}, b"robot:hunter2")
            with pytest.raises(SealgateError) as failed:
                session_of(client, login(registry, password="hunter2")).manifest(repository_of(registry), "v1")
            assert "hunter2" not in str(failed.value)
            assert "aHVudGVyMg" not in str(failed.value)


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "team/../other",
        "team/./app",
        "team//app",
        "/team",
        "team/",
        "team%2f..%2fother",
        "team/app?x=y",
        "team/app#x",
        "team/app/manifests/v1@x",
        "team\\app",
        "team/app\r\nHost: evil",
        "Team/app",
        "téam/app",
        "",
        "..",
    ],
)
def test_attack_39_a_repository_that_is_none_reaches_no_server(path: str) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        session, repository = session_of(client), repository_of(registry, path)
        with pytest.raises(InvalidReferenceError):
            session.manifest(repository, "v1")
        with pytest.raises(InvalidReferenceError):
            session.blob(repository, digest_of(b"x"), 10)
        with pytest.raises(InvalidReferenceError):
            session.referrers(repository, digest_of(b"x"), 10)
        assert registry.requests == []


@pytest.mark.parametrize(
    "host", ["a.example.org/x", "user@a.example.org", "a.example.org:x", "A.example.org", "", "a b.c"]
)
def test_attack_39_a_registry_that_is_none_reaches_no_server(host: str) -> None:
    names = Names({})
    with client_for(resolver=names) as client, pytest.raises(InvalidReferenceError):
        session_of(client).manifest(Repository(host, "team/app"), "v1")
    assert names.asked == []


@pytest.mark.parametrize(
    "reference",
    [
        "",
        ".",
        "..",
        "../v1",
        "v1/../../blobs",
        "v1?x=y",
        "v1#x",
        "v1%2f",
        "v1 ",
        "v1\n",
        "-v1",
        "x" * 129,
        "sha256:../../x",
        "sha256:" + "0" * 63,
        "sha256:" + "0" * 65,
        "SHA256:" + "0" * 64,
        "sha256:" + "A" * 64,
        "md5:" + "0" * 32,
        "sha512:" + "0" * 128,
    ],
)
def test_attack_39_a_tag_or_digest_that_is_none_reaches_no_server(reference: str) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        session, repository = session_of(client), repository_of(registry)
        with pytest.raises(InvalidReferenceError):
            session.manifest(repository, reference)
        with pytest.raises(InvalidReferenceError):
            session.blob(repository, Digest(reference), 10)
        with pytest.raises(InvalidReferenceError):
            session.referrers(repository, Digest(reference), 10)
        assert registry.requests == []
