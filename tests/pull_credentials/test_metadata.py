"""Identities from the metadata service of the node, where an entry of the settings says so."""

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
from tests.support.simulators.aws_ecr import REGISTRY as ECR
from tests.support.simulators.aws_ecr import ECRSimulator
from tests.support.simulators.aws_kms import REGION
from tests.support.simulators.azure_acr import CLIENT, ACRSimulator
from tests.support.simulators.azure_acr import REGISTRY as ACR
from tests.support.simulators.google_tokens import EMAIL, GoogleTokensSimulator
from tests.support.simulators.metadata import MetadataSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealgate.registry.credentials import Credentials
    from tests.support.simulators.http import HTTPSimulator

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metadata(clock: FakeClock) -> Iterator[MetadataSimulator]:
    with MetadataSimulator(clock=clock) as simulator:
        yield simulator


class Process:
    """A process with an entry of the settings, on a node with a metadata service."""

    def __init__(self, metadata: MetadataSimulator, routes: Mapping[str, HTTPSimulator], clock: FakeClock) -> None:
        self._metadata, self._clock = metadata, clock
        self.services = RoutedServices(routes, clock)

    def obtain(self, provider: str, host: str, *, environ: Mapping[str, str] | None = None, **parameters: Any) -> Any:
        entry = PlatformCredentials(provider=provider, hosts=(host,), parameters=parameters, metadataService=True)
        with self.services:
            opened = open_provider(
                (entry,), self.services, self._clock, Results(), environ or {}, self._metadata.client()
            )
            (candidate,) = opened.candidates(Repository(host, "web"))
            found: Credentials = candidate.credentials.obtain(Deadline.after(self._clock, 30))
            return found


@pytest.mark.parametrize(
    ("address", "dialed"),
    [
        ("http://169.254.170.23/v1/credentials", "169.254.170.23"),
        ("http://[fd00:ec2::23]/v1/credentials", "fd00:ec2::23"),
    ],
)
def test_agent_of_eks_gives_the_access_key_for_ecr(
    metadata: MetadataSimulator, clock: FakeClock, tmp_path: Path, address: str, dialed: str
) -> None:
    (tmp_path / "token").write_text(metadata.token)
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": address,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
    }
    with ECRSimulator(clock=clock) as ecr:
        key, secret, token = metadata.access_key
        ecr.sessions[key] = (secret, token)
        process = Process(metadata, {f"https://api.ecr.{REGION}.amazonaws.com": ecr}, clock)
        assert process.obtain("aws", ECR, environ=environ).password == "password-0"  # noqa: S105 - of the simulator
    assert metadata.dialed == [(dialed, 80)]


def test_metadata_service_of_google_gives_the_access_token(metadata: MetadataSimulator, clock: FakeClock) -> None:
    found = Process(metadata, {}, clock).obtain("google", "europe-docker.pkg.dev")
    assert (found.username, found.password) == ("oauth2accesstoken", metadata.bearer)
    assert metadata.dialed == [("169.254.169.254", 80)]


def test_service_account_is_impersonated_with_the_token_of_the_metadata_service(
    metadata: MetadataSimulator, clock: FakeClock
) -> None:
    with GoogleTokensSimulator(clock=clock) as google:
        google.federated[metadata.bearer] = "of the node"
        process = Process(metadata, {"https://iamcredentials.googleapis.com": google}, clock)
        found = process.obtain("google", "gcr.io", serviceAccount=EMAIL)
        assert found.password == "impersonated-0"  # noqa: S105 - of the simulator


@pytest.mark.parametrize("parameters", [{}, {"clientId": CLIENT}])
def test_metadata_service_of_azure_gives_the_token_for_the_exchange(
    metadata: MetadataSimulator, clock: FakeClock, parameters: dict[str, Any]
) -> None:
    with ACRSimulator(clock=clock) as acr:
        acr.tokens.append(metadata.bearer)
        process = Process(metadata, {f"https://{ACR}": acr}, clock)
        assert process.obtain("azure", ACR, **parameters).identity_token == acr.issue()
    assert dict(metadata.requests[0].query).get("client_id") == parameters.get("clientId")


def test_requests_of_the_sdks_are_those_of_sealgate(metadata: MetadataSimulator, clock: FakeClock) -> None:
    Process(metadata, {}, clock).obtain("google", "gcr.io")
    with ACRSimulator(clock=clock) as acr:
        acr.tokens.append(metadata.bearer)
        Process(metadata, {f"https://{ACR}": acr}, clock).obtain("azure", ACR, clientId=CLIENT)
    google = json.loads((DATA / "google" / "tokens.json").read_text())["requests"][-1]
    azure = json.loads((DATA / "azure" / "acr.json").read_text())["requests"][-1]
    for ours, sdk, header in zip(metadata.requests, (google, azure), ("metadata-flavor", "metadata"), strict=True):
        url = urlsplit(sdk["url"])
        assert (ours.method, ours.path) == (sdk["method"], url.path)
        assert ours.headers[header] == sdk["headers"][header]
        # Google's SDK asks for the scope of its caller; GKE gives its default one, which has all.
        assert [pair for pair in parse_qsl(url.query) if pair[0] != "scopes"] == list(ours.query)


@pytest.mark.parametrize(
    ("provider", "host", "parameters", "says"),
    [
        ("google", "gcr.io", {"audience": "//iam.googleapis.com/x"}, "there is no parameter audience"),
        ("azure", ACR, {"clientId": "../x"}, "the parameter clientId must match"),
        ("azure", ACR, {"resource": "x"}, "there is no parameter resource"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(
    metadata: MetadataSimulator, clock: FakeClock, provider: str, host: str, parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        Process(metadata, {}, clock).obtain(provider, host, **parameters)


def test_metadata_service_that_refuses_makes_images_unavailable(metadata: MetadataSimulator, clock: FakeClock) -> None:
    metadata.faults.status("token", 404)
    with pytest.raises(UnavailableError, match="the metadata service answers 404") as caught:
        Process(metadata, {}, clock).obtain("google", "gcr.io")
    assert "use GKE's workload identity for the ServiceAccount" in caught.value.message
