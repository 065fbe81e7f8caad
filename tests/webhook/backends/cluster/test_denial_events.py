from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate_webhook.backends.cluster.denial_events import BURST, DenialEvents
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


def denied(name: str = "app", metadata: dict[str, Any] | None = None, **fields: Any) -> AdmissionRequest:
    obj = {"metadata": metadata or {"name": name}}
    return AdmissionRequest("1", "", "Pod", "", "shop", name, "CREATE", obj, None, **fields)


def made(cluster: KubernetesSimulator, count: int) -> list[dict[str, Any]]:
    """Return the Events, once there are so many."""
    cluster.wait_for(lambda cluster: len(cluster.find("events")) >= count)
    return cluster.find("events")


@pytest.fixture
def recorder(api: KubernetesAPI, log: FilteringBoundLogger) -> DenialEvents:
    return DenialEvents(api, "sealgate-webhook-0", LISTED.__contains__, FakeClock(), Metrics(log), log)


def test_denial_becomes_an_event_of_the_object(cluster: KubernetesSimulator, recorder: DenialEvents) -> None:
    with running([recorder.run], cluster):
        recorder.denied(denied(), "denied because")
        (event,) = made(cluster, 1)
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "app"}
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "ImageDenied", "denied because")
    assert event["metadata"]["namespace"] == "shop"


def test_denial_of_an_unnamed_pod_is_an_event_of_its_owner(
    cluster: KubernetesSimulator, recorder: DenialEvents
) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-5d", "uid": "u-1", "controller": True}
    with running([recorder.run], cluster):
        recorder.denied(denied("", {"generateName": "app-5d-", "ownerReferences": [owner]}), "denied")
        recorder.denied(denied("", {"generateName": "lone-"}), "denied")
        recorder.denied(denied("", {"ownerReferences": ["rubbish", {"controller": True}]}), "denied")
        events = made(cluster, 3)
    assert {(event["involvedObject"]["kind"], event["involvedObject"]["name"]) for event in events} == {
        ("ReplicaSet", "app-5d"),
        ("Pod", "lone"),
        ("Pod", "unnamed"),
    }


def test_the_same_denial_again_counts_its_event_up(cluster: KubernetesSimulator, recorder: DenialEvents) -> None:
    with running([recorder.run], cluster):
        for _ in range(3):
            recorder.denied(denied(), "denied")
        cluster.wait_for(lambda cluster: [event["count"] for event in cluster.find("events")] == [3])


def test_deleted_event_is_recreated_and_existing_one_counted_up(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger, recorder: DenialEvents
) -> None:
    other = DenialEvents(api, "sealgate-webhook-1", LISTED.__contains__, FakeClock(), Metrics(log), log)
    with running([recorder.run, other.run], cluster):
        recorder.denied(denied(), "denied")
        (event,) = made(cluster, 1)
        other.denied(denied(), "denied")
        cluster.wait_for(lambda cluster: cluster.find("events")[0]["count"] == 2)
        cluster.delete(f"/api/v1/namespaces/shop/events/{event['metadata']['name']}")
        recorder.denied(denied(), "denied")
        made(cluster, 1)


def test_number_of_events_is_limited(cluster: KubernetesSimulator, recorder: DenialEvents) -> None:
    with running([recorder.run], cluster):
        for number in range(BURST + 20):
            recorder.denied(denied(f"app-{number}"), "denied")
        other = AdmissionRequest("1", "", "Pod", "", "other", "app", "CREATE", {}, None)
        recorder.denied(other, "denied")
        cluster.wait_for(lambda cluster: any(e["metadata"]["namespace"] == "other" for e in cluster.find("events")))
    assert len(cluster.find("events")) == BURST + 1


def test_dry_run_makes_no_event_and_recorder_survives_failures(
    cluster: KubernetesSimulator, recorder: DenialEvents
) -> None:
    cluster.faults.append(Fault("POST", EVENTS, 500, times=1))
    with running([recorder.run], cluster):
        recorder.denied(denied("dry", dry_run=True), "denied")
        recorder.denied(denied("lost"), "denied")
        recorder.denied(denied("kept"), "denied")
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
    cluster: KubernetesSimulator, recorder: DenialEvents, unusable: AdmissionRequest
) -> None:
    with running([recorder.run], cluster):
        recorder.denied(unusable, "denied")
        recorder.denied(denied(), "denied")
        (event,) = made(cluster, 1)
    assert event["involvedObject"]["name"] == "app"


def test_namespaces_that_are_not_listed_share_one_budget(cluster: KubernetesSimulator, recorder: DenialEvents) -> None:
    for number in range(BURST + 20):
        recorder.denied(AdmissionRequest("1", "", "Pod", "", f"made-up-{number}", "app", "CREATE", {}, None), "denied")
    recorder.denied(denied(), "denied")
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
    cluster: KubernetesSimulator, recorder: DenialEvents, forged: AdmissionRequest
) -> None:
    with running([recorder.run], cluster):
        recorder.denied(forged, "denied")
        recorder.denied(denied(), "denied")
        (event,) = made(cluster, 1)
    assert event["involvedObject"]["name"] == "app"


def test_an_owner_that_there_could_not_be_is_left_out(cluster: KubernetesSimulator, recorder: DenialEvents) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "Run this", "uid": "u-1", "controller": True}
    with running([recorder.run], cluster):
        recorder.denied(denied("app", {"ownerReferences": [owner]}), "denied")
        (event,) = made(cluster, 1)
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "app"}
