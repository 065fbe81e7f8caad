from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client.configuration import Configuration

from sealgate.errors import UnavailableError
from sealgate.kubernetes.client import KubernetesAPI
from sealgate.reasons import Reason
from sealgate.trusted_state.records import TrustKey, TrustRecord
from sealgate_webhook.backends.cluster.trusted_state import MAX_BYTES, MAX_TRIES, SHARDS, ConfigMapTrustedState
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = [TrustKey("https://notary.example.org", f"dtr.example.org/dev/app-{number}") for number in range(40)]
MAPS = "/api/v1/namespaces/sealgate/configmaps"


@pytest.fixture
def state(cluster: KubernetesSimulator, api: KubernetesAPI) -> ConfigMapTrustedState:
    for number in range(SHARDS):
        cluster.put(MAPS, {"metadata": {"name": f"trusted-state-{number}"}})
    return ConfigMapTrustedState(api, "sealgate", "trusted-state", queue_seconds=60)


def test_state_is_shared_between_replicas(
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


def test_stored_versions_never_decrease(cluster: KubernetesSimulator, state: ConfigMapTrustedState) -> None:
    key = KEYS[0]
    state.advance(key, TrustRecord({"timestamp": 5}))
    writes = len(cluster.requests)
    assert state.advance(key, TrustRecord({"timestamp": 3})).version("timestamp") == 5
    assert [request.method for request in cluster.requests[writes:]] == ["GET"]
    assert state.advance(key, TrustRecord({"timestamp": 6})).version("timestamp") == 6


def test_concurrent_writes_of_replicas_are_merged(state: ConfigMapTrustedState) -> None:
    key = KEYS[0]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda role: state.advance(key, TrustRecord({f"targets/{role}": role})), range(1, 9)))
    assert state.load(key).versions == {f"targets/{role}": role for role in range(1, 9)}


def test_concurrent_writes_of_one_replica_do_not_conflict(
    cluster: KubernetesSimulator, state: ConfigMapTrustedState
) -> None:
    names = (f"dtr.example.org/dev/app-{number}" for number in range(1000))
    candidates = (TrustKey("https://notary.example.org", name) for name in names)
    keys = [key for key in candidates if state.describe(key).endswith("-0")][: 3 * MAX_TRIES]
    with ThreadPoolExecutor(len(keys)) as pool:
        list(pool.map(lambda key: state.advance(key, TrustRecord({"timestamp": 1})), keys))
    assert all(state.load(key).version("timestamp") == 1 for key in keys)
    assert sum(request.method == "PUT" for request in cluster.requests) == len(keys)


def test_write_to_a_hanging_api_server_has_a_deadline(
    cluster: KubernetesSimulator, state: ConfigMapTrustedState
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    class HangingAPI(KubernetesAPI):
        """Responds only when the test releases it."""

        def get(self, path: str, query: Mapping[str, str | int] | None = None) -> dict[str, Any]:
            asked.set()
            assert go_on.wait(100)
            return super().get(path, query)

    del state  # made the ConfigMaps
    impatient = ConfigMapTrustedState(
        HangingAPI(Configuration(host=cluster.url)), "sealgate", "trusted-state", queue_seconds=0
    )
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(impatient.advance, KEYS[0], TrustRecord({"timestamp": 1}))
        try:
            assert asked.wait(100)
            with pytest.raises(UnavailableError, match="waits for other writes"):
                impatient.advance(KEYS[0], TrustRecord({"timestamp": 2}))
        finally:
            go_on.set()
        assert first.result().version("timestamp") == 1


def test_constant_write_conflicts_are_unavailable(cluster: KubernetesSimulator, state: ConfigMapTrustedState) -> None:
    cluster.faults.append(Fault("PUT", "configmaps", 409))
    with pytest.raises(UnavailableError, match="other replicas keep changing it"):
        state.advance(KEYS[0], TrustRecord({"timestamp": 1}))


def test_full_config_map_is_reported_and_kept(cluster: KubernetesSimulator, state: ConfigMapTrustedState) -> None:
    key = KEYS[0]
    state.advance(key, TrustRecord({"root": 1}, b"root"))
    with pytest.raises(UnavailableError, match=r"is full with 1 repositories: remove the records") as full:
        state.advance(key, TrustRecord({"root": 2}, b"r" * MAX_BYTES))
    assert full.value.reason is Reason.STATE_UNAVAILABLE
    assert state.load(key).version("root") == 1
    assert [request.method for request in cluster.requests if request.method == "PUT"] == ["PUT"]


def test_damaged_record_is_an_error_and_never_empty(cluster: KubernetesSimulator, state: ConfigMapTrustedState) -> None:
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
