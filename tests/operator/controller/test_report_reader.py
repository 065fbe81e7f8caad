"""The condition Reported of every policy, from the Lease of the reports' process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import SystemClock
from sealgate.policies.report_state import ReportState, encode_state
from sealgate_operator.controller.report_reader import ReportReader
from sealgate_operator.metrics import Metrics
from tests.operator.environment import POLICIES, api_of, install, log, running
from tests.support.builders.objects import policy
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

LEASES = "/apis/coordination.k8s.io/v1/namespaces/sealgate/leases"
APIS = ("wgpolicyk8s.io/v1alpha2",)


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as cluster:
        yield cluster


def renew(cluster: KubernetesSimulator, state: ReportState) -> None:
    lease = encode_state(state, "sealgate")
    cluster.put(LEASES, {"metadata": {"name": "sealgate-reports", **lease["metadata"]}, "spec": lease["spec"]})


def test_each_change_is_reported_once(cluster: KubernetesSimulator) -> None:
    clock, changes = FakeClock(), []
    metrics = Metrics(lambda: True)
    reader = ReportReader(
        api_of(cluster), "sealgate", "sealgate-reports", lambda: changes.append(1), clock, metrics, log()
    )
    assert reader.condition() is None

    def read() -> str:
        reader.read()
        reader.read()
        update = reader.condition()
        assert update is not None
        return update.reason

    found = [read()]
    cluster.put(LEASES, {"metadata": {"name": "sealgate-reports"}})
    found.append(read())
    renew(cluster, ReportState(clock.now(), (), 240))
    found.append(read())
    renew(cluster, ReportState(clock.now(), APIS, 240))
    found.append(read())
    clock.advance(241)
    found.append(read())
    assert found == ["NotKnown", "NoRoundYet", "NoReportAPI", "ReportsWritten", "ReportsStalled"]
    assert len(changes) == len(found)


def conditions(cluster: KubernetesSimulator) -> dict[str, Any]:
    status = cluster.get(f"{POLICIES}/production").get("status", {})
    return {one["type"]: one for one in status.get("conditions", ())}


def test_every_policy_says_whether_what_runs_is_reported(cluster: KubernetesSimulator) -> None:
    install(cluster)
    cluster.put(POLICIES, policy())
    renew(cluster, ReportState(SystemClock().now(), APIS, 86400))
    with running(cluster, reportsLease="sealgate-reports"):
        cluster.wait_for(lambda cluster: "Reported" in conditions(cluster))
    assert conditions(cluster)["Reported"]["status"] == "True"
    with running(cluster):
        cluster.wait_for(lambda cluster: "Reported" not in conditions(cluster))
