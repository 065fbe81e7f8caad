"""Amazon ECR: the role of the ServiceAccount, exchanged for an authorization token of a registry."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import ConfigError, UnavailableError
from sealgate.pull_credentials.opening import open_provider
from sealgate.pull_credentials.settings import PlatformCredentials
from sealgate.references import Repository
from tests.support.clocks import FakeClock
from tests.support.environments.pull_credentials import Results, RoutedServices
from tests.support.simulators.aws_ecr import REGISTRY, ECRSimulator
from tests.support.simulators.aws_kms import REGION, ROLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.registry.credentials import Credentials

STS, API = f"https://sts.{REGION}.amazonaws.com", f"https://api.ecr.{REGION}.amazonaws.com"


class Environment:
    """ECR and STS at their fixed addresses, and a process with a role."""

    def __init__(self, folder: Path, ecr: ECRSimulator, clock: FakeClock, services: RoutedServices) -> None:
        self.token = folder / "token"
        self.token.write_text(ecr.web_identity_token)
        self.environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token)}
        self.ecr, self.clock, self.services = ecr, clock, services

    def credentials(self, host: str = REGISTRY, **environ: str) -> Credentials:
        entries = (PlatformCredentials(provider="aws", hosts=(host,)),)
        given = {**self.environ, **environ}
        provider = open_provider(entries, self.services, self.clock, Results(), given)
        (candidate,) = provider.candidates(Repository(host, "shop/web"))
        return candidate.credentials

    def obtain(self, host: str = REGISTRY, **environ: str) -> Credentials:
        return self.credentials(host, **environ).obtain(Deadline.after(self.clock, 30))


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Environment]:
    clock = FakeClock()
    with ECRSimulator(clock=clock) as ecr, RoutedServices({STS: ecr, API: ecr}, clock) as services:
        yield Environment(tmp_path, ecr, clock, services)


def test_role_is_exchanged_for_a_password_of_the_registry(aws: Environment) -> None:
    found = aws.obtain()
    assert (found.username, found.password, found.identity_token) == ("AWS", "password-0", None)
    assert aws.services.asked == [STS, API]


def test_token_of_the_service_account_is_read_anew(aws: Environment) -> None:
    credentials = aws.credentials()
    credentials.obtain(Deadline.after(aws.clock, 30))
    aws.clock.advance(12 * 3600)
    aws.token.write_text("renewed")
    aws.ecr.web_identity_token = "renewed"  # noqa: S105 - of the simulator
    assert credentials.obtain(Deadline.after(aws.clock, 30)).password == "password-1"  # noqa: S105 - of the simulator


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn", "https://sts.cn-north-1.amazonaws.com.cn"),
        ("111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu", "https://sts.eusc-de-east-1.amazonaws.eu"),
        ("111122223333.dkr.ecr.us-gov-west-1.amazonaws.com", "https://sts.us-gov-west-1.amazonaws.com"),
    ],
)
def test_sts_is_that_of_the_registrys_region(aws: Environment, host: str, asked: str) -> None:
    with pytest.raises(UnavailableError):
        aws.obtain(host)
    assert aws.services.asked == [asked]


@pytest.mark.parametrize(
    "host",
    [
        "public.ecr.aws",
        "example.org",
        "111122223333.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
        "111122223333.dkr.ecr.evil.amazonaws.com",
        "11112222333.dkr.ecr.eu-central-1.amazonaws.com",
        "111122223333.dkr.ecr.eu-central-1.amazonaws.com:8443",
    ],
)
def test_other_hosts_are_refused_at_the_start(aws: Environment, host: str) -> None:
    with pytest.raises(ConfigError, match=r"provider aws: .* is not ACCOUNT\.dkr\.ecr\.REGION\.amazonaws\.com"):
        aws.credentials(host)


def test_process_without_a_role_says_what_to_do(aws: Environment) -> None:
    with pytest.raises(UnavailableError, match=r"no identity .*AWS_ROLE_ARN.*; annotate its ServiceAccount"):
        aws.obtain(AWS_ROLE_ARN="")
    assert aws.services.asked == []


def test_refusals_name_the_role_and_what_it_needs(aws: Environment) -> None:
    aws.ecr.denied.add("GetAuthorizationToken")
    with pytest.raises(UnavailableError) as caught:
        aws.obtain()
    for part in (REGISTRY, ROLE, "AccessDeniedException", "permit it ecr:GetAuthorizationToken", "asked again in"):
        assert part in caught.value.message
    aws.token.write_text("another")
    with pytest.raises(UnavailableError, match="AWS STS answers 400 InvalidIdentityToken"):
        aws.obtain()


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"authorizationToken": "QVdT"}, "has no password"),
        ({"authorizationToken": "cm9ib3Q6eA=="}, "its authorization token is not for the user AWS"),
        ({"authorizationToken": "!"}, "authorizationToken is not base64"),
        ({"expiresAt": "tomorrow"}, "expiresAt is missing or not a number"),
        ({"expiresAt": True}, "expiresAt is missing or not a number"),
        ({"proxyEndpoint": "https://444455556666.dkr.ecr.eu-central-1.amazonaws.com"}, "it is about https://4444"),
        ({"expiresAt": 1.0}, "a secret that has expired; check the clock"),
    ],
)
def test_unexpected_answers_are_refused(aws: Environment, members: dict[str, Any], says: str) -> None:
    aws.ecr.changed = members
    with pytest.raises(UnavailableError, match=says):
        aws.obtain()


def test_token_without_a_user_name_is_not_quoted(aws: Environment) -> None:
    aws.ecr.changed = {"authorizationToken": b64encode(b"s3cr3t").decode()}
    with pytest.raises(UnavailableError, match="is not for the user AWS") as caught:
        aws.obtain()
    assert "s3cr3t" not in caught.value.message
