"""The self-test's client certificate: created once, renewed in time, valid for no other purpose."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from kubernetes.client.configuration import Configuration

from sealgate.errors import UnavailableError
from sealgate.kubernetes.client import KubernetesAPI
from sealgate.process.logs import configure_logs
from sealgate_operator.certificates.filled_secret import FilledSecretReconciler
from sealgate_operator.certificates.self_test import (
    CERTIFICATE,
    KEY,
    LIFETIME,
    TRUSTED,
    next_data,
)
from sealgate_operator.metrics import Metrics
from tests.support.clocks import NOW, FakeClock
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRETS = "/api/v1/namespaces/sealgate/secrets"


class Unfenced:
    """A fence that permits every write."""

    def check(self) -> None:
        """Do nothing."""


def made_of(data: dict[str, bytes]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(data[CERTIFICATE])


def test_self_test_certificate_is_for_clients_only() -> None:
    data = next_data({}, NOW)
    assert data is not None
    certificate = made_of(data)
    extensions = certificate.extensions
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert certificate.issuer == certificate.subject
    assert data[TRUSTED] == data[CERTIFICATE]
    assert next_data(data, NOW) is None


def test_renewal_trusts_both_certificates() -> None:
    first = next_data({}, NOW)
    assert first is not None
    assert next_data(first, NOW + LIFETIME * 0.6) is None
    second = next_data(first, NOW + LIFETIME * 0.7)
    assert second is not None
    assert second[TRUSTED] == second[CERTIFICATE] + first[CERTIFICATE]
    third = next_data(second, NOW + LIFETIME * 1.5)
    assert third is not None
    assert first[CERTIFICATE] not in third[TRUSTED]


def test_unusable_self_test_certificate_is_recreated() -> None:
    good, other = next_data({}, NOW), next_data({}, NOW)
    assert good is not None
    assert other is not None
    for spoilt in (
        {**good, KEY: b""},
        {**good, KEY: other[KEY]},
        {**good, CERTIFICATE: b"nonsense"},
    ):
        assert (next_data(spoilt, NOW) or {}).keys() == {CERTIFICATE, KEY, TRUSTED}
    # Made by a clock that was wrong.
    assert next_data(good, NOW - timedelta(days=1)) is not None
    assert next_data({**good, TRUSTED: b""}, NOW) == {TRUSTED: good[CERTIFICATE]}


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as cluster:
        yield cluster


def test_secret_of_the_chart_is_filled_and_never_created(cluster: KubernetesSimulator) -> None:
    log = configure_logs("json")
    keeper = FilledSecretReconciler(
        "self-test certificate",
        f"{SECRETS}/self-test",
        next_data,
        api=KubernetesAPI(Configuration(host=cluster.url)),
        clock=FakeClock(),
        fence=Unfenced(),
        metrics=Metrics(lambda: True),
        log=log,
    )
    with pytest.raises(UnavailableError):
        keeper.reconcile()
    assert cluster.find("secrets") == []
    cluster.put(SECRETS, {"metadata": {"name": "self-test", "namespace": "sealgate"}, "type": "Opaque"})
    keeper.reconcile()
    (secret,) = cluster.find("secrets")
    assert secret["data"].keys() == {CERTIFICATE, KEY, TRUSTED}
    assert base64.b64decode(secret["data"][CERTIFICATE]) == base64.b64decode(secret["data"][TRUSTED])
    writes = len([request for request in cluster.requests if request.method == "PATCH"])
    keeper.reconcile()
    assert len([request for request in cluster.requests if request.method == "PATCH"]) == writes
