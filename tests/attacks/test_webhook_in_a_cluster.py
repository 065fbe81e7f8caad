"""Attacks on what the webhook takes from the API server: namespaces without labels, other tenants' Secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kubernetes.client.configuration import Configuration

from sealgate.errors import UnavailableError
from sealgate.kubernetes.client import KubernetesAPI
from sealgate.kubernetes.watch import Informer
from sealgate.process.logs import configure_logs
from sealgate.workloads.kinds import BUILT_IN
from sealgate_webhook.backends.cluster.namespaces import PATH, ClusterNamespaces, read_namespace
from sealgate_webhook.backends.cluster.pull_secrets import ClusterCredentials, SecretReader
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator
from tests.webhook.backends.cluster.test_pull_secrets import put_secret, request, username

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as cluster:
        yield cluster


@pytest.fixture
def api(cluster: KubernetesSimulator) -> KubernetesAPI:
    return KubernetesAPI(Configuration(host=cluster.url))


@pytest.fixture
def credentials(api: KubernetesAPI) -> ClusterCredentials:
    reader = SecretReader(api, FakeClock(), configure_logs("json"))
    return ClusterCredentials(reader, None, pull_secrets=True, kinds=BUILT_IN)


def test_attack_17_namespace_with_unknown_labels_is_not_guessed(
    cluster: KubernetesSimulator, api: KubernetesAPI
) -> None:
    listing = Informer(api, PATH, read_namespace, lambda: None, FakeClock(), configure_logs("json"))
    namespaces = ClusterNamespaces(listing, api)
    with pytest.raises(UnavailableError, match="there is no namespace shop"):
        namespaces.get("shop")
    cluster.faults.append(Fault("GET", "/namespaces/shop", 500))
    with pytest.raises(UnavailableError, match="500"):
        namespaces.get("shop")


def test_attack_24_secrets_of_other_namespaces_are_never_read(
    cluster: KubernetesSimulator, credentials: ClusterCredentials
) -> None:
    put_secret(cluster, "bank", "pull", "bank")
    for name in ("pull", "../bank/secrets/pull", "..%2fbank%2fsecrets%2fpull", "pull?namespace=bank"):
        assert username(credentials, request("shop", imagePullSecrets=[{"name": name}])) is None
    assert not any("/namespaces/bank/" in seen.path for seen in cluster.requests)


def test_attack_48_pods_with_other_secrets_have_other_sources(
    credentials: ClusterCredentials,
) -> None:
    reviews = [
        request("shop"),
        request("bank"),
        request("shop", serviceAccountName="builder"),
        request("shop", imagePullSecrets=[{"name": "a"}]),
        request("shop", imagePullSecrets=[{"name": "a"}, {"name": "b"}]),
        request("shop", imagePullSecrets=[{"name": "a,b"}]),
        request("shop", imagePullSecrets=[{"name": "builder"}]),
        request("shop", imagePullSecrets=[{"name": "default"}]),
    ]
    sources = [credentials.provider(review).source for review in reviews]
    assert len(set(sources)) == len(sources)
