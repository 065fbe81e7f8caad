"""Oracle Cloud Infrastructure Registry: the workload identity of OKE, exchanged for a token of the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import ConfigError, UnavailableError
from sealgate.pull_credentials.opening import open_provider
from sealgate.pull_credentials.providers.oracle import open_login
from sealgate.pull_credentials.settings import PlatformCredentials
from sealgate.references import Repository
from tests.support.clocks import FakeClock
from tests.support.environments.pull_credentials import Results, RoutedServices
from tests.support.simulators.http_messages import RecordedRequest
from tests.support.simulators.oke_workload import API_SERVER, REGISTRY, OKEWorkloadSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.registry.credentials import Credentials

OKE, OCIR = f"https://{API_SERVER}:12250", f"https://{REGISTRY}"
RECORDED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "oracle" / "workload.json").read_text()
)["requests"]


class Environment:
    """OKE and a registry at their addresses, and a process in a pod."""

    def __init__(self, folder: Path, oracle: OKEWorkloadSimulator, clock: FakeClock, services: RoutedServices) -> None:
        self.token, self.ca = folder / "token", folder / "ca.crt"
        self.token.write_text(oracle.token)
        self.ca.write_text("the simulator has no TLS")
        self.environ = {
            "KUBERNETES_SERVICE_HOST": API_SERVER,
            "OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH": str(self.ca),
        }
        self.oracle, self.clock, self.services = oracle, clock, services

    def credentials(self, host: str = REGISTRY, **environ: str) -> Credentials:
        entry = PlatformCredentials(provider="oracle", hosts=(host,), tokenFile=str(self.token))
        provider = open_provider((entry,), self.services, self.clock, Results(), {**self.environ, **environ})
        (candidate,) = provider.candidates(Repository(host, "shop/web"))
        return candidate.credentials

    def obtain(self, host: str = REGISTRY, **environ: str) -> Credentials:
        return self.credentials(host, **environ).obtain(Deadline.after(self.clock, 30))


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[Environment]:
    clock = FakeClock()
    with OKEWorkloadSimulator() as simulator, RoutedServices({OKE: simulator, OCIR: simulator}, clock) as services:
        yield Environment(tmp_path, simulator, clock, services)


def test_workload_identity_is_exchanged_for_a_token_of_the_registry(oracle: Environment) -> None:
    credentials = oracle.credentials()
    found = credentials.obtain(Deadline.after(oracle.clock, 30))
    assert (found.username, found.password) == ("BEARER_TOKEN", "token-0")
    assert oracle.services.asked == [OKE, OCIR]
    oracle.clock.advance(3600)
    oracle.token.write_text("renewed")
    oracle.oracle.token = "renewed"  # noqa: S105 - of the simulator
    assert credentials.obtain(Deadline.after(oracle.clock, 30)).password == "token-1"  # noqa: S105 - likewise


def test_address_of_the_api_server_may_be_of_ipv6(oracle: Environment) -> None:
    with pytest.raises(UnavailableError):
        oracle.obtain(KUBERNETES_SERVICE_HOST="fd00::1")
    assert oracle.services.asked == ["https://[fd00::1]:12250"]


@pytest.mark.parametrize(
    "host", ["phx.ocir.io", "eu-frankfurt-1.ocir.io", "ocir.us-gov-ashburn-1.oci.oraclegovcloud.com"]
)
def test_registries_of_oracle_are_accepted(oracle: Environment, host: str) -> None:
    assert oracle.credentials(host).hosts == frozenset({host})


@pytest.mark.parametrize(
    "host",
    [
        "ocir.io",
        "phx.ocir.io.evil.example",
        "evil.phx.ocir.io",
        "phx.ocir.io:8443",
        "ocir.us-phoenix-1.oci.evil.example",
        "ocir.us-phoenix-1.oraclecloud.com",
    ],
)
def test_other_hosts_are_refused_at_the_start(oracle: Environment, host: str) -> None:
    with pytest.raises(ConfigError, match=r"provider oracle: .* is not REGION\.ocir\.io"):
        oracle.credentials(host)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"metadataService": True}, "metadataService is not supported"),
        ({"parameters": {"region": "phx"}}, "there is no parameter region; it has none"),
    ],
)
def test_settings_that_it_does_not_know_are_refused(settings: dict[str, Any], says: str) -> None:
    entry = PlatformCredentials(provider="oracle", hosts=(REGISTRY,), **settings)
    with pytest.raises(ConfigError, match=f"provider oracle: {says}"):
        open_login(entry, REGISTRY, {})


def test_refusals_name_the_identity_and_what_it_needs(oracle: Environment) -> None:
    oracle.oracle.enhanced = False
    with pytest.raises(UnavailableError, match="the workload identity service of OKE answers 403") as caught:
        oracle.obtain()
    for part in (REGISTRY, "the workload identity of the ServiceAccount", "use an enhanced cluster", "asked again in"):
        assert part in caught.value.message
    with pytest.raises(UnavailableError, match=r"not in a cluster \(KUBERNETES_SERVICE_HOST\)"):
        oracle.obtain(KUBERNETES_SERVICE_HOST="")
    oracle.ca.unlink()
    with pytest.raises(UnavailableError, match=r"the CA of the cluster, .*ca\.crt, cannot be read"):
        oracle.obtain()


@pytest.mark.parametrize("session", ["x", "ST$a.b", 'ST$a.b.c",signature="x', "ST$a.b.c d", None, "eyJh.eyJp.c2ln"])
def test_session_token_that_is_not_one_is_refused(oracle: Environment, session: object) -> None:
    oracle.oracle.session = session
    with pytest.raises(UnavailableError, match=r"token is missing|is not a session token|is not one word"):
        oracle.obtain()
    assert oracle.services.asked == [OKE]


@pytest.mark.parametrize("body", [b"", b"{}", b"!", b"W10="])
def test_answer_that_is_not_json_in_base64_is_refused(oracle: Environment, body: bytes) -> None:
    oracle.oracle.faults.body("resourcePrincipalSessionTokens", body)
    with pytest.raises(UnavailableError, match="not JSON in base64"):
        oracle.obtain()


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"token": None}, "token is missing"),
        ({"expires_in": "3600"}, "expires_in is missing or not a number"),
        ({"expires_in": True}, "expires_in is missing or not a number"),
        ({"expires_in": 0}, "a secret that has expired"),
    ],
)
def test_unexpected_answers_of_the_registry_are_refused(
    oracle: Environment, members: dict[str, Any], says: str
) -> None:
    oracle.oracle.changed = members
    with pytest.raises(UnavailableError, match=says):
        oracle.obtain()


def test_requests_of_the_sdk_are_those_of_sealgate(oracle: Environment) -> None:
    oracle.obtain()
    for ours, sdk in zip(oracle.oracle.requests, RECORDED, strict=True):
        url = urlsplit(sdk["url"])
        assert (ours.method, ours.path, ours.query) == (sdk["method"], url.path, ())
        assert ours.headers["x-test-host"] == url.netloc
    assert json.loads(oracle.oracle.requests[0].body).keys() == json.loads(RECORDED[0]["body"]).keys()
    mine, theirs = (each["authorization"] for each in (oracle.oracle.requests[1].headers, RECORDED[1]["headers"]))
    assert mine.partition(",signature=")[0] == theirs.partition(",signature=")[0]


def test_simulator_accepts_the_requests_of_the_sdk() -> None:
    with OKEWorkloadSimulator() as simulator:
        simulator.token = RECORDED[0]["headers"]["authorization"].removeprefix("Bearer ")
        for sdk in RECORDED:
            path = urlsplit(sdk["url"]).path
            request = RecordedRequest(sdk["method"], path, (), sdk["headers"], sdk["body"].encode(), 1)
            assert simulator.respond(request).status == 200
