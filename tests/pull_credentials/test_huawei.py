"""Huawei Cloud SWR: a token of the ServiceAccount, or the agency of the node, exchanged for a login."""

from __future__ import annotations

import json
from datetime import UTC, datetime
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
from tests.support.simulators.http_messages import RecordedRequest
from tests.support.simulators.huawei_swr import PROJECT, PROVIDER, REGION, REGISTRY, SWRSimulator
from tests.support.simulators.metadata import MetadataSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.registry.credentials import Credentials

IAM, API = f"https://iam.{REGION}.myhuaweicloud.com", f"https://swr-api.{REGION}.myhuaweicloud.com"
RECORDED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "huawei" / "requests.json").read_text()
)["requests"]


class Environment:
    """IAM and SWR at their fixed addresses, a metadata service, and a process with a token of its ServiceAccount."""

    def __init__(
        self,
        folder: Path,
        huawei: SWRSimulator,
        metadata: MetadataSimulator,
        clock: FakeClock,
        services: RoutedServices,
    ) -> None:
        self.token = folder / "token"
        self.token.write_text(huawei.id_token)
        self.huawei, self.metadata, self.clock, self.services = huawei, metadata, clock, services

    def credentials(self, host: str = REGISTRY, **settings: Any) -> Credentials:
        given = {
            "parameters": {"projectId": PROJECT, "identityProvider": PROVIDER},
            "tokenFile": str(self.token),
            **settings,
        }
        entry = PlatformCredentials(provider="huawei", hosts=(host,), **given)
        opened = open_provider((entry,), self.services, self.clock, Results(), {}, self.metadata.client())
        (candidate,) = opened.candidates(Repository(host, "shop/web"))
        return candidate.credentials

    def obtain(self, host: str = REGISTRY, **settings: Any) -> Credentials:
        return self.credentials(host, **settings).obtain(Deadline.after(self.clock, 30))


@pytest.fixture
def huawei(tmp_path: Path) -> Iterator[Environment]:
    clock = FakeClock()
    with (
        SWRSimulator(clock=clock) as simulator,
        MetadataSimulator(clock=clock) as metadata,
        RoutedServices({IAM: simulator, API: simulator}, clock) as services,
    ):
        yield Environment(tmp_path, simulator, metadata, clock, services)


AGENCY: dict[str, Any] = {"parameters": {"projectId": PROJECT}, "metadataService": True, "tokenFile": ""}


def test_token_is_exchanged_for_a_login(huawei: Environment) -> None:
    found = huawei.obtain()
    assert (found.username, found.password) == (f"{REGION}@TEMPKEYEXAMPLE", "password-0")
    assert huawei.services.asked == [IAM, IAM, API]
    assert huawei.metadata.dialed == []


def test_agency_of_the_node_is_asked_for_where_the_settings_say_so(huawei: Environment) -> None:
    huawei.huawei.access_key, huawei.huawei.secret_key, huawei.huawei.security_token = huawei.metadata.access_key
    assert huawei.obtain(**AGENCY).password == "password-0"  # noqa: S105 - of the simulator
    assert huawei.services.asked == [API]
    assert huawei.metadata.dialed == [("169.254.169.254", 80)]


@pytest.mark.parametrize("expires", ["", "2026-11-21T20:00:00.123456Z"])
def test_login_is_renewed_before_the_access_key_ends(huawei: Environment, expires: str) -> None:
    huawei.huawei.expires = expires
    credentials = huawei.credentials()
    credentials.obtain(Deadline.after(huawei.clock, 30))
    huawei.clock.advance(3600)
    assert credentials.obtain(Deadline.after(huawei.clock, 30)).password == "password-1"  # noqa: S105 - likewise


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("swr.eu-west-101.myhuaweicloud.eu", "https://iam.eu-west-101.myhuaweicloud.eu"),
        ("swr.ap-southeast-3.myhuaweicloud.com", "https://iam.ap-southeast-3.myhuaweicloud.com"),
        ("swr.la-south-2.myhuaweicloud.com", "https://iam.la-south-2.myhuaweicloud.com"),
    ],
)
def test_iam_is_that_of_the_registrys_region(huawei: Environment, host: str, asked: str) -> None:
    with pytest.raises(UnavailableError):
        huawei.obtain(host)
    assert huawei.services.asked == [asked]


@pytest.mark.parametrize(
    ("host", "settings", "says"),
    [
        ("shop-x1y2z3.swr-pro.myhuaweicloud.com", {}, "is not swr.REGION.myhuaweicloud.com"),
        (f"{REGISTRY}.evil.example", {}, "is not swr.REGION"),
        (f"{REGISTRY}:8443", {}, "is not swr.REGION"),
        ("swr.evil.myhuaweicloud.com", {}, "is not swr.REGION"),
        (REGISTRY, {"parameters": {"projectId": PROJECT}}, "the parameter identityProvider must match"),
        (REGISTRY, {"parameters": {"projectId": "x", "identityProvider": PROVIDER}}, "the parameter projectId must"),
        (REGISTRY, {"parameters": {"projectId": PROJECT, "identityProvider": "a/b"}}, "identityProvider must match"),
        (REGISTRY, {"tokenFile": ""}, "there is no tokenFile: set tokenAudience"),
        (REGISTRY, {"metadataService": True}, "there is no parameter identityProvider; it knows projectId"),
    ],
)
def test_other_entries_are_refused_at_the_start(
    huawei: Environment, host: str, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        huawei.credentials(host, **settings)


def test_refusals_name_the_identity_and_what_it_needs(huawei: Environment) -> None:
    huawei.token.write_text("another")
    with pytest.raises(UnavailableError, match="Huawei Cloud IAM answers 401") as caught:
        huawei.obtain()
    for part in (REGISTRY, f"the identity provider {PROVIDER}", "permit it swr::createLoginSecret", "asked again in"):
        assert part in caught.value.message
    with pytest.raises(UnavailableError, match=r"Huawei Cloud SWR answers 401 APIGW\.0301") as caught:
        huawei.obtain(**AGENCY)
    assert "give the node an agency" in caught.value.message


@pytest.mark.parametrize(
    ("auths", "expires", "says"),
    [
        ({}, None, f"{REGISTRY} is missing"),
        ({"swr.evil.example": {"auth": "YTpi"}}, None, f"{REGISTRY} is missing"),
        ({REGISTRY: {"auth": "!"}}, None, "auth is not base64"),
        ({REGISTRY: {"auth": "YQ=="}}, None, "has no user name or no password"),
        (None, "tomorrow", "X-Swr-Expireat is not a time with a time zone"),
        (None, "2030-01-01T00:00:00", "X-Swr-Expireat is not a time with a time zone"),
        (None, "2020-01-01T00:00:00Z", "a secret that has expired; check the clock"),
    ],
)
def test_unexpected_answers_are_refused(huawei: Environment, auths: Any, expires: str | None, says: str) -> None:
    huawei.huawei.auths, huawei.huawei.expires = auths, expires
    with pytest.raises(UnavailableError, match=says):
        huawei.obtain()


def test_requests_of_the_sdk_are_those_of_sealgate(huawei: Environment) -> None:
    huawei.obtain()
    for ours, sdk in zip(huawei.huawei.requests, RECORDED[:3], strict=True):
        url = urlsplit(sdk["url"])
        assert (ours.method, ours.path, list(ours.query)) == (sdk["method"], url.path, parse_qsl(url.query))
        for name in ("content-type", "x-idp-id", "x-project-id"):
            assert ours.headers.get(name) == sdk["headers"].get(name)
        # The SDK asks for an access key of six hours.
        assert ours.body.replace(b"3600", b"21600") == sdk["body"].encode()


def test_request_of_the_sdk_to_the_metadata_service_is_that_of_sealgate(huawei: Environment) -> None:
    huawei.huawei.access_key, huawei.huawei.secret_key, huawei.huawei.security_token = huawei.metadata.access_key
    huawei.obtain(**AGENCY)
    (ours,) = huawei.metadata.requests
    assert (ours.method, f"http://{ours.headers['host']}{ours.path}") == (RECORDED[3]["method"], RECORDED[3]["url"])


def test_simulator_accepts_the_requests_of_the_sdk() -> None:
    moment = datetime.strptime(RECORDED[2]["headers"]["x-sdk-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    with SWRSimulator(clock=FakeClock(moment)) as simulator:
        for sdk, status in zip(RECORDED[:3], (201, 201, 200), strict=True):
            url = urlsplit(sdk["url"])
            query = tuple(parse_qsl(url.query))
            request = RecordedRequest(sdk["method"], url.path, query, sdk["headers"], sdk["body"].encode(), 1)
            assert simulator.respond(request).status == status
