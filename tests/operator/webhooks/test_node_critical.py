"""DaemonSets that a cluster needs before sealgate can start are reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate_operator.webhooks.node_critical import MAX_NAMES
from tests.operator.environment import POLICIES, eventually, running
from tests.operator.objects import policy
from tests.support.simulators.kubernetes import Fault

if TYPE_CHECKING:
    from tests.support.simulators.kubernetes import KubernetesSimulator

DAEMON_SETS = "/apis/apps/v1/daemonsets"
METRIC = "sealgate_operator_node_critical_daemonsets"


def _put(cluster: KubernetesSimulator, namespace: str, name: str, priority: str = "system-node-critical") -> str:
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    spec = {"priorityClassName": priority} if priority else {}
    cluster.put(path, {"metadata": {"name": name, "namespace": namespace}, "spec": {"template": {"spec": spec}}})
    return f"{path}/{name}"


def _condition(cluster: KubernetesSimulator, name: str = "p") -> dict[str, Any]:
    status = cluster.get(f"{POLICIES}/{name}").get("status") or {}
    found = [one for one in status.get("conditions", ()) if one["type"] == "ClusterRestartSafe"]
    return found[0] if found else {}


def _ready(cluster: KubernetesSimulator) -> str:
    conditions = cluster.get(f"{POLICIES}/p")["status"]["conditions"]
    return next(str(one["reason"]) for one in conditions if one["type"] == "Ready")


@pytest.fixture
def installed(cluster: KubernetesSimulator) -> KubernetesSimulator:
    cluster.put(POLICIES, policy("p", "a"))
    return cluster


def test_daemon_sets_in_included_namespaces_are_named(installed: KubernetesSimulator) -> None:
    _put(installed, "calico-system", "calico-node")
    _put(installed, "cilium", "cilium")
    _put(installed, "kube-system", "kube-proxy")
    _put(installed, "sealgate", "own")
    _put(installed, "monitoring", "node-exporter", "")
    _put(installed, "monitoring", "agent", "system-cluster-critical")
    with running(installed) as operator:
        eventually(lambda: _condition(installed).get("status") == "False")
        message = _condition(installed)["message"]
        assert "not excluded: calico-system/calico-node, cilium/cilium. If every node is lost" in message
        assert "webhook.excludedNamespaces" in message
        assert operator.operator.metrics.registry.get_sample_value(METRIC) == 2
        # The condition is about the cluster and not about the policy.
        assert _ready(installed) == "AuthenticatorNotFound"


def test_condition_follows_the_daemon_sets(installed: KubernetesSimulator) -> None:
    with running(installed, resync_seconds=0.1):
        eventually(lambda: _condition(installed).get("status") == "True")
        path = _put(installed, "cilium", "cilium")
        eventually(lambda: _condition(installed)["status"] == "False")
        installed.delete(path)
        eventually(lambda: _condition(installed)["status"] == "True")


def test_list_of_names_is_bounded(installed: KubernetesSimulator) -> None:
    for number in range(150):
        _put(installed, f"network-{number:03}", "node")
    with running(installed):
        eventually(lambda: _condition(installed).get("status") == "False")
        message = _condition(installed)["message"]
        assert f"network-{MAX_NAMES - 1:03}/node and {150 - MAX_NAMES} more." in message
        assert f"network-{MAX_NAMES:03}" not in message


def test_forbidden_list_makes_the_condition_unknown(installed: KubernetesSimulator) -> None:
    _put(installed, "cilium", "cilium")
    installed.faults.append(Fault(method="GET", path=DAEMON_SETS, status=403))
    with running(installed):
        eventually(lambda: _condition(installed).get("reason") == "NotListed")
        assert _condition(installed)["status"] == "Unknown"
        assert _ready(installed) == "AuthenticatorNotFound"


def test_fail_open_webhook_blocks_no_daemon_set(installed: KubernetesSimulator) -> None:
    _put(installed, "cilium", "cilium")
    with running(installed, failurePolicy="Ignore"):
        eventually(lambda: _condition(installed).get("reason") == "FailurePolicyIgnore")
        assert _condition(installed)["status"] == "True"
