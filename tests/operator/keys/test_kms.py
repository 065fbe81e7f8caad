"""KMS keys in the status of an object, through the whole operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.clocks import SystemClock
from tests.operator.controller.test_reconciler import put, says
from tests.operator.environment import AUTHENTICATORS, install, running
from tests.operator.objects import authenticator, cosign, secret
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator

if TYPE_CHECKING:
    from tests.support.simulators.kubernetes import KubernetesSimulator

RELEASE = f"{AUTHENTICATORS}/release"


def entry(dew: DEWSimulator, key: str) -> dict[str, object]:
    huawei = {
        "region": "cn-north-4",
        "projectId": PROJECT,
        "keyId": key,
        "endpoint": dew.url,
        "credentialsSecret": {"name": "dew"},
    }
    return {"kms": {"huawei": huawei}}


def test_kms_key_expires_in_the_status_and_is_refused_when_disabled(
    cluster: KubernetesSimulator,
) -> None:
    with DEWSimulator(clock=SystemClock()) as dew:
        install(cluster)
        dew.add("good", "EC_P256")
        dew.add("disabled", "EC_P256")
        dew.keys["disabled"].state = "3"
        credentials = dict(dew.secret)
        with running(cluster, registries={"insecure": [dew.host]}):
            put(cluster, authenticator("release", cosign(entry(dew, "good"))))
            cluster.wait_for(says(RELEASE, "False"))
            put(cluster, secret("dew", **credentials))
            cluster.wait_for(says(RELEASE, "True"), 60)
            (key,) = cluster.get(RELEASE)["status"]["keys"]
            assert key["source"] == f"kms huawei cn-north-4/{PROJECT}/good at {dew.url}"
            assert key["state"] == "Accepted"
            assert key["validUntil"] > key["observedAt"]
            put(cluster, authenticator("release", cosign(entry(dew, "disabled"))))
            cluster.wait_for(says(RELEASE, "False"))
            (key,) = cluster.get(RELEASE)["status"]["keys"]
            assert (key["state"], key.get("pem")) == ("Refused", None)
