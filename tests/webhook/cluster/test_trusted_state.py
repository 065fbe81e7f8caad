from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import Reason, UnavailableError
from sealgate.trusted_state import TrustKey, TrustRecord
from sealgate_webhook.cluster.trusted_state import SHARDS, ConfigMapTrustedState
from tests.support.kubernetes_simulator import Fault, KubernetesSimulator

if TYPE_CHECKING:
    from sealgate.services.kubernetes_api import KubernetesAPI

KEYS = [TrustKey("https://notary.example.org", f"dtr.example.org/dev/app-{number}") for number in range(40)]
MAPS = "/api/v1/namespaces/sealgate/configmaps"


@pytest.fixture
def state(cluster: KubernetesSimulator, api: KubernetesAPI) -> ConfigMapTrustedState:
    for number in range(SHARDS):
        cluster.put(MAPS, {"metadata": {"name": f"trusted-state-{number}"}})
    return ConfigMapTrustedState(api, "sealgate", "trusted-state")


def test_what_one_replica_remembers_another_knows(
    cluster: KubernetesSimulator, api: KubernetesAPI, state: ConfigMapTrustedState
) -> None:
    other = ConfigMapTrustedState(api, "sealgate", "trusted-state")
    for number, key in enumerate(KEYS, start=1):
        assert other.load(key) == TrustRecord()
        state.advance(key, TrustRecord({"root": number, "timestamp": 7}, b"root"))
    for number, key in enumerate(KEYS, start=1):
        assert other.load(key) == TrustRecord({"root": number, "timestamp": 7}, b"root")
    used = [obj for obj in cluster.find("configmaps") if obj.get("data")]
    assert len(used) > 1


def test_memory_only_goes_forward(cluster: KubernetesSimulator, state: ConfigMapTrustedState) -> None:
    key = KEYS[0]
    state.advance(key, TrustRecord({"timestamp": 5}))
    writes = len(cluster.requests)
    assert state.advance(key, TrustRecord({"timestamp": 3})).version("timestamp") == 5
    assert [request.method for request in cluster.requests[writes:]] == ["GET"]
    assert state.advance(key, TrustRecord({"timestamp": 6})).version("timestamp") == 6


def test_replicas_that_write_at_once_lose_nothing(state: ConfigMapTrustedState) -> None:
    key = KEYS[0]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda role: state.advance(key, TrustRecord({f"targets/{role}": role})), range(1, 9)))
    assert state.load(key).versions == {f"targets/{role}": role for role in range(1, 9)}


def test_what_is_written_by_others_all_the_time_is_unavailable(
    cluster: KubernetesSimulator, state: ConfigMapTrustedState
) -> None:
    cluster.faults.append(Fault("PUT", "configmaps", 409))
    with pytest.raises(UnavailableError, match="all the time"):
        state.advance(KEYS[0], TrustRecord({"timestamp": 1}))


def test_a_record_that_is_missing_or_damaged_is_an_error_and_never_an_empty_one(
    cluster: KubernetesSimulator, state: ConfigMapTrustedState
) -> None:
    key = KEYS[0]
    state.advance(key, TrustRecord({"timestamp": 1}))
    (name,) = [obj["metadata"]["name"] for obj in cluster.find("configmaps") if obj.get("data")]
    assert name in state.describe(key)
    cluster.put(MAPS, {"metadata": {"name": name}, "data": {key.hashed: "{}"}})
    with pytest.raises(UnavailableError, match="damaged") as damaged:
        state.load(key)
    assert damaged.value.reason is Reason.STATE_UNAVAILABLE
    cluster.delete(f"{MAPS}/{name}")
    with pytest.raises(UnavailableError, match="there is no ConfigMap"):
        state.load(key)
