"""Attacks on the endpoint for push events: what it cannot be made to ask the signing worker for.

An event is a hint: it becomes at most a request for a tag and digest of the registry that its source speaks for, under
a policy that covers it, and the worker signs only what the registry says then.
"""

from __future__ import annotations

import base64
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from sealgate_webhook.events.app import MAX_AT_ONCE
from tests.webhook.events.bodies import DIGEST, docker_body, docker_event
from tests.webhook.events.environment import PASSWORD, TOKEN, open_environment, signing_policy, source
from tests.webhook.events.test_confirmations import RecordingResolver
from tests.webhook.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.events.environment import EventsEnvironment

OTHER_TOKEN = "the-token-of-another-registry"  # noqa: S105 - of a test
TOPIC = "ocid1.onstopic.oc1.phx.aaaa"


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[EventsEnvironment]:
    """An endpoint with two sources, for two registries, and a policy for each of these."""
    sources = [source(tmp_path), source(tmp_path, "other", registry="other.example.com")]
    (tmp_path / "other" / "token").write_text(OTHER_TOKEN)
    policies = [signing_policy(), signing_policy("other", "other.example.com/shop/*")]
    with open_environment(sources, policies, max_waiting=100) as environment:
        yield environment


class UnreadBody(io.RawIOBase):
    """A body that must not be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: Any) -> int:
        raise AssertionError("the body was read")


@pytest.mark.parametrize(
    ("path", "token"),
    [
        ("/events/shop", ""),
        ("/events/shop", "a-guess"),
        ("/events/shop", OTHER_TOKEN),
        ("/events/other", TOKEN),
        ("/events/nowhere", TOKEN),
        (f"/events/shop/{TOKEN}", ""),
    ],
)
def test_attack_57_forged_event_is_refused_before_it_is_read(
    endpoint: EventsEnvironment, path: str, token: str
) -> None:
    closed: list[bool] = []
    response = endpoint.client.post(
        path,
        headers={"Authorization": f"Bearer {token}"},
        environ_overrides={
            "sealgate.close": lambda: closed.append(True),
            "wsgi.input": UnreadBody(),
            "CONTENT_LENGTH": "100",
        },
    )
    assert response.status_code == 401
    assert closed == [True]
    assert endpoint.stored() == []


def test_attack_57_headers_cannot_pose_as_a_client_certificate(tmp_path: Path) -> None:
    with open_environment([source(tmp_path)], [signing_policy()], needs_certificate=True) as endpoint:
        response = endpoint.send(headers={"Sealgate-Caller": "registry", "X-Forwarded-Client-Cert": "Subject=registry"})
        assert response.status_code == 401
        assert endpoint.stored() == []


@pytest.mark.parametrize(
    "host", ["other.example.com", "registry.example.com.", "registry.example.com@other.example.com", "127.0.0.1:5000"]
)
def test_attack_58_event_of_another_host_is_dropped(endpoint: EventsEnvironment, host: str) -> None:
    """A source speaks for one registry, even where policies and another source know the other one."""
    assert endpoint.send(docker_body(docker_event(host=host))).status_code == 200
    assert endpoint.stored() == []
    assert endpoint.value("sealgate_events_ignored_total", source="shop", reason="foreign_host") == 1


def test_attack_58_repository_with_a_host_stays_in_its_registry(endpoint: EventsEnvironment) -> None:
    assert endpoint.send(docker_body(docker_event("other.example.com/shop/app"))).status_code == 200
    assert endpoint.stored() == []


def test_attack_65_ten_thousand_events_take_a_bounded_number_of_places(endpoint: EventsEnvironment) -> None:
    statuses = set()
    for body in range(10):
        events = (docker_event(tag=f"v{body}.{number}") for number in range(1000))
        statuses.add(endpoint.send(docker_body(*events)).status_code)
    # Refused, they would hold back the events of other repositories: a registry sends its events in order.
    assert statuses == {200}
    assert len(endpoint.stored()) == 10
    # Other repositories, of this source and of others, have their places.
    assert endpoint.send(docker_body(docker_event("shop/quiet"))).status_code == 200
    other = docker_body(docker_event(host="other.example.com"))
    assert endpoint.send(other, "/events/other", OTHER_TOKEN).status_code == 200


def test_attack_65_many_events_in_one_body_are_refused(endpoint: EventsEnvironment) -> None:
    assert endpoint.send(docker_body(*([docker_event()] * 1001))).status_code == 413
    assert endpoint.stored() == []


def test_attack_66_replayed_event_waits_once(endpoint: EventsEnvironment) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = list(
            pool.map(
                lambda _: (
                    endpoint.client.application.test_client()
                    .post("/events/shop", data=docker_body(), headers={"Authorization": f"Bearer {TOKEN}"})
                    .status_code
                ),
                range(40),
            )
        )
    assert statuses == [200] * 40
    assert len(endpoint.stored()) == 1
    eventually(lambda: endpoint.requests.waiting() == 1)


def test_attack_66_replayed_event_of_a_signed_image_changes_its_time_only(endpoint: EventsEnvironment) -> None:
    endpoint.send()
    (before,) = endpoint.stored()
    endpoint.end(before)
    endpoint.send()
    (after,) = endpoint.stored()
    assert {**after["spec"], "acceptedAt": ""} == {**before["spec"], "acceptedAt": ""}
    assert after["status"]["state"] == "Signed"


@pytest.mark.parametrize(
    "repository",
    [
        "shop/../other/app",
        "shop/./app",
        "shop//app",
        "/shop/app",
        "shop/app/",
        "shop/%2e%2e/other",
        "shop/app\n",
        "shop/app\x00",
        "shop/app:v1",
        f"shop/app@{DIGEST}",
        "shop\\app",
        "SHOP/app",
        "shop/\u0430pp",
        "shop/app?x=1",
        "shop/app#x",
        "shop/" + "a" * 300,
        "",
    ],
)
def test_attack_67_repository_that_escapes_the_pattern_is_dropped(endpoint: EventsEnvironment, repository: str) -> None:
    assert endpoint.send(docker_body(docker_event(repository))).status_code == 200
    assert endpoint.stored() == []
    assert endpoint.value("sealgate_events_ignored_total", source="shop", reason="unreadable") == 1


@pytest.mark.parametrize("tag", ["v1@" + DIGEST, "../v2", "v1/x", "v1\n", "", "v" * 129, ".v1", "-v1"])
def test_attack_67_tag_outside_the_grammar_is_dropped(endpoint: EventsEnvironment, tag: str) -> None:
    assert endpoint.send(docker_body(docker_event(tag=tag))).status_code == 200
    assert endpoint.stored() == []


def test_attack_71_secrets_are_in_no_log_metric_or_answer(tmp_path: Path) -> None:
    sources = [source(tmp_path, "path", "path"), source(tmp_path, "basic", "basic"), source(tmp_path, "bearer")]
    credentials = base64.b64encode(f"registry:{PASSWORD}".encode()).decode()
    with open_environment(sources, [signing_policy()]) as endpoint:
        answers = [
            endpoint.send(body, path, headers={"Authorization": authorization}).text
            for body in (docker_body(), b"{", docker_body(docker_event("\n")))
            for path, authorization in (
                (f"/events/path/{TOKEN}", ""),
                (f"/events/unknown/{TOKEN}", ""),
                (f"/events/{TOKEN}", ""),
                ("/events/basic", f"Basic {credentials}"),
                ("/events/bearer", f"Bearer {TOKEN}"),
                ("/events/basic", f"Bearer {TOKEN}"),
            )
        ]
        shown = [endpoint.output.getvalue(), *answers, json.dumps(endpoint.stored()), str(list(_labels(endpoint)))]
        assert not any(secret in text for text in shown for secret in (TOKEN, PASSWORD, credentials))


def _labels(endpoint: EventsEnvironment) -> Iterator[str]:
    for metric in endpoint.metrics.registry.collect():
        for sample in metric.samples:
            yield from sample.labels.values()


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/opc/v2/instance/",
        "http://localhost:8080/",
        "https://kubernetes.default.svc/",
        "https://notification.us-phoenix-1.oraclecloud.com.other.example/",
        "https://notification.us-phoenix-1.oraclecloud.com@other.example/",
        "https://other.example/?notification.us-phoenix-1.oraclecloud.com",
        "https://notification.us-phoenix-1.oraclecloud.com\\@other.example/",
    ],
)
def test_attack_72_confirmation_makes_the_endpoint_ask_nothing_else(tmp_path: Path, url: str) -> None:
    resolver = RecordingResolver()
    with open_environment([source(tmp_path, kind="oci", topic=TOPIC)], resolver=resolver) as endpoint:
        headers = {
            "X-OCI-NS-MessageType": "SubscriptionConfirmation",
            "X-OCI-NS-TopicOcid": TOPIC,
            "X-OCI-NS-ConfirmationURL": url,
        }
        assert endpoint.send(b"{}", headers=headers).status_code == 400
        assert resolver.asked == []


#: A push that no policy covers: the API server has nothing to do with how long it takes.
SLOW_BODY = docker_body(docker_event("uncovered/app"))


class SlowBody(io.RawIOBase):
    """A body of which nothing comes until it is released."""

    def __init__(self, release: threading.Event) -> None:
        self._release = release
        self._rest = SLOW_BODY

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        assert self._release.wait(150)
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def slow_body(release: threading.Event) -> dict[str, Any]:
    """Return the WSGI environment of a body of which nothing comes until it is released."""
    return {"wsgi.input": SlowBody(release), "CONTENT_LENGTH": str(len(SLOW_BODY))}


def test_attack_73_slow_source_does_not_delay_another(endpoint: EventsEnvironment) -> None:
    release, headers = threading.Event(), {"Authorization": f"Bearer {TOKEN}"}

    def send_slowly() -> int:
        return (
            endpoint.client.application.test_client()
            .post("/events/shop", headers=headers, environ_overrides=slow_body(release))
            .status_code
        )

    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        slow = [pool.submit(send_slowly) for _ in range(MAX_AT_ONCE)]
        # Each of the two sources has half of the places; what is beyond is answered at once.
        eventually(lambda: sum(one.done() for one in slow) == MAX_AT_ONCE // 2)
        assert {one.result() for one in slow if one.done()} == {503}
        other = docker_body(docker_event(host="other.example.com"))
        assert endpoint.send(other, "/events/other", OTHER_TOKEN).status_code == 200
        release.set()
        assert sorted(one.result() for one in slow) == [200] * (MAX_AT_ONCE // 2) + [503] * (MAX_AT_ONCE // 2)


def test_attack_74_foreign_text_cannot_forge_lines_of_the_log(endpoint: EventsEnvironment) -> None:
    forged = 'x"\n{"level":"info","msg":"push accepted"}\x1b[31m'
    endpoint.send(docker_body(docker_event(forged), docker_event(tag=forged), docker_event(host=forged)))
    endpoint.send(b"{}", f"/events/{forged.encode().hex()}")
    lines = [json.loads(line) for line in endpoint.output.getvalue().splitlines()]
    assert [line for line in lines if line["msg"] == "push accepted"] == []
    assert "\x1b" not in endpoint.output.getvalue()
    assert len(endpoint.lines("event dropped")) == 3
