"""Credentials of signature stores from Secrets of the cluster."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import UnavailableError
from sealgate.reasons import Reason
from sealgate_webhook.backends.cluster.backend import OwnSecrets

if TYPE_CHECKING:
    from sealgate.kubernetes.client import KubernetesAPI
    from tests.support.simulators.kubernetes import KubernetesSimulator

PATH = "/api/v1/namespaces/sealgate/secrets"


def put(cluster: KubernetesSimulator, name: str, **data: bytes) -> None:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    cluster.put(PATH, {"metadata": {"name": name}, "data": encoded})


def test_a_secret_is_read_as_it_is_now(api: KubernetesAPI, cluster: KubernetesSimulator) -> None:
    secrets = OwnSecrets(api, "sealgate", ["grafeas"])
    put(cluster, "grafeas", token=b"one")
    assert secrets.read("grafeas") == {"token": b"one"}
    put(cluster, "grafeas", token=b"two")
    assert secrets.read("grafeas") == {"token": b"two"}


def test_secret_for_another_purpose_is_never_requested(api: KubernetesAPI, cluster: KubernetesSimulator) -> None:
    put(cluster, "sealgate-webhook-tls", token=b"secret")
    with pytest.raises(UnavailableError, match=r"webhook\.serviceSecrets") as caught:
        OwnSecrets(api, "sealgate", ["grafeas"]).read("sealgate-webhook-tls")
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY


def test_a_secret_that_is_missing_or_broken_is_unavailable(api: KubernetesAPI, cluster: KubernetesSimulator) -> None:
    secrets = OwnSecrets(api, "sealgate", ["grafeas", "empty"])
    with pytest.raises(UnavailableError, match="there is no Secret grafeas"):
        secrets.read("grafeas")
    cluster.put(PATH, {"metadata": {"name": "grafeas"}, "data": {"token": "a"}})
    with pytest.raises(UnavailableError, match="not base64"):
        secrets.read("grafeas")
    cluster.put(PATH, {"metadata": {"name": "empty"}})
    assert secrets.read("empty") == {}
