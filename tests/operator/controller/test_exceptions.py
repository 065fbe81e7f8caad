"""The operator keeps the status of exceptions, and works without the kind."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
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

    from sealgate.kubernetes.lease import Fence


def in_force(cluster: KubernetesSimulator, name: str) -> bool:
    return reason(cluster, name) == "InForce"


class Leader:
    """A fence that lets every write through."""

    def check(self) -> None:
        """Permit it."""


class Damaged:
    """A fence that has a defect at its first use."""

    def __init__(self) -> None:
        self._used = False

    def check(self) -> None:
        """Fail, then permit it."""
        if not self._used:
            self._used = True
            raise RuntimeError("a defect")


def writer(
    cluster: KubernetesSimulator, clock: FakeClock, fence: Fence | None = None
) -> Callable[[threading.Event], None]:
    return ExceptionStatusWriter(
        KubernetesAPI(Configuration(host=cluster.url)),
        timedelta(hours=72),
        fence=fence or Leader(),
        clock=clock,
        metrics=Metrics(lambda: True),
        log=configure_logs("json"),
        period=0.02,
    ).run


def reason(cluster: KubernetesSimulator, name: str = "urgent") -> str:
    conditions = (cluster.get(f"{PATH}/{name}").get("status") or {}).get("conditions") or [{"reason": ""}]
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


@pytest.mark.parametrize("status", [404, 409, 422])
def test_one_whose_status_is_not_taken_costs_the_others_nothing(cluster: KubernetesSimulator, status: int) -> None:
    cluster.put(PATH, exception("a-first"))
    cluster.put(PATH, exception("urgent"))
    cluster.faults.append(Fault("PATCH", f"{PATH}/a-first/status", status))
    with running([writer(cluster, FakeClock())], cluster):
        cluster.wait_for(lambda cluster: reason(cluster) == "InForce")
    assert reason(cluster, "a-first") == ""


def test_an_unexpected_error_ends_neither_the_round_nor_the_operator(cluster: KubernetesSimulator) -> None:
    cluster.put(PATH, exception("a-first"))
    cluster.put(PATH, exception("urgent"))
    with running([writer(cluster, FakeClock(), Damaged())], cluster):
        for name in ("a-first", "urgent"):
            cluster.wait_for(partial(in_force, name=name))
