"""Azure Container Registry: a workload identity, exchanged for a refresh token of the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import ConfigError, UnavailableError
from sealgate.pull_credentials.opening import open_provider
from sealgate.pull_credentials.settings import PlatformCredentials
from sealgate.references import Repository
from tests.support.clocks import FakeClock
from tests.support.environments.pull_credentials import Results, RoutedServices
from tests.support.simulators.azure_acr import CLIENT, REGISTRY, TENANT, ACRSimulator
from tests.support.simulators.http_messages import RecordedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.registry.credentials import Credentials

LOGIN, ACR = "https://login.microsoftonline.com", f"https://{REGISTRY}"
RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data" / "azure" / "acr.json").read_text())[
    "requests"
]


class Environment:
    """Entra ID and a registry at their addresses, and a process with a workload identity."""

    def __init__(self, folder: Path, acr: ACRSimulator, clock: FakeClock, services: RoutedServices) -> None:
        token = folder / "token"
        token.write_text(acr.federated_token)
        self.environ = {
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_FEDERATED_TOKEN_FILE": str(token),
        }
        self.acr, self.clock, self.services = acr, clock, services

    def credentials(self, host: str = REGISTRY, **environ: str) -> Credentials:
        entries = (PlatformCredentials(provider="azure", hosts=(host,)),)
        given = {**self.environ, **environ}
        provider = open_provider(entries, self.services, self.clock, Results(), given)
        (candidate,) = provider.candidates(Repository(host, "web"))
        return candidate.credentials

    def obtain(self, host: str = REGISTRY, **environ: str) -> Credentials:
        return self.credentials(host, **environ).obtain(Deadline.after(self.clock, 30))


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Environment]:
    clock = FakeClock()
    with ACRSimulator(clock=clock) as acr, RoutedServices({LOGIN: acr, ACR: acr}, clock) as services:
        yield Environment(tmp_path, acr, clock, services)


def test_workload_identity_is_exchanged_for_a_refresh_token(azure: Environment) -> None:
    found = azure.obtain()
    assert (found.username, found.password, found.identity_token) == ("", "", azure.acr.issue())
    assert azure.services.asked == [LOGIN, ACR]


def test_refresh_token_is_used_until_its_own_end(azure: Environment) -> None:
    credentials = azure.credentials()
    first = credentials.obtain(Deadline.after(azure.clock, 30))
    azure.clock.advance(2 * 3600)
    assert credentials.obtain(Deadline.after(azure.clock, 30)).identity_token == first.identity_token
    azure.clock.advance(3600)
    assert credentials.obtain(Deadline.after(azure.clock, 30)).identity_token != first.identity_token


def test_token_of_entra_goes_to_the_listed_registry_alone(azure: Environment) -> None:
    azure.acr.faults.redirect("exchange", "https://evil.example/oauth2/exchange", status=307)
    with pytest.raises(UnavailableError, match="Azure Container Registry answers 307"):
        azure.obtain()
    assert azure.services.asked == [LOGIN, ACR]


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("shop1.azurecr.cn", "https://login.chinacloudapi.cn"),
        ("shop1.azurecr.us", "https://login.microsoftonline.us"),
        ("shop1-a1b2c3d4.azurecr.io", LOGIN),
    ],
)
def test_tokens_are_issued_by_the_registrys_cloud(azure: Environment, host: str, asked: str) -> None:
    with pytest.raises(UnavailableError):
        azure.obtain(host)
    assert azure.services.asked[0] == asked


@pytest.mark.parametrize(
    "host",
    ["azurecr.io", "shop1.azurecr.io.evil.example", "a.b.azurecr.io", "mcr.microsoft.com", "shop1.azurecr.io:444"],
)
def test_other_hosts_are_refused_at_the_start(azure: Environment, host: str) -> None:
    with pytest.raises(ConfigError, match=r"is not NAME\.azurecr\.io"):
        azure.credentials(host)


def test_process_without_an_identity_says_what_to_do(azure: Environment) -> None:
    with pytest.raises(UnavailableError, match=r"no identity .*AZURE_CLIENT_ID.*; annotate its ServiceAccount"):
        azure.obtain(AZURE_CLIENT_ID="")


def test_refusals_name_the_identity_and_what_it_needs(azure: Environment) -> None:
    azure.acr.federated_token = "another"  # noqa: S105 - of the simulator
    with pytest.raises(UnavailableError, match="Microsoft Entra ID answers 401") as caught:
        azure.obtain()
    assert f"the workload identity {CLIENT} for Azure" in caught.value.message
    assert "the role AcrPull on the registry" in caught.value.message


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("opaque", "refresh_token is not a JWT"),
        ("a.b.c", "refresh_token is not a JWT"),
        ("a.e30.c", "refresh_token has no end"),
        ("a.eyJleHAiOnRydWV9.c", "refresh_token has no end"),
        ("a.eyJleHAiOjF9.c", "a secret that has expired"),
    ],
)
def test_refresh_token_without_a_good_end_is_refused(azure: Environment, token: str, says: str) -> None:
    azure.acr.refresh_token = token
    with pytest.raises(UnavailableError, match=says) as caught:
        azure.obtain()
    assert token not in caught.value.message.replace("a secret", "")


def test_requests_of_the_sdk_are_those_of_sealgate(azure: Environment) -> None:
    azure.obtain()
    for ours, sdk in zip(azure.acr.requests, RECORDED[:2], strict=True):
        url = urlsplit(sdk["url"])
        assert (ours.method, ours.path, list(ours.query)) == (sdk["method"], url.path, parse_qsl(url.query))
        assert ours.headers["content-type"] == sdk["headers"]["content-type"]
        form = [(name, "entra-0" if value == "entra" else value) for name, value in parse_qsl(sdk["body"])]
        assert sorted(parse_qsl(ours.body.decode())) == sorted(form)


def test_simulator_accepts_the_requests_of_the_sdk() -> None:
    with ACRSimulator() as simulator:
        simulator.tokens.append("entra")
        for sdk in RECORDED[:2]:
            url = urlsplit(sdk["url"])
            query = tuple(parse_qsl(url.query))
            request = RecordedRequest(sdk["method"], url.path, query, sdk["headers"], sdk["body"].encode(), 1)
            assert simulator.respond(request).status == 200
