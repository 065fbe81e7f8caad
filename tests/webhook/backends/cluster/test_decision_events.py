from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.decision_ids import new_decision_id
from sealgate.kubernetes.events import MAX_MESSAGE, EventWriter
from sealgate_webhook.backends.cluster.decision_events import (
    BURST,
    DENIED,
    WOULD_BE_DENIED,
    DecisionEvents,
    EventKind,
)
from sealgate_webhook.metrics import Metrics
from sealgate_webhook.reviews.request import AdmissionRequest
from tests.kubernetes.conftest import running
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI

EVENTS = "/namespaces/shop/events"
LISTED = {"shop", "other"}
ID = "aaaaaaaa-22222222"


def denied(name: str = "app", metadata: dict[str, Any] | None = None, **fields: Any) -> AdmissionRequest:
    obj = {"metadata": metadata or {"name": name}}
    return AdmissionRequest("1", "", "Pod", "", "shop", name, "CREATE", obj, None, **fields)


def made(cluster: KubernetesSimulator, count: int) -> list[dict[str, Any]]:
    """Return the Events, once there are so many."""
    cluster.wait_for(lambda cluster: len(cluster.find("events")) >= count)
    return cluster.find("events")


def recorder_of(
    api: KubernetesAPI, log: FilteringBoundLogger, replica: str = "sealgate-webhook-0", kind: EventKind = DENIED
) -> DecisionEvents:
    clock = FakeClock()
    writer = EventWriter(api, "sealgate", replica, clock)
    return DecisionEvents(writer, kind, LISTED.__contains__, clock, Metrics(log), log)


@pytest.fixture
def recorder(api: KubernetesAPI, log: FilteringBoundLogger) -> DecisionEvents:
    return recorder_of(api, log)


def test_denial_becomes_an_event_of_the_object(cluster: KubernetesSimulator, recorder: DecisionEvents) -> None:
    with running([recorder.run], cluster):
        recorder.decided(denied(), "denied because", ID)
        (event,) = made(cluster, 1)
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "app"}
    assert (event["type"], event["reason"]) == ("Warning", "ImageDenied")
    assert event["message"] == f"denied because (decision {ID})"
    assert event["metadata"]["namespace"] == "shop"


def test_denial_of_an_unnamed_pod_is_an_event_of_its_owner(
    cluster: KubernetesSimulator, recorder: DecisionEvents
) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-5d", "uid": "u-1", "controller": True}
    with running([recorder.run], cluster):
        recorder.decided(denied("", {"generateName": "app-5d-", "ownerReferences": [owner]}), "denied", ID)
        recorder.decided(denied("", {"generateName": "lone-"}), "denied", ID)
        recorder.decided(denied("", {"ownerReferences": ["rubbish", {"controller": True}]}), "denied", ID)
        events = made(cluster, 3)
    assert {(event["involvedObject"]["kind"], event["involvedObject"]["name"]) for event in events} == {
        ("ReplicaSet", "app-5d"),
        ("Pod", "lone"),
        ("Pod", "unnamed"),
    }


def test_the_same_denial_again_counts_its_event_up(cluster: KubernetesSimulator, recorder: DecisionEvents) -> None:
    with running([recorder.run], cluster):
        for _ in range(3):
            recorder.decided(denied(), "denied", ID)
        cluster.wait_for(lambda cluster: [event["count"] for event in cluster.find("events")] == [3])


def test_repeated_denial_stays_one_event_with_the_newest_id(
    cluster: KubernetesSimulator, recorder: DecisionEvents
) -> None:
    newest = new_decision_id()
    with running([recorder.run], cluster):
        recorder.decided(denied(), "x" * 2000, ID)
        recorder.decided(denied(), "x" * 2000, newest)
        cluster.wait_for(lambda cluster: [event["count"] for event in cluster.find("events")] == [2])
    (event,) = cluster.find("events")
    assert event["message"].endswith(f"xxx (decision {newest})")
    assert len(event["message"]) == MAX_MESSAGE


def test_deleted_event_is_recreated_and_existing_one_counted_up(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger, recorder: DecisionEvents
) -> None:
    other = recorder_of(api, log, "sealgate-webhook-1")
    with running([recorder.run, other.run], cluster):
        recorder.decided(denied(), "denied", ID)
        (event,) = made(cluster, 1)
        other.decided(denied(), "denied", ID)
        cluster.wait_for(lambda cluster: cluster.find("events")[0]["count"] == 2)
        cluster.delete(f"/api/v1/namespaces/shop/events/{event['metadata']['name']}")
        recorder.decided(denied(), "denied", ID)
        made(cluster, 1)


def test_number_of_events_is_limited(cluster: KubernetesSimulator, recorder: DecisionEvents) -> None:
    with running([recorder.run], cluster):
        for number in range(BURST + 20):
            recorder.decided(denied(f"app-{number}"), "denied", ID)
        other = AdmissionRequest("1", "", "Pod", "", "other", "app", "CREATE", {}, None)
        recorder.decided(other, "denied", ID)
        cluster.wait_for(lambda cluster: any(e["metadata"]["namespace"] == "other" for e in cluster.find("events")))
    assert len(cluster.find("events")) == BURST + 1


def test_dry_run_makes_no_event_and_recorder_survives_failures(
    cluster: KubernetesSimulator, recorder: DecisionEvents
) -> None:
    cluster.faults.append(Fault("POST", EVENTS, 500, times=1))
    with running([recorder.run], cluster):
        recorder.decided(denied("dry", dry_run=True), "denied", ID)
        recorder.decided(denied("lost"), "denied", ID)
        recorder.decided(denied("kept"), "denied", ID)
        (event,) = made(cluster, 1)
    assert event["involvedObject"]["name"] == "kept"


@pytest.mark.parametrize(
    "unusable",
    [
        denied("", {"generateName": "\ud800"}),
        AdmissionRequest("1", "", "Pod", "", "\ud800", "app", "CREATE", {}, None),
    ],
)
def test_denial_without_an_event_target_does_not_affect_others(
    cluster: KubernetesSimulator, recorder: DecisionEvents, unusable: AdmissionRequest
) -> None:
    with running([recorder.run], cluster):
        recorder.decided(unusable, "denied", ID)
        recorder.decided(denied(), "denied", ID)
        (event,) = made(cluster, 1)
    assert event["involvedObject"]["name"] == "app"


def test_namespaces_that_are_not_listed_share_one_budget(
    cluster: KubernetesSimulator, recorder: DecisionEvents
) -> None:
    for number in range(BURST + 20):
        recorder.decided(
            AdmissionRequest("1", "", "Pod", "", f"made-up-{number}", "app", "CREATE", {}, None), "denied", ID
        )
    recorder.decided(denied(), "denied", ID)
    with running([recorder.run], cluster):
        cluster.wait_for(lambda cluster: any(e["metadata"]["namespace"] == "shop" for e in cluster.find("events")))
    assert len(cluster.find("events")) == BURST + 1


@pytest.mark.parametrize(
    "forged",
    [
        AdmissionRequest("1", "", "Pod", "", "shop/../bank", "app", "CREATE", {}, None),
        AdmissionRequest("1", "", "Pod", "", "shop", "app\nRun this", "CREATE", {}, None),
        AdmissionRequest("1", "", "Pod", "", "shop", "a" * 254, "CREATE", {}, None),
        AdmissionRequest("1", "", "Pod and more", "", "shop", "app", "CREATE", {}, None),
        AdmissionRequest("1", "apps v1", "Deployment", "", "shop", "app", "CREATE", {}, None),
        denied("", {"generateName": "Run this"}),
    ],
)
def test_an_event_is_about_objects_that_there_could_be(
    cluster: KubernetesSimulator, recorder: DecisionEvents, forged: AdmissionRequest
) -> None:
    with running([recorder.run], cluster):
        recorder.decided(forged, "denied", ID)
        recorder.decided(denied(), "denied", ID)
        (event,) = made(cluster, 1)
    assert event["involvedObject"]["name"] == "app"


def test_an_owner_that_there_could_not_be_is_left_out(cluster: KubernetesSimulator, recorder: DecisionEvents) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "Run this", "uid": "u-1", "controller": True}
    with running([recorder.run], cluster):
        recorder.decided(denied("app", {"ownerReferences": [owner]}), "denied", ID)
        (event,) = made(cluster, 1)
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "app"}


def test_would_be_denials_take_nothing_from_denials(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger, recorder: DecisionEvents
) -> None:
    would_be = recorder_of(api, log, kind=WOULD_BE_DENIED)
    for number in range(5000):
        would_be.decided(denied(f"app-{number}"), "would be denied", ID)
    recorder.decided(denied(), "denied", ID)
    with running([would_be.run, recorder.run], cluster):
        events = made(cluster, BURST + 1)
    assert sorted(event["reason"] for event in events) == ["ImageDenied"] + ["ImageWouldBeDenied"] * BURST


def test_would_be_denials_of_all_namespaces_together_are_limited(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger
) -> None:
    metrics = Metrics(log)
    clock = FakeClock()
    writer = EventWriter(api, "sealgate", "sealgate-webhook-0", clock)
    would_be = DecisionEvents(writer, WOULD_BE_DENIED, lambda _: True, clock, metrics, log)
    for number in range(1000):
        would_be.decided(
            AdmissionRequest("1", "", "Pod", "", f"team-{number}", "app", "CREATE", {}, None), "would be denied", ID
        )
    limit = int(WOULD_BE_DENIED.total_per_minute)
    assert metrics.registry.get_sample_value("sealgate_events_dropped_total") == 1000 - limit
    with running([would_be.run], cluster):
        made(cluster, limit)
