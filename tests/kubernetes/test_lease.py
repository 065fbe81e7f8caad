from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import UnavailableError
from sealgate.kubernetes.client import KubernetesAPI
from sealgate.kubernetes.lease import Lease, NotLeadingError, Timing
from tests.operator.environment import LEASE, api_of, eventually, holder, log
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault
from tests.support.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.simulators.kubernetes import KubernetesSimulator

TIMING = Timing(duration=12, deadline=8, period=2)


def replica(cluster: KubernetesSimulator, name: str, clock: FakeClock, api: KubernetesAPI | None = None) -> Lease:
    return Lease(api or api_of(cluster), "sealgate", "sealgate-leader", name, clock, log(), TIMING)


def test_the_first_replica_gets_the_lease(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    one = replica(cluster, "one", clock)
    assert not one.leads()
    one.attempt()
    one.check()
    assert cluster.get(LEASE)["spec"] == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 12,
        "acquireTime": "2026-11-21T12:00:00.000000Z",
        "renewTime": "2026-11-21T12:00:00.000000Z",
        "leaseTransitions": 0,
    }


def test_second_replica_does_not_get_the_lease(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    one, two = replica(cluster, "one", clock), replica(cluster, "two", clock)
    for _ in range(20):
        one.attempt()
        two.attempt()
        assert one.leads()
        assert not two.leads()
        clock.advance(2)
    with pytest.raises(NotLeadingError):
        two.check()


def test_dead_leader_is_replaced_within_fifteen_seconds(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    one, two = replica(cluster, "one", clock), replica(cluster, "two", clock)
    one.attempt()
    two.attempt()
    waited = 0
    while not two.leads():
        # At no moment do both.
        clock.advance(1)
        waited += 1
        two.attempt()
        assert not (one.leads() and two.leads())
    assert waited <= 14
    assert cluster.get(LEASE)["spec"]["leaseTransitions"] == 1


def test_leader_without_the_api_server_stops_before_a_takeover(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    one = replica(cluster, "one", clock)
    one.attempt()
    cluster.faults.append(Fault("", "leases", 500))
    for _ in range(8):
        assert one.leads()
        with pytest.raises(UnavailableError):
            one.attempt()
        clock.advance(1)
    assert not one.leads()


def test_renewal_counts_from_its_request_time(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()

    class Slow(KubernetesAPI):
        def replace(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
            answer = super().replace(path, document)
            clock.advance(9)
            return answer

    one = replica(cluster, "one", clock, Slow(api_of(cluster).configuration))
    one.attempt()
    clock.advance(2)
    one.attempt()
    assert not one.leads()


def test_concurrent_candidates_get_one_lease(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    two = replica(cluster, "two", clock)

    class Overtaken(KubernetesAPI):
        def create(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
            two.attempt()
            return super().create(path, document)

        def replace(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
            two.attempt()
            return super().replace(path, document)

    one = replica(cluster, "one", clock, Overtaken(api_of(cluster).configuration))
    one.attempt()
    assert (one.leads(), two.leads()) == (False, True)
    clock.advance(20)
    one.attempt()
    clock.advance(20)
    one.attempt()
    assert (one.leads(), two.leads()) == (False, True)


def test_stopped_leader_releases_the_lease(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    one, two = replica(cluster, "one", clock), replica(cluster, "two", clock)
    with in_thread(one.run):
        cluster.wait_for(lambda simulator: holder(simulator) == "one")
        eventually(one.leads)
    assert holder(cluster) == ""
    assert not one.leads()
    two.attempt()
    assert two.leads()


def test_unreleased_lease_expires(cluster: KubernetesSimulator) -> None:
    clock, stop = FakeClock(), threading.Event()
    one = replica(cluster, "one", clock)
    one.attempt()
    cluster.faults.append(Fault("PUT", "leases", 500))
    stop.set()
    one.run(stop)
    assert holder(cluster) == "one"
    assert not one.leads()


def test_follower_releases_no_lease(cluster: KubernetesSimulator) -> None:
    stop = threading.Event()
    stop.set()
    replica(cluster, "one", FakeClock()).run(stop)
    assert cluster.requests == []


def test_unreachable_api_server_is_retried(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    cluster.faults.append(Fault("GET", "leases", 503, times=1))
    one = Lease(
        api_of(cluster),
        "sealgate",
        "sealgate-leader",
        "one",
        clock,
        log(),
        Timing(duration=1, deadline=1, period=0.01),
    )
    with in_thread(one.run):
        cluster.wait_for(lambda simulator: holder(simulator) == "one")


def test_existing_empty_lease_is_acquired(cluster: KubernetesSimulator) -> None:
    cluster.put(LEASE.rpartition("/")[0], {"metadata": {"name": "sealgate-leader"}})
    one = replica(cluster, "one", FakeClock())
    one.attempt()
    assert one.leads()


def test_longer_lease_of_another_holder_is_respected(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    spec = {"holderIdentity": "other", "leaseDurationSeconds": 60}
    cluster.put(LEASE.rpartition("/")[0], {"metadata": {"name": "sealgate-leader"}, "spec": spec})
    one = replica(cluster, "one", clock)
    one.attempt()
    clock.advance(59)
    one.attempt()
    assert not one.leads()
    clock.advance(1)
    one.attempt()
    assert one.leads()
