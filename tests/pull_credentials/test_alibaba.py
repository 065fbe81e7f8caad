"""Alibaba Cloud Container Registry: the RAM role of the ServiceAccount, exchanged for a login of an instance."""

from __future__ import annotations

import json
from datetime import datetime
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
from tests.support.simulators.alibaba_acr import INSTANCE, PROVIDER, REGION, REGISTRY, ROLE, AlibabaACRSimulator
from tests.support.simulators.http_messages import RecordedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.registry.credentials import Credentials

STS, API = f"https://sts.{REGION}.aliyuncs.com", f"https://cr.{REGION}.aliyuncs.com"
RECORDED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "alibaba" / "requests.json").read_text()
)["requests"]


class Environment:
    """STS and the registry's API at their fixed addresses, and a process with a role."""

    def __init__(self, folder: Path, alibaba: AlibabaACRSimulator, clock: FakeClock, services: RoutedServices) -> None:
        self.token = folder / "token"
        self.token.write_text(alibaba.oidc_token)
        self.environ = {
            "ALIBABA_CLOUD_ROLE_ARN": ROLE,
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": PROVIDER,
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(self.token),
        }
        self.alibaba, self.clock, self.services = alibaba, clock, services

    def credentials(self, host: str = REGISTRY, instance: str = INSTANCE, **environ: str) -> Credentials:
        parameters = {"instanceId": instance} if instance else {}
        entries = (PlatformCredentials(provider="alibaba", hosts=(host,), parameters=parameters),)
        provider = open_provider(entries, self.services, self.clock, Results(), {**self.environ, **environ})
        (candidate,) = provider.candidates(Repository(host, "shop/web"))
        return candidate.credentials

    def obtain(self, host: str = REGISTRY, **environ: str) -> Credentials:
        return self.credentials(host, **environ).obtain(Deadline.after(self.clock, 30))


@pytest.fixture
def alibaba(tmp_path: Path) -> Iterator[Environment]:
    clock = FakeClock()
    with AlibabaACRSimulator(clock=clock) as simulator, RoutedServices({STS: simulator, API: simulator}, clock) as to:
        yield Environment(tmp_path, simulator, clock, to)


def test_role_is_exchanged_for_a_login_of_the_instance(alibaba: Environment) -> None:
    credentials = alibaba.credentials()
    found = credentials.obtain(Deadline.after(alibaba.clock, 30))
    assert (found.username, found.password) == ("cr_temp_user", "password-0")
    assert alibaba.services.asked == [STS, API]
    alibaba.clock.advance(3600)
    alibaba.token.write_text("renewed")
    alibaba.alibaba.oidc_token = "renewed"  # noqa: S105 - of the simulator
    assert credentials.obtain(Deadline.after(alibaba.clock, 30)).password == "password-1"  # noqa: S105 - likewise


def test_token_of_the_service_account_is_not_a_part_of_a_url(alibaba: Environment) -> None:
    alibaba.obtain()
    assert alibaba.alibaba.oidc_token not in str([request.query for request in alibaba.alibaba.requests])
    assert all(request.method == "POST" for request in alibaba.alibaba.requests)


@pytest.mark.parametrize(
    ("host", "asked", "token_services"),
    [
        (
            "a-registry.cn-beijing.cr.aliyuncs.com",
            "https://sts.cn-beijing.aliyuncs.com",
            {"dockerauth.cn-beijing.aliyuncs.com", "dockerauth-ee.cn-beijing.aliyuncs.com"},
        ),
        (
            "a-registry-vpc.cn-zhangjiakou.cr.aliyuncs.com",
            "https://sts-vpc.cn-zhangjiakou.aliyuncs.com",
            {"dockerauth-vpc.cn-zhangjiakou.aliyuncs.com", "dockerauth-ee-vpc.cn-zhangjiakou.aliyuncs.com"},
        ),
        (
            "a-registry.cn-zhangjiakou.cr.aliyuncs.com",
            "https://sts.cn-zhangjiakou.aliyuncs.com",
            {
                "dockerauth.cn-zhangjiakou.aliyuncs.com",
                "dockerauth-ee.cn-zhangjiakou.aliyuncs.com",
                "dockerauth-cn-zhangjiakou.aliyuncs.com",
            },
        ),
    ],
)
def test_services_are_those_of_the_registrys_region_and_network(
    alibaba: Environment, host: str, asked: str, token_services: set[str]
) -> None:
    credentials = alibaba.credentials(host)
    assert credentials.hosts == frozenset({host, *token_services})
    with pytest.raises(UnavailableError):
        credentials.obtain(Deadline.after(alibaba.clock, 30))
    assert alibaba.services.asked == [asked]


@pytest.mark.parametrize(
    ("host", "instance", "says"),
    [
        ("registry.cn-hangzhou.aliyuncs.com", INSTANCE, "is not NAME-registry.REGION.cr.aliyuncs.com"),
        ("shop-registry.cn-hangzhou.cr.aliyuncs.com.evil.example", INSTANCE, "is not NAME-registry"),
        ("shop-registry.evil.example/.cr.aliyuncs.com", INSTANCE, "is not"),
        ("evil.cn-hangzhou.cr.aliyuncs.com", INSTANCE, "is not NAME-registry"),
        (f"{REGISTRY}:8443", INSTANCE, "is not NAME-registry"),
        (REGISTRY, "", "the parameter instanceId must match"),
        (REGISTRY, "cri-x&Action=Y", "the parameter instanceId must match"),
    ],
)
def test_other_entries_are_refused_at_the_start(alibaba: Environment, host: str, instance: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        alibaba.credentials(host, instance)


def test_process_without_a_role_says_what_to_do(alibaba: Environment) -> None:
    with pytest.raises(UnavailableError, match=r"no identity .*ALIBABA_CLOUD_ROLE_ARN.*; annotate its ServiceAccount"):
        alibaba.obtain(ALIBABA_CLOUD_OIDC_PROVIDER_ARN="")
    assert alibaba.services.asked == []


def test_refusals_name_the_role_and_what_it_needs(alibaba: Environment) -> None:
    alibaba.alibaba.denied.add("GetAuthorizationToken")
    with pytest.raises(UnavailableError) as caught:
        alibaba.obtain()
    for part in (
        REGISTRY,
        ROLE,
        "answers 403 NoPermission",
        "permit it cr:GetAuthorizationToken",
        "asked again in",
    ):
        assert part in caught.value.message
    alibaba.token.write_text("another")
    with pytest.raises(UnavailableError, match=r"STS answers 400 AuthenticationFail\.OIDCToken\.Invalid"):
        alibaba.obtain()


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"IsSuccess": False}, "IsSuccess is not true"),
        ({"TempUsername": None}, "TempUsername is missing"),
        ({"AuthorizationToken": 7}, "AuthorizationToken is missing"),
        ({"ExpireTime": "tomorrow"}, "ExpireTime is missing or not a number"),
        ({"ExpireTime": True}, "ExpireTime is missing or not a number"),
        ({"ExpireTime": 1000}, "a secret that has expired; check the clock"),
    ],
)
def test_unexpected_answers_are_refused(alibaba: Environment, members: dict[str, Any], says: str) -> None:
    alibaba.alibaba.changed = members
    with pytest.raises(UnavailableError, match=says):
        alibaba.obtain()


def test_requests_of_the_sdk_are_those_of_sealgate(alibaba: Environment) -> None:
    alibaba.obtain()
    sts, api = alibaba.alibaba.requests
    moment = {"Timestamp"}
    ours = dict(sts.query) | dict(parse_qsl(sts.body.decode()))
    sdk = dict(parse_qsl(urlsplit(RECORDED[0]["url"]).query))
    assert ours.keys() == sdk.keys()
    assert {name for name in ours if ours[name] != sdk[name]} == moment
    assert (api.method, api.query) == ("POST", tuple(parse_qsl(urlsplit(RECORDED[1]["url"]).query)))
    signed = RECORDED[1]["headers"]
    own = {"x-acs-date", "x-acs-signature-nonce", "authorization"}
    assert {name for name, value in api.headers.items() if name.startswith("x-acs-") and signed[name] != value} <= own


def test_simulator_accepts_the_requests_of_the_sdk() -> None:
    moment = datetime.fromisoformat(RECORDED[1]["headers"]["x-acs-date"])
    with AlibabaACRSimulator(clock=FakeClock(moment)) as simulator:
        for sdk in RECORDED:
            url = urlsplit(sdk["url"])
            query = tuple(parse_qsl(url.query))
            request = RecordedRequest(sdk["method"], url.path, query, sdk["headers"], sdk["body"].encode(), 1)
            assert simulator.respond(request).status == 200
