"""Settings of pull credentials: literal hosts, known providers and parameters."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sealgate.errors import ConfigError
from sealgate.pull_credentials.opening import open_provider
from sealgate.pull_credentials.settings import MAX_HOSTS, PlatformCredentials, hosts_of
from tests.support.clocks import FakeClock
from tests.support.environments.pull_credentials import Results, RoutedServices

ECR = "111122223333.dkr.ecr.eu-central-1.amazonaws.com"


def entry(*hosts: str, provider: str = "aws", **parameters: str) -> PlatformCredentials:
    return PlatformCredentials(provider=provider, hosts=hosts, parameters=parameters)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([entry("*.dkr.ecr.eu-central-1.amazonaws.com")], "is not a registry: write its host"),
        ([entry(f"{ECR}/shop")], "is not a registry"),
        ([entry(f"https://{ECR}")], "is not a registry"),
        ([entry(ECR, ECR)], "is listed twice"),
        ([entry(ECR), entry(f"{ECR}:443")], "is listed twice"),
        ([entry(ECR, provider="ibm")], "there is no such provider; use alibaba, aws, azure, google, huawei, oracle"),
        ([entry(ECR, region="eu-central-1")], "there is no parameter region; it has none"),
        ([entry(*(f"h{n}.example.org" for n in range(MAX_HOSTS))), entry(ECR)], f"more than {MAX_HOSTS} registries"),
    ],
)
def test_entries_that_cannot_be_used_are_refused(entries: list[PlatformCredentials], says: str) -> None:
    clock = FakeClock()
    with RoutedServices({}, clock) as services, pytest.raises(ConfigError, match=says):
        open_provider(entries, services, clock, Results(), {})


@pytest.mark.parametrize(
    "document",
    [
        {"provider": "aws", "hosts": []},
        {"provider": "../x", "hosts": [ECR]},
        {"provider": "aws", "hosts": [ECR], "secret": "x"},
        {"provider": "aws", "hosts": [ECR], "parameters": {"a": "two words"}},
    ],
)
def test_malformed_entries_are_refused(document: object) -> None:
    with pytest.raises(ValidationError):
        PlatformCredentials.model_validate(document)


def test_metadata_service_needs_a_provider_that_can_ask_it() -> None:
    asked = PlatformCredentials(provider="other", hosts=(ECR,), metadataService=True)
    with pytest.raises(ConfigError, match="provider other: metadataService is not supported"):
        asked.permit(())
    asked.permit((), metadata=True)


def test_hosts_are_spelled_as_in_references() -> None:
    assert list(hosts_of([entry(f"{ECR.upper()}:443")])) == [ECR]
