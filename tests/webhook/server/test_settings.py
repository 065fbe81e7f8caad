"""Settings of `serve`: accepted, refused, and their defaults."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import SystemClock
from sealgate.errors import ConfigError, PolicyError
from sealgate.http.settings import HostSettings
from sealgate.kms.key_cache import KMSKeyCache
from sealgate.policies.decisions import UnmatchedImages
from sealgate.registry.credentials import NoCredentials
from sealgate_webhook.backends.files.backend import files_backend
from sealgate_webhook.server.server import ServerSettings, check_tls, run_server
from sealgate_webhook.transport.addresses import Address
from tests.support.builders.objects import policy
from tests.webhook.environment import write_objects

if TYPE_CHECKING:
    from sealgate_webhook.backends.interface import BackendFactory
    from tests.webhook.environment import WebhookEnvironment

SETTINGS = ServerSettings(listen=Address("127.0.0.1", 0))
EVERYWHERE = Address("0.0.0.0", 8443)  # noqa: S104 - the case that matters


def policies_in(folder: Path) -> BackendFactory:
    return files_backend([folder], UnmatchedImages.ADMIT, NoCredentials(), KMSKeyCache(HostSettings(), SystemClock()))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8443", "127.0.0.1", 8443),
        ("localhost:0", "localhost", 0),
        (":8443", "0.0.0.0", 8443),  # noqa: S104 - as people write it
        ("[::1]:8443", "::1", 8443),
        ("[::]:65535", "::", 65535),
        ("webhook.example.com:443", "webhook.example.com", 443),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize("address", [Address("127.0.0.1", 1), Address("::1", 2), Address("localhost", 3)])
def test_addresses_are_written_as_they_are_read(address: Address) -> None:
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "8443", "localhost", "localhost:", "localhost:http", "::1:8443", "a:70000", "a:-1"]
)
def test_other_texts_are_no_addresses(text: str) -> None:
    with pytest.raises(ConfigError, match="write HOST:PORT"):
        Address.parse(text)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"listen": Address("::1", 8080)},
        {"listen": Address("localhost", 8080)},
        {"listen": EVERYWHERE, "tls_self_signed": True},
        {"listen": EVERYWHERE, "tls_cert": Path("c"), "tls_key": Path("k")},
    ],
)
def test_tls_or_loopback(changes: dict[str, Any]) -> None:
    check_tls(replace(SETTINGS, **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"listen": EVERYWHERE}, "without a certificate the webhook listens on loopback only"),
        ({"listen": Address("10.0.0.1", 8443)}, "loopback only"),
        ({"tls_cert": Path("c")}, "a certificate needs its key"),
        ({"tls_key": Path("k")}, "a certificate needs its key"),
        ({"tls_cert": Path("c"), "tls_key": Path("k"), "tls_self_signed": True}, "not both"),
    ],
)
def test_neither_is_a_mistake_in_the_configuration(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run_server(replace(SETTINGS, **changes), policies_in(Path("policies")))


def test_invalid_policies_are_reported_before_serving(tmp_path: Path) -> None:
    write_objects(tmp_path / "policies", policy("a", "{a", authenticators=("absent",)))
    with pytest.raises(PolicyError) as caught:
        run_server(SETTINGS, policies_in(tmp_path / "policies"))
    assert caught.value.problems


def test_missing_certificate_is_reported_before_serving(environment: WebhookEnvironment, tmp_path: Path) -> None:
    settings = replace(SETTINGS, tls_cert=tmp_path / "tls.crt", tls_key=tmp_path / "tls.key")
    with pytest.raises(ConfigError, match=r"tls\.crt"):
        run_server(settings, policies_in(environment.folder))


def test_bad_registry_ca_is_reported_before_serving(environment: WebhookEnvironment) -> None:
    registry = HostSettings(ca={"registry.example.com": "nonsense"})
    with pytest.raises(ConfigError, match="a CA bundle does not parse"):
        run_server(replace(SETTINGS, registry=registry), policies_in(environment.folder))


@pytest.mark.parametrize("field", ["listen", "metrics"])
def test_occupied_port_is_reported_in_one_sentence(environment: WebhookEnvironment, field: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(*taken.getsockname())
        changes: dict[str, Any] = {field: address}
        with pytest.raises(ConfigError, match=f"cannot listen on {address}: "):
            run_server(replace(SETTINGS, **changes), policies_in(environment.folder))


def test_invalid_host_is_reported_in_one_sentence(environment: WebhookEnvironment) -> None:
    settings = replace(SETTINGS, listen=Address("no.such.host.invalid", 1), tls_self_signed=True)
    with pytest.raises(ConfigError, match=r"cannot listen on no\.such\.host\.invalid:1"):
        run_server(settings, policies_in(environment.folder))
