from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import NotFoundError
from sealgate.kubernetes.client import ConflictError
from sealgate.kubernetes.events import MAX_MESSAGE, Event, EventWriter
from tests.operator.environment import api_of
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from tests.support.simulators.kubernetes import KubernetesSimulator

POD = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web"}
EVENT = Event("shop", POD, "ImageDenied", "not signed", "one")


@pytest.fixture
def writer(cluster: KubernetesSimulator) -> EventWriter:
    return EventWriter(api_of(cluster), "sealgate", "replica-1", FakeClock())


def stored(cluster: KubernetesSimulator) -> dict[str, Any]:
    (event,) = cluster.find("events")
    return dict(event)


def test_an_event_is_created_once_and_counted_up(cluster: KubernetesSimulator, writer: EventWriter) -> None:
    writer.create(EVENT)
    with pytest.raises(ConflictError):
        writer.create(EVENT)
    writer.count_up(EVENT, 2)
    event = stored(cluster)
    assert (event["count"], event["reason"], event["message"]) == (2, "ImageDenied", "not signed")
    assert event["involvedObject"] == POD
    assert event["reportingInstance"] == "replica-1"


def test_patch_without_a_count_keeps_it(cluster: KubernetesSimulator, writer: EventWriter) -> None:
    writer.create(EVENT, count=5)
    writer.count_up(EVENT)
    assert stored(cluster)["count"] == 5


def test_deleted_event_cannot_be_counted_up(writer: EventWriter) -> None:
    with pytest.raises(NotFoundError):
        writer.count_up(EVENT, 2)


def test_messages_and_names_are_bounded(cluster: KubernetesSimulator, writer: EventWriter) -> None:
    writer.create(Event("shop", {**POD, "name": "n" * 253}, "ImageDenied", "m" * 5000, "one"))
    event = stored(cluster)
    assert len(event["message"]) == MAX_MESSAGE
    assert len(event["metadata"]["name"]) <= 253


def test_event_name_depends_on_its_identity() -> None:
    assert EVENT.name == replace(EVENT, message="other words").name
    assert EVENT.name != replace(EVENT, identity="two").name
