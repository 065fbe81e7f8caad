"""The exceptions of a cluster: in force soon, gone at once, absent without the CRD; and their Events."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sealgate.kubernetes.events import EventWriter
from sealgate.policies.decisions import UnmatchedImages
from sealgate.references import parse_reference
from sealgate.service_secrets import NoServiceSecrets
from sealgate_webhook.backends.cluster.decision_events import EXCEPTION_CHANGED, EXCEPTION_USED, DecisionEvents
from sealgate_webhook.backends.cluster.exceptions import EXCEPTIONS
from sealgate_webhook.backends.cluster.policies import POLICIES, ClusterPolicies
from sealgate_webhook.metrics import Metrics
from sealgate_webhook.reviews.request import AdmissionRequest
from tests.kubernetes.conftest import running
from tests.support.builders.objects import exception, policy
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator
from tests.webhook.excepted import stored

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.verification.policy_sets import PolicySet

IMAGE = parse_reference("registry.example.org/app:1")
PATIENCE = 150.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics(log: FilteringBoundLogger) -> Metrics:
    return Metrics(log)


@pytest.fixture
def policies(api: KubernetesAPI, clock: FakeClock, metrics: Metrics, log: FilteringBoundLogger) -> ClusterPolicies:
    return ClusterPolicies(api, UnmatchedImages.DENY, timedelta(hours=72), NoServiceSecrets(), clock, metrics, log)


def wait_for(policies: ClusterPolicies, holds: Callable[[PolicySet], bool]) -> PolicySet:
    """Return the set once it satisfies the condition; fail after a timeout."""
    end = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        current = policies.current()
        if current is not None and holds(current):
            return current
        end.wait(0.02)
    raise AssertionError("the set never came to that")


def names(current: PolicySet) -> list[str]:
    return [found.name for found in current.exceptions.match(IMAGE, "1", "default")]


def test_an_exception_is_in_force_and_gone_at_once(
    cluster: KubernetesSimulator, policies: ClusterPolicies, metrics: Metrics, clock: FakeClock
) -> None:
    def open_now() -> float | None:
        return metrics.registry.get_sample_value("sealgate_exceptions_open")

    with running(policies.tasks(), cluster):
        wait_for(policies, lambda _: True)
        assert open_now() == 0
        cluster.put(EXCEPTIONS, stored(exception("urgent")))
        wait_for(policies, lambda current: names(current) == ["urgent"])
        assert open_now() == 1
        cluster.put(EXCEPTIONS, stored(exception("more")))
        wait_for(policies, lambda current: names(current) == ["more", "urgent"])
        cluster.delete(f"{EXCEPTIONS}/urgent")
        wait_for(policies, lambda current: names(current) == ["more"])
        clock.advance(86400)
        assert open_now() == 0


def test_those_that_have_ended_cost_no_review(
    cluster: KubernetesSimulator, policies: ClusterPolicies, clock: FakeClock
) -> None:
    cluster.put(EXCEPTIONS, stored(exception("ended", expires_at="2026-11-21T11:00:00Z")))
    cluster.put(EXCEPTIONS, stored(exception("soon", expires_at="2026-11-21T12:00:10Z")))
    cluster.put(EXCEPTIONS, stored(exception("urgent")))
    with running(policies.tasks(), cluster):
        wait_for(policies, lambda current: names(current) == ["soon", "urgent"])
        clock.advance(10)
        cluster.delete(f"{EXCEPTIONS}/ended")
        wait_for(policies, lambda current: names(current) == ["urgent"])


def test_a_status_write_recompiles_nothing(cluster: KubernetesSimulator, policies: ClusterPolicies) -> None:
    cluster.put(EXCEPTIONS, stored(exception("urgent")))
    with running(policies.tasks(), cluster):
        before = wait_for(policies, lambda current: names(current) == ["urgent"])
        cluster.put(EXCEPTIONS, {**cluster.get(f"{EXCEPTIONS}/urgent"), "status": {"observedGeneration": 3}})
        cluster.put(EXCEPTIONS, stored(exception("zlast")))
        after = wait_for(policies, lambda current: names(current) == ["urgent", "zlast"])
    assert before.exceptions.exceptions[0] is after.exceptions.exceptions[0]


def test_one_that_was_made_anew_is_another_one(
    cluster: KubernetesSimulator, policies: ClusterPolicies, clock: FakeClock
) -> None:
    cluster.put(EXCEPTIONS, stored(exception("urgent", expires_at="2026-11-21T12:00:10Z")))
    with running(policies.tasks(), cluster):
        wait_for(policies, lambda current: names(current) == ["urgent"])
        cluster.delete(f"{EXCEPTIONS}/urgent")
        clock.advance(60)
        cluster.put(EXCEPTIONS, stored(exception("urgent") | {"metadata": {"name": "urgent", "uid": "u-2"}}))
        wait_for(
            policies,
            lambda current: [e.in_force(clock) for e in current.exceptions.exceptions if e.name == "urgent"] == [True],
        )


def test_a_cluster_without_the_kind_has_policies_and_no_exceptions(
    cluster: KubernetesSimulator, policies: ClusterPolicies
) -> None:
    cluster.put(POLICIES, policy("p", "**"))
    cluster.faults.append(Fault("GET", EXCEPTIONS, 404))
    with running(policies.tasks(), cluster):
        assert names(wait_for(policies, lambda current: bool(current.index.policies))) == []
        cluster.put(EXCEPTIONS, stored(exception("urgent")))
        cluster.faults.clear()
        wait_for(policies, lambda current: names(current) == ["urgent"])


def test_exceptions_end_with_their_kind(cluster: KubernetesSimulator, policies: ClusterPolicies) -> None:
    cluster.put(EXCEPTIONS, stored(exception("urgent")))
    with running(policies.tasks(), cluster):
        wait_for(policies, lambda current: names(current) == ["urgent"])
        cluster.faults.append(Fault("GET", EXCEPTIONS, 404))
        cluster.end_watches()
        wait_for(policies, lambda current: names(current) == [])


def test_one_that_cannot_be_read_lifts_nothing_and_is_in_a_metric(
    cluster: KubernetesSimulator, policies: ClusterPolicies, metrics: Metrics
) -> None:
    broken = exception("broken")
    broken["spec"]["users"] = ["of a later release"]
    cluster.put(EXCEPTIONS, stored(broken))
    cluster.put(EXCEPTIONS, stored(exception("urgent")))
    with running(policies.tasks(), cluster):
        labels = {"kind": "VerificationException", "name": "broken"}
        # Reported once the set is in force.
        current = wait_for(
            policies, lambda _: metrics.registry.get_sample_value("sealgate_unreadable_objects", labels) == 1
        )
        assert names(current) == ["urgent"]


def test_a_change_is_an_event_of_the_exception_and_a_use_one_of_the_workload(
    cluster: KubernetesSimulator, api: KubernetesAPI, metrics: Metrics, clock: FakeClock, log: FilteringBoundLogger
) -> None:
    writer = EventWriter(api, "sealgate", "sealgate-webhook-0", clock)
    changed, used = (
        DecisionEvents(writer, kind, {"default", "shop"}.__contains__, clock, metrics, log)
        for kind in (EXCEPTION_CHANGED, EXCEPTION_USED)
    )
    obj = {"metadata": {"name": "urgent", "uid": "u-1"}}
    made = AdmissionRequest("1", "sealgate.dev", "VerificationException", "", "", "urgent", "CREATE", obj, None)
    pod = AdmissionRequest("1", "", "Pod", "", "shop", "web", "CREATE", {"metadata": {"name": "web"}}, None)
    with running([changed.run, used.run], cluster):
        changed.changed(made, "alice made it")
        used.decided(pod, "admitted by exception urgent", "aaaaaaaa-22222222")
        cluster.wait_for(lambda cluster: len(cluster.find("events")) == 2)
    events = {event["reason"]: event for event in cluster.find("events")}
    assert events["ExceptionChanged"]["message"] == "alice made it"
    assert events["ExceptionChanged"]["metadata"]["namespace"] == "default"
    assert events["ExceptionChanged"]["involvedObject"] == {
        "apiVersion": "sealgate.dev/v1alpha1",
        "kind": "VerificationException",
        "name": "urgent",
        "uid": "u-1",
    }
    assert events["ExceptionUsed"]["metadata"]["namespace"] == "shop"


def test_a_change_that_gets_no_event_is_in_the_log(
    api: KubernetesAPI, metrics: Metrics, clock: FakeClock, log: FilteringBoundLogger, output: io.StringIO
) -> None:
    writer = EventWriter(api, "sealgate", "sealgate-webhook-0", clock)
    events = DecisionEvents(writer, EXCEPTION_CHANGED, {"default"}.__contains__, clock, metrics, log)
    for number in range(100):
        name = f"urgent-{number}"
        obj = {"metadata": {"name": name}}
        made = AdmissionRequest(str(number), "sealgate.dev", "VerificationException", "", "", name, "CREATE", obj, None)
        events.changed(made, f"mallory made {name}")
    dropped = metrics.registry.get_sample_value("sealgate_events_dropped_total")
    assert dropped is not None
    assert dropped > 0
    lines = map(json.loads, output.getvalue().splitlines())
    changes = [line["change"] for line in lines if "change" in line]
    assert changes == [f"mallory made urgent-{number}" for number in range(100)]
