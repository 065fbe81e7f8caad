"""Attacks on pull credentials of clouds whose registries, tokens or identities differ from those of the first ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import UnauthorizedError, UnavailableError
from sealgate.http.metadata import MetadataClient
from sealgate.pull_credentials.leases import LoginLease
from sealgate.pull_credentials.opening import open_provider
from sealgate.pull_credentials.provider import PlatformCredentialProvider
from sealgate.pull_credentials.providers import alibaba
from sealgate.pull_credentials.settings import PlatformCredentials
from sealgate.references import Repository
from tests.support.clocks import FakeClock
from tests.support.environments.pull_credentials import ControlledLogin, Results, RoutedServices
from tests.support.environments.registry_clients import client_for, repository_of, session_of
from tests.support.simulators import alibaba_acr, huawei_swr, oke_workload
from tests.support.simulators.alibaba_acr import INSTANCE, AlibabaACRSimulator
from tests.support.simulators.huawei_swr import SWRSimulator
from tests.support.simulators.metadata import MetadataSimulator
from tests.support.simulators.oke_workload import API_SERVER, OKEWorkloadSimulator
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sealgate.registry.credentials import Credentials
    from tests.support.simulators.http import HTTPSimulator

SECRET = "s3cr3t"
HUAWEI = {"projectId": huawei_swr.PROJECT, "identityProvider": huawei_swr.PROVIDER}


class Process:
    """A process with one entry of the settings, whose requests go to simulators."""

    def __init__(self, entry: PlatformCredentials, routes: Mapping[str, HTTPSimulator], **environ: str) -> None:
        self.clock = FakeClock()
        self.results = Results()
        self._entry, self._environ, self._routes = entry, environ, routes

    def obtain(self, metadata: MetadataSimulator | None = None) -> Credentials:
        client = None if metadata is None else metadata.client()
        with RoutedServices(self._routes, self.clock) as services:
            opened = open_provider((self._entry,), services, self.clock, self.results, self._environ, client)
            (candidate,) = opened.candidates(Repository(self._entry.hosts[0], "web"))
            return candidate.credentials.obtain(Deadline.after(self.clock, 30))


def huawei(simulator: SWRSimulator, token: Path) -> Process:
    token.write_text(simulator.id_token)
    entry = PlatformCredentials(
        provider="huawei", hosts=(huawei_swr.REGISTRY,), parameters=HUAWEI, tokenFile=str(token)
    )
    names = ("iam", "swr-api")
    return Process(entry, {f"https://{name}.{huawei_swr.REGION}.myhuaweicloud.com": simulator for name in names})


def alibaba_process(simulator: AlibabaACRSimulator, token: Path) -> Process:
    token.write_text(simulator.oidc_token)
    entry = PlatformCredentials(provider="alibaba", hosts=(alibaba_acr.REGISTRY,), parameters={"instanceId": INSTANCE})
    return Process(
        entry,
        {f"https://{name}.{alibaba_acr.REGION}.aliyuncs.com": simulator for name in ("sts", "cr")},
        ALIBABA_CLOUD_ROLE_ARN=alibaba_acr.ROLE,
        ALIBABA_CLOUD_OIDC_PROVIDER_ARN=alibaba_acr.PROVIDER,
        ALIBABA_CLOUD_OIDC_TOKEN_FILE=str(token),
    )


def oracle(oke: OKEWorkloadSimulator, ocir: OKEWorkloadSimulator, folder: Path, ca: str) -> Process:
    (folder / "token").write_text(oke.token)
    (folder / "ca.crt").write_text(ca)
    entry = PlatformCredentials(provider="oracle", hosts=(oke_workload.REGISTRY,), tokenFile=str(folder / "token"))
    return Process(
        entry,
        {f"https://{API_SERVER}:12250": oke, f"https://{oke_workload.REGISTRY}": ocir},
        KUBERNETES_SERVICE_HOST=API_SERVER,
        OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH=str(folder / "ca.crt"),
    )


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


# 164: a login for another registry ------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["swr.evil.example", "swr.cn-south-1.myhuaweicloud.com", "evil@swr.cn-north-4"])
def test_attack_164_login_for_another_registry_is_not_used(tmp_path: Path, other: str) -> None:
    with SWRSimulator(clock=FakeClock()) as simulator:
        simulator.auths = {other: {"auth": "YTpi"}}
        with pytest.raises(UnavailableError, match=r"swr\.cn-north-4\.myhuaweicloud\.com is missing"):
            huawei(simulator, tmp_path / "token").obtain()


# 165: the identity of the node in place of the ServiceAccount's -------------------------------------------------------


def test_attack_165_node_is_not_asked_where_the_token_is_missing(tmp_path: Path) -> None:
    with (
        SWRSimulator(clock=FakeClock()) as swr,
        AlibabaACRSimulator(clock=FakeClock()) as acr,
        MetadataSimulator() as metadata,
    ):
        token = tmp_path / "token"
        for process in (huawei(swr, token), alibaba_process(acr, token)):
            token.unlink(missing_ok=True)
            with pytest.raises(UnavailableError, match="cannot be read"):
                process.obtain(metadata)
        assert metadata.dialed == []
        assert swr.requests == acr.requests == []


# 166: tokens and keys in URLs and messages ----------------------------------------------------------------------------


def test_attack_166_secrets_are_in_no_url_and_in_no_message(tmp_path: Path) -> None:
    with SWRSimulator(clock=FakeClock()) as swr, AlibabaACRSimulator(clock=FakeClock()) as acr:
        for process in (huawei(swr, tmp_path / "token"), alibaba_process(acr, tmp_path / "token")):
            process.obtain()
        sent = [*swr.requests, *acr.requests]
        secrets = {swr.id_token, swr.secret_key, swr.security_token, acr.access_key_secret, acr.security_token}
        assert all(secret not in f"{request.path} {request.query}" for request in sent for secret in secrets)
        # A service that repeats what it was sent.
        echo = json.dumps({"error_code": "Bad", "Code": "Bad", "Message": sorted(secrets)}).encode()
        swr.faults.answer("/v3.0/OS-CREDENTIAL/securitytokens", 400, body=echo)
        acr.faults.answer("InstanceId", 400, body=echo)
        for process in (huawei(swr, tmp_path / "token"), alibaba_process(acr, tmp_path / "token")):
            with pytest.raises(UnavailableError, match="answers 400 Bad") as caught:
                process.obtain()
            said = f"{caught.value.message} {process.results.problems}"
            assert all(secret not in said for secret in secrets)


# 167: another service at the address of OKE ---------------------------------------------------------------------------


def test_attack_167_token_goes_only_to_a_certificate_of_the_clusters_ca(tmp_path: Path) -> None:
    """Not even to one that the settings, or the system, trust for this address."""
    with OKEWorkloadSimulator(tls=True) as cluster, OKEWorkloadSimulator(tls=True) as thief:
        oracle(cluster, cluster, tmp_path, cluster.ca_pem).obtain()
        with pytest.raises(UnavailableError, match="certificate"):
            oracle(thief, cluster, tmp_path, cluster.ca_pem).obtain()
        for ca in ("not a certificate", ""):
            with pytest.raises(UnavailableError, match="no pull credentials for"):
                oracle(thief, cluster, tmp_path, ca).obtain()
        assert thief.requests == []


# 168: the signed request, elsewhere or changed ------------------------------------------------------------------------


def test_attack_168_signed_request_follows_no_redirect_to_another_host(tmp_path: Path) -> None:
    with OKEWorkloadSimulator() as simulator, OKEWorkloadSimulator() as thief:
        simulator.faults.redirect("docker/token", f"{thief.url}/20180419/docker/token", status=307)
        with pytest.raises(UnavailableError, match="answers 307"):
            oracle(simulator, simulator, tmp_path, "").obtain()
        assert thief.requests == []


@pytest.mark.parametrize("session", ['ST$a.b.c",headers="date', "ST$a.b.c\r\nhost: evil.example", "ST$" + "a" * 40_000])
def test_attack_168_session_token_does_not_leave_its_place_in_the_header(tmp_path: Path, session: str) -> None:
    with OKEWorkloadSimulator() as oke, OKEWorkloadSimulator() as ocir:
        oke.session = session
        with pytest.raises(UnavailableError, match="no pull credentials for"):
            oracle(oke, ocir, tmp_path, "").obtain()
        assert ocir.requests == []
