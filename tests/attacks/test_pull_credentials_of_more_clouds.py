"""Attacks on pull credentials of clouds whose registries, tokens or identities differ from those of the first ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import UnauthorizedError
from sealgate.http.metadata import MetadataClient
from sealgate.pull_credentials.leases import LoginLease
from sealgate.pull_credentials.provider import PlatformCredentialProvider
from sealgate.pull_credentials.providers import alibaba
from sealgate.pull_credentials.settings import PlatformCredentials
from tests.support.clocks import FakeClock
from tests.support.environments.pull_credentials import ControlledLogin, Results, RoutedServices
from tests.support.environments.registry_clients import client_for, repository_of, session_of
from tests.support.simulators.alibaba_acr import INSTANCE
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "s3cr3t"


@pytest.fixture
def lease() -> Iterator[LoginLease]:
    clock, login = FakeClock(), ControlledLogin()
    with RoutedServices({}, clock) as services:
        yield LoginLease("a.example.org", "alibaba", login, services, MetadataClient(), clock, Results())


# 163: a token service of another region or network --------------------------------------------------------------------


def test_attack_163_secret_goes_to_the_named_token_service_and_to_no_other(lease: LoginLease) -> None:
    auth = Auth("bearer", users={"robot": SECRET})
    with (
        RegistrySimulator(auth=auth) as registry,
        RegistrySimulator(auth=auth) as issuer,
        RegistrySimulator(auth=auth) as thief,
    ):
        registry.push_image("team/app", "v1")
        provider = PlatformCredentialProvider(
            {registry.host: (("role",), lease)}, {registry.host: frozenset({issuer.host})}
        )
        registry.auth.realm = f"{thief.url}/token"
        with (
            client_for(registry, issuer, thief) as client,
            pytest.raises(UnauthorizedError, match="which is not among the"),
        ):
            session_of(client, provider).manifest(repository_of(registry), "v1")
        assert thief.requests == []
        registry.auth.realm = f"{issuer.url}/token"
        with client_for(registry, issuer, thief) as client:
            session_of(client, provider).manifest(repository_of(registry), "v1")
        assert issuer.requests


@pytest.mark.parametrize(
    ("host", "realm"),
    [
        ("a-registry.cn-hangzhou.cr.aliyuncs.com", "https://dockerauth.cn-beijing.aliyuncs.com/auth"),
        ("a-registry.cn-hangzhou.cr.aliyuncs.com", "https://dockerauth-vpc.cn-hangzhou.aliyuncs.com/auth"),
        ("a-registry.cn-hangzhou.cr.aliyuncs.com", "https://dockerauth.cn-hangzhou.aliyuncs.com.evil.example/auth"),
        ("a-registry.cn-hangzhou.cr.aliyuncs.com", "https://dockerauth.cn-hangzhou.aliyuncs.com:8443/auth"),
        ("a-registry.cn-hangzhou.cr.aliyuncs.com", "https://b-registry.cn-hangzhou.cr.aliyuncs.com/auth"),
        ("a-registry.cn-hangzhou.cr.aliyuncs.com", "https://dockerauth-cn-hangzhou.aliyuncs.com/auth"),
        ("a-registry-vpc.cn-hangzhou.cr.aliyuncs.com", "https://dockerauth.cn-hangzhou.aliyuncs.com/auth"),
    ],
)
def test_attack_163_token_services_are_those_of_the_region_and_the_network(
    lease: LoginLease, host: str, realm: str
) -> None:
    entry = PlatformCredentials(provider="alibaba", hosts=(host,), parameters={"instanceId": INSTANCE})
    named = alibaba.open_login(entry, host, {}).token_services
    with RegistrySimulator(auth=Auth("bearer", users={"robot": SECRET})) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        registry.auth.realm = realm
        provider = PlatformCredentialProvider({registry.host: (("role",), lease)}, {registry.host: named})
        with pytest.raises(UnauthorizedError, match="which is not among the"):
            session_of(client, provider).manifest(repository_of(registry), "v1")
