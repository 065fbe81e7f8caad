"""The operator keeps the status of exceptions, and works without the kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubernetes.client.configuration import Configuration

from sealgate.kubernetes.client import KubernetesAPI
from sealgate.process.logs import configure_logs
from sealgate_operator.controller.exceptions import PATH, ExceptionStatusWriter
from sealgate_operator.metrics import Metrics
from tests.kubernetes.conftest import running
from tests.support.builders.objects import exception
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


class Leader:
    """A fence that lets every write through."""

    def check(self) -> None:
        """Permit it."""


def writer(cluster: KubernetesSimulator, clock: FakeClock) -> Callable[[threading.Event], None]:
    return ExceptionStatusWriter(
        KubernetesAPI(Configuration(host=cluster.url)),
        fence=Leader(),
        clock=clock,
        metrics=Metrics(lambda: True),
        log=configure_logs("json"),
        period=0.02,
    ).run


def reason(cluster: KubernetesSimulator) -> str:
    conditions = (cluster.get(f"{PATH}/urgent").get("status") or {}).get("conditions") or [{"reason": ""}]
    return str(conditions[0]["reason"])


def test_the_status_follows_the_exception_and_the_time(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    with running([writer(cluster, clock)], cluster):
        cluster.put(PATH, exception("urgent"))
        cluster.wait_for(lambda cluster: reason(cluster) == "InForce")
        clock.advance(86400)
        cluster.wait_for(lambda cluster: reason(cluster) == "Ended")
    assert cluster.get(f"{PATH}/urgent")["spec"] == exception("urgent")["spec"]


def test_a_cluster_without_the_kind_is_none_of_its_errors(cluster: KubernetesSimulator) -> None:
    cluster.put(PATH, exception("urgent"))
    cluster.faults.append(Fault("GET", PATH, 404, times=3))
    with running([writer(cluster, FakeClock())], cluster):
        # It goes on, and finds the kind when it is there.
        cluster.wait_for(lambda cluster: reason(cluster) == "InForce")
