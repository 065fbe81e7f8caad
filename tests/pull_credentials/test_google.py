"""Google's registries: a token of the ServiceAccount, exchanged for an access token."""

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
from tests.support.simulators.google_tokens import AUDIENCE, EMAIL, GoogleTokensSimulator
from tests.support.simulators.http_messages import RecordedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.registry.credentials import Credentials

HOST = "europe-west1-docker.pkg.dev"
STS, IAM = "https://sts.googleapis.com", "https://iamcredentials.googleapis.com"
RECORDED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "google" / "tokens.json").read_text()
)["requests"]


class Environment:
    """Google's services at their fixed addresses, and a process with a token of its ServiceAccount."""

    def __init__(self, folder: Path, google: GoogleTokensSimulator, clock: FakeClock, services: RoutedServices) -> None:
        self.token = folder / "token"
        self.token.write_text(google.subject_token)
        self.google, self.clock, self.services = google, clock, services

    def credentials(self, host: str = HOST, token_file: str | None = None, **parameters: str) -> Credentials:
        given = {"audience": AUDIENCE, **parameters}
        entry = PlatformCredentials(
            provider="google",
            hosts=(host,),
            parameters={name: value for name, value in given.items() if value},
            tokenFile=str(self.token) if token_file is None else token_file,
        )
        provider = open_provider((entry,), self.services, self.clock, Results(), {})
        (candidate,) = provider.candidates(Repository(host, "shop/images/web"))
        return candidate.credentials

    def obtain(self, **parameters: str) -> Credentials:
        return self.credentials(**parameters).obtain(Deadline.after(self.clock, 30))


@pytest.fixture
def google(tmp_path: Path) -> Iterator[Environment]:
    clock = FakeClock()
    with GoogleTokensSimulator(clock=clock) as simulator, RoutedServices({STS: simulator, IAM: simulator}, clock) as to:
        yield Environment(tmp_path, simulator, clock, to)


def test_token_is_exchanged_for_an_access_token(google: Environment) -> None:
    found = google.obtain()
    assert (found.username, found.password) == ("oauth2accesstoken", "federated-0")
    assert google.services.asked == [STS]
    assert google.google.federated == {"federated-0": "https://www.googleapis.com/auth/cloud-platform"}


def test_service_account_is_impersonated(google: Environment) -> None:
    credentials = google.credentials(serviceAccount=EMAIL)
    assert credentials.obtain(Deadline.after(google.clock, 30)).password == "impersonated-0"  # noqa: S105 - simulated
    assert google.services.asked == [STS, IAM]
    assert google.google.federated == {"federated-0": "https://www.googleapis.com/auth/iam"}
    google.clock.advance(3600)
    assert credentials.obtain(Deadline.after(google.clock, 30)).password == "impersonated-1"  # noqa: S105 - simulated


@pytest.mark.parametrize(
    ("host", "parameters", "says"),
    [
        ("docker.pkg.dev", {}, "is not LOCATION-docker.pkg.dev or gcr.io"),
        ("evil.example", {}, "is not LOCATION-docker.pkg.dev"),
        ("europe-docker.pkg.dev.evil.example", {}, "is not LOCATION-docker.pkg.dev"),
        ("evil.gcr.io", {}, "is not LOCATION-docker.pkg.dev"),
        (HOST, {"audience": ""}, "the parameter audience must match"),
        (HOST, {"audience": "//iam.googleapis.com/projects/1"}, "the parameter audience must match"),
        (HOST, {"serviceAccount": "x@evil.example"}, "the parameter serviceAccount must match"),
        (HOST, {"serviceAccount": "a/../b@shop.iam.gserviceaccount.com"}, "the parameter serviceAccount must match"),
        (HOST, {"token_file": ""}, "there is no tokenFile: set tokenAudience"),
    ],
)
def test_other_entries_are_refused_at_the_start(
    google: Environment, host: str, parameters: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        google.credentials(host, **parameters)


@pytest.mark.parametrize("host", ["gcr.io", "eu.gcr.io", "us-docker.pkg.dev", "northamerica-northeast1-docker.pkg.dev"])
def test_registries_of_google_are_accepted(google: Environment, host: str) -> None:
    assert google.credentials(host).hosts == frozenset({host})


def test_refusals_name_the_identity_and_what_it_needs(google: Environment) -> None:
    google.token.write_text("another")
    with pytest.raises(UnavailableError, match="Google STS answers 400") as caught:
        google.obtain()
    assert f"the workload identity of {AUDIENCE}" in caught.value.message
    assert "Artifact Registry Reader" in caught.value.message
    google.token.write_text(google.google.subject_token)
    with pytest.raises(UnavailableError, match="Google IAM Credentials answers 404") as caught:
        google.obtain(serviceAccount="other@shop-1.iam.gserviceaccount.com")
    assert "Workload Identity User of the service account" in caught.value.message


@pytest.mark.parametrize("end", ["tomorrow", "2030-01-01T00:00:00", "2020-01-01T00:00:00Z"])
def test_token_without_a_good_end_is_refused(google: Environment, end: str) -> None:
    google.google.expires = end
    with pytest.raises(UnavailableError, match=r"expireTime is not a time with a time zone|has expired"):
        google.obtain(serviceAccount=EMAIL)


def test_requests_of_the_sdk_are_those_of_sealgate(google: Environment) -> None:
    google.obtain(serviceAccount=EMAIL)
    for ours, sdk in zip(google.google.requests, RECORDED[:2], strict=True):
        assert (ours.method, ours.path) == (sdk["method"], urlsplit(sdk["url"]).path)
        assert ours.headers["content-type"] == sdk["headers"]["content-type"]
        if ours.path == "/v1/token":
            assert sorted(parse_qsl(ours.body.decode())) == sorted(parse_qsl(sdk["body"]))
        else:
            # The SDK also sends a member that is null.
            assert json.loads(ours.body) == {k: v for k, v in json.loads(sdk["body"]).items() if v is not None}


def test_simulator_accepts_the_requests_of_the_sdk() -> None:
    with GoogleTokensSimulator() as simulator:
        simulator.federated["federated"] = "https://www.googleapis.com/auth/iam"
        for sdk in RECORDED[:2]:
            path = urlsplit(sdk["url"]).path
            request = RecordedRequest(sdk["method"], path, (), sdk["headers"], sdk["body"].encode(), 1)
            assert simulator.respond(request).status == 200
