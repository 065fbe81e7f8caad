"""Who may report pushes: sources prove themselves; nothing else learns anything."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import ConfigError
from sealgate.process.logs import configure_logs
from sealgate_webhook.events.authentication import SourceSecrets
from sealgate_webhook.events.config import SourceSettings
from tests.webhook.events.environment import PASSWORD, TOKEN, open_environment, signing_policy, source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.webhook.events.environment import EventsEnvironment


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[EventsEnvironment]:
    sources = [
        source(tmp_path, "bearer"),
        source(tmp_path, "basic", "basic"),
        source(tmp_path, "path", "path"),
        source(tmp_path, "header", "header", header="X-Token"),
    ]
    with open_environment(sources, [signing_policy()]) as environment:
        yield environment


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/events/bearer", {"Authorization": f"Bearer {TOKEN}"}),
        ("/events/bearer", {"Authorization": f"bearer {TOKEN}"}),
        ("/events/basic", {"Authorization": basic("registry", PASSWORD)}),
        (f"/events/path/{TOKEN}", {}),
        ("/events/header", {"X-Token": TOKEN}),
    ],
)
def test_source_that_proves_itself_is_heard(endpoint: EventsEnvironment, path: str, headers: dict[str, str]) -> None:
    assert endpoint.send(path=path, token="", headers=headers).status_code == 200
    assert len(endpoint.stored()) == 1


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/events/bearer", {}),
        ("/events/bearer", {"Authorization": TOKEN}),
        ("/events/bearer", {"Authorization": "Bearer "}),
        ("/events/bearer", {"Authorization": f"Bearer {TOKEN}x"}),
        ("/events/bearer", {"Authorization": f"Basic {TOKEN}"}),
        (f"/events/bearer/{TOKEN}", {}),
        ("/events/basic", {"Authorization": f"Bearer {PASSWORD}"}),
        ("/events/basic", {"Authorization": "Basic !"}),
        ("/events/basic", {"Authorization": basic("other", PASSWORD)}),
        ("/events/basic", {"Authorization": basic("registry", TOKEN)}),
        ("/events/path", {"Authorization": f"Bearer {TOKEN}"}),
        ("/events/path/other", {}),
        ("/events/header", {"Authorization": f"Bearer {TOKEN}"}),
        ("/events/header", {"X-Token": "other"}),
        ("/events/unknown", {"Authorization": f"Bearer {TOKEN}"}),
        (f"/events/unknown/{TOKEN}", {}),
    ],
)
def test_all_others_get_the_same_answer(endpoint: EventsEnvironment, path: str, headers: dict[str, str]) -> None:
    unknown = endpoint.send(path="/events/nowhere", token="x")
    response = endpoint.client.post(path, data=b"{}", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic")
    assert (response.data, dict(response.headers)) == (unknown.data, dict(unknown.headers))
    assert endpoint.stored() == []


def test_refusals_are_counted_by_source(endpoint: EventsEnvironment) -> None:
    for path in ("/events/bearer", "/events/nowhere", "/events/elsewhere"):
        endpoint.send(path=path, token="wrong")
    assert endpoint.value("sealgate_events_requests_total", source="bearer", code="401") == 1
    assert endpoint.value("sealgate_events_requests_total", source="unknown", code="401") == 2
    assert {line["source"] for line in endpoint.lines("events not taken")} == {"bearer", "unknown"}


def test_changed_secret_is_in_force_without_a_restart(endpoint: EventsEnvironment, tmp_path: Path) -> None:
    (tmp_path / "bearer" / "token").write_text("another-token-of-a-registry\n")
    endpoint.secrets.reload()
    assert endpoint.send(path="/events/bearer").status_code == 401
    assert endpoint.send(path="/events/bearer", token="another-token-of-a-registry").status_code == 200


def test_unusable_secret_leaves_the_last_one_in_force(endpoint: EventsEnvironment, tmp_path: Path) -> None:
    (tmp_path / "bearer" / "token").write_text("short")
    endpoint.secrets.reload()
    endpoint.secrets.reload()
    assert endpoint.send(path="/events/bearer").status_code == 200
    (line,) = endpoint.lines("secret of a source invalid; keeping the last valid one")
    assert line["source"] == "bearer"
    assert "short" not in line["problem"]


@pytest.mark.parametrize(
    ("auth", "key", "content", "problem"),
    [
        ("bearer", "token", "x" * 15, "must have 16"),
        ("bearer", "token", "x" * 5000, "must have 16"),
        ("basic", "username", "", "must have 1"),
        ("basic", "username", "a:b", "colon"),
        ("path", "token", "a token with blanks", "part of a path"),
        ("bearer", "token", None, "cannot be read"),
    ],
)
def test_unusable_secret_ends_the_start(tmp_path: Path, auth: str, key: str, content: str | None, problem: str) -> None:
    settings = SourceSettings.model_validate(source(tmp_path, auth=auth))
    file = Path(settings.secret_directory) / key
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(ConfigError) as error:
        SourceSecrets([settings], configure_logs("json", io.StringIO()))
    assert problem in error.value.message


@pytest.mark.parametrize("method", ["get", "put", "delete", "options", "head"])
def test_events_are_posted(endpoint: EventsEnvironment, method: str) -> None:
    assert endpoint.client.open("/events/bearer", method=method.upper()).status_code == 405


@pytest.mark.parametrize("path", ["/", "/events", "/events/", "/events/bearer/", "/events/bearer/a/b", "/metrics"])
def test_there_are_no_other_paths(endpoint: EventsEnvironment, path: str) -> None:
    assert endpoint.client.post(path).status_code == 404


def test_token_may_have_any_characters(endpoint: EventsEnvironment, tmp_path: Path) -> None:
    token = "ein-längeres-geheimnis-für-tests"
    (tmp_path / "bearer" / "token").write_text(token, encoding="utf-8")
    endpoint.secrets.reload()
    sent = f"Bearer {token}".encode().decode("latin-1")
    assert endpoint.send(path="/events/bearer", headers={"Authorization": sent}).status_code == 200
