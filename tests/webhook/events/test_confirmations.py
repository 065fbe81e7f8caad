"""Subscriptions of Oracle Notifications are confirmed for the topic of the settings, at Oracle's own service only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import UnavailableError
from sealgate_webhook.events.confirmations import RefusedConfirmationError, notification_url
from tests.webhook.events.environment import open_environment, source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.clocks import Deadline
    from tests.webhook.events.environment import EventsEnvironment

TOPIC = "ocid1.onstopic.oc1.phx.aaaa"
HOST = "cell1.notification.us-phoenix-1.oci.oraclecloud.com"
URL = f"https://{HOST}/20181201/subscriptions/ocid1.onssubscription.oc1.phx.aaaa/confirmation?token=t&protocol=CUSTOM_HTTPS"


class RecordingResolver:
    """Resolves nothing, and keeps what it was asked for: enough to see whom a client would have asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def resolve(self, host: str, deadline: Deadline) -> tuple[str, ...]:
        del deadline
        self.asked.append(host)
        raise UnavailableError(f"{host} does not resolve")


@pytest.fixture
def resolver() -> RecordingResolver:
    return RecordingResolver()


@pytest.fixture
def endpoint(tmp_path: Path, resolver: RecordingResolver) -> Iterator[EventsEnvironment]:
    sources = [source(tmp_path, kind="oci", topic=TOPIC), source(tmp_path, "harbor", kind="harbor")]
    with open_environment(sources, resolver=resolver) as environment:
        yield environment


def headers(topic: str = TOPIC, url: str = URL) -> dict[str, str]:
    return {
        "X-OCI-NS-MessageType": "SubscriptionConfirmation",
        "X-OCI-NS-TopicOcid": topic,
        "X-OCI-NS-ConfirmationURL": url,
    }


def test_notification_service_is_asked(endpoint: EventsEnvironment, resolver: RecordingResolver) -> None:
    assert endpoint.send(b"not JSON", headers=headers()).status_code == 503
    assert resolver.asked == [HOST]


def test_url_may_be_in_the_body(endpoint: EventsEnvironment, resolver: RecordingResolver) -> None:
    body = json.dumps({"ConfirmationURL": URL}).encode()
    assert endpoint.send(body, headers=headers(url="")).status_code == 503
    assert resolver.asked == [HOST]


@pytest.mark.parametrize(
    "sent",
    [
        headers(topic="ocid1.onstopic.oc1.phx.bbbb"),
        headers(topic=""),
        headers(url=""),
        headers(url="https://other.example.com/"),
        headers(url=URL.replace("us-phoenix-1", "us-ashburn-1")),
        headers(url=URL.replace("https", "http")),
        headers(url=URL.replace(HOST, f"{HOST}:8443")),
        headers(url=URL.replace(HOST, f"{HOST}.other.example")),
        headers(url=URL.replace(HOST, f"{HOST}@other.example")),
        headers(url=URL.replace("cell1.", "cell1.other.")),
        headers(url="https://169.254.169.254/opc/v2/"),
    ],
)
def test_everything_else_is_not_asked(
    endpoint: EventsEnvironment, resolver: RecordingResolver, sent: dict[str, str]
) -> None:
    assert endpoint.send(b"{}", headers=sent).status_code == 400
    assert resolver.asked == []


def test_only_an_authenticated_source_of_its_kind_is_heard(
    endpoint: EventsEnvironment, resolver: RecordingResolver
) -> None:
    assert endpoint.send(b"{}", token="wrong", headers=headers()).status_code == 401  # noqa: S106 - of a test
    assert endpoint.send(b"{}", path="/events/harbor", headers=headers()).status_code == 400
    assert resolver.asked == []


@pytest.mark.parametrize(
    ("topic", "host"),
    [
        ("ocid1.onstopic.oc1.iad.a", "notification.us-ashburn-1.oraclecloud.com"),
        ("ocid1.onstopic.oc1.eu-zurich-1.a", "cell12.notification.eu-zurich-1.oci.oraclecloud.com"),
        ("ocid1.onstopic.oc2.us-langley-1.a", "notification.us-langley-1.oci.oraclegovcloud.com"),
        ("ocid1.onstopic.oc14.eu-dcc-milan-1.a", "notification.eu-dcc-milan-1.oci.oraclecloud14.com"),
    ],
)
def test_host_follows_from_the_topic(topic: str, host: str) -> None:
    assert notification_url(topic, f"https://{host}/x").origin.host == host


@pytest.mark.parametrize("topic", ["ocid1.onstopic.oc77.x.a", "ocid1.onstopic.oc1..a"])
def test_unknown_realm_or_region_is_refused(topic: str) -> None:
    with pytest.raises(RefusedConfirmationError):
        notification_url(topic, "https://notification..oci.oraclecloud.com/")
