"""What each kind of source sends is read as the push that it reports, and everything else as what it is."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealgate.parsing.strict_json import MalformedError
from sealgate_webhook.events.bodies.reading import read_body
from sealgate_webhook.events.pushes import Ignored, Push
from tests.webhook.events.bodies import DIGEST, MANIFEST, REGISTRY, docker_body, docker_event

if TYPE_CHECKING:
    from sealgate_webhook.events.config import Kind

DATA = Path(__file__).parents[2] / "data" / "events"
PUSH = Push(f"{REGISTRY}/shop/app", "1.2.3", DIGEST)


def document(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def reasons(kind: Kind, body: object) -> list[Ignored]:
    read = read_body(kind, json.dumps(body).encode(), REGISTRY)
    assert read.pushes == ()
    return [ignored.reason for ignored in read.ignored]


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("docker", "docker_v2.json"),
        ("harbor", "harbor.json"),
        ("harbor", "harbor_cloudevents.json"),
        ("swr", "harbor.json"),
        ("acr", "acr.json"),
        ("oci", "oci.json"),
    ],
)
def test_documented_bodies_are_read(kind: Kind, file: str) -> None:
    assert read_body(kind, (DATA / file).read_bytes(), REGISTRY).pushes == (PUSH,)


def test_recorded_push_is_read_and_its_blobs_and_pull_are_ignored() -> None:
    read = read_body("docker", (DATA / "docker_v1.json").read_bytes(), REGISTRY)
    (push,) = read.pushes
    assert (push.repository, push.tag) == (f"{REGISTRY}/shop/app", "v1")
    assert {ignored.reason for ignored in read.ignored} == {Ignored.NOT_A_MANIFEST, Ignored.NOT_A_PUSH}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (docker_event(action="pull"), Ignored.NOT_A_PUSH),
        (docker_event(action="delete"), Ignored.NOT_A_PUSH),
        (docker_event(action="mount"), Ignored.NOT_A_PUSH),
        (docker_event(media_type="application/octet-stream"), Ignored.NOT_A_MANIFEST),
        (docker_event(tag=None), Ignored.NO_TAG),
        (docker_event(tag=""), Ignored.NO_TAG),
        (docker_event(tag=DIGEST), Ignored.NO_TAG),
        (docker_event(tag="sha256-" + "4a" * 32), Ignored.SIGNATURE),
        (docker_event(tag="sha256-" + "4a" * 32 + ".sig"), Ignored.SIGNATURE),
        (docker_event(tag="sha256-" + "4a" * 32 + ".att"), Ignored.SIGNATURE),
        (docker_event(tag="sha256-" + "4a" * 32 + ".sbom"), Ignored.SIGNATURE),
        (docker_event(artifactType="application/vnd.dev.sigstore.bundle.v0.3+json"), Ignored.SIGNATURE),
        (docker_event(artifactType="application/vnd.cncf.notary.signature"), Ignored.SIGNATURE),
        (docker_event(host="other.example.com"), Ignored.FOREIGN_HOST),
        (docker_event(host="registry.example.com.other.example"), Ignored.FOREIGN_HOST),
        (docker_event(host="registry.example.com:5000"), Ignored.FOREIGN_HOST),
        (docker_event(host="me@registry.example.com"), Ignored.FOREIGN_HOST),
        (docker_event(digest="sha512:" + "4a" * 64), Ignored.UNREADABLE),
        (docker_event(tag="a b"), Ignored.UNREADABLE),
        ({"action": "push", "target": 7}, Ignored.UNREADABLE),
        (docker_event("Shop/app"), Ignored.UNREADABLE),
        (docker_event("shop/app:v1"), Ignored.UNREADABLE),
        ({}, Ignored.UNREADABLE),
        (None, Ignored.UNREADABLE),
    ],
)
def test_what_is_not_a_push_is_ignored(event: object, reason: Ignored) -> None:
    assert reasons("docker", {"events": [event]}) == [reason]


def test_host_of_the_request_counts_where_there_is_no_url() -> None:
    event = docker_event()
    del event["target"]["url"]
    assert read_body("docker", docker_body(event), REGISTRY).pushes
    event["request"]["host"] = "other.example.com"
    assert reasons("docker", {"events": [event]}) == [Ignored.FOREIGN_HOST]


def test_one_push_is_read_once() -> None:
    assert len(read_body("docker", docker_body(docker_event(), docker_event()), REGISTRY).pushes) == 1


def test_single_names_of_docker_hub_are_in_library() -> None:
    (push,) = read_body("docker", docker_body(docker_event("nginx", host="docker.io")), "docker.io").pushes
    assert push.repository == "docker.io/library/nginx"


def test_harbor_pushes_each_resource() -> None:
    body = document("harbor.json")
    (resource,) = body["event_data"]["resources"]
    foreign = {**resource, "resource_url": "other.example.com/shop/app:1.2.3"}
    by_digest = {"digest": DIGEST, "tag": "", "resource_url": f"{REGISTRY}/shop/app@{DIGEST}"}
    body["event_data"]["resources"] += [foreign, by_digest]
    read = read_body("harbor", json.dumps(body).encode(), REGISTRY)
    assert read.pushes == (PUSH,)
    assert [ignored.reason for ignored in read.ignored] == [Ignored.FOREIGN_HOST, Ignored.NO_TAG]


@pytest.mark.parametrize("kind", ["PULL_ARTIFACT", "DELETE_ARTIFACT", "harbor.artifact.pulled", "SCANNING_COMPLETED"])
def test_other_webhooks_of_harbor_are_ignored(kind: str) -> None:
    assert reasons("harbor", {**document("harbor.json"), "type": kind}) == [Ignored.NOT_A_PUSH]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("other.example.com/shop/app", Ignored.FOREIGN_HOST), ("shop/other", Ignored.UNREADABLE)],
)
def test_full_name_of_acr_is_its_namespace_and_name(name: str, reason: Ignored) -> None:
    body = document("acr.json")
    body["repository"]["repo_full_name"] = name
    assert reasons("acr", body) == [reason]


def test_full_name_of_acr_may_begin_with_the_registry() -> None:
    body = document("acr.json")
    body["repository"]["repo_full_name"] = f"{REGISTRY}/shop/app"
    assert read_body("acr", json.dumps(body).encode(), REGISTRY).pushes == (PUSH,)


def test_path_of_oracle_may_begin_with_the_registry_only() -> None:
    body = document("oci.json")
    body["data"]["additionalDetails"]["path"] = f"{REGISTRY}/shop/app"
    assert read_body("oci", json.dumps(body).encode(), REGISTRY).pushes == (PUSH,)
    body["data"]["additionalDetails"]["path"] = "phx.ocir.io/shop/app"
    assert reasons("oci", body) == [Ignored.FOREIGN_HOST]


@pytest.mark.parametrize("resource", ["app", f"app@{DIGEST}"])
def test_oracle_pushes_without_a_tag_are_ignored(resource: str) -> None:
    body = document("oci.json")
    body["data"]["resourceName"] = resource
    assert reasons("oci", body) == [Ignored.NO_TAG]


def test_other_events_of_oracle_are_ignored() -> None:
    body = {**document("oci.json"), "eventType": "com.oraclecloud.artifacts.deletedockerimage"}
    assert reasons("oci", body) == [Ignored.NOT_A_PUSH]


@pytest.mark.parametrize(("kind", "body"), [("docker", {}), ("harbor", {}), ("harbor", {"type": "PUSH_ARTIFACT"})])
def test_body_of_another_kind_is_malformed(kind: Kind, body: object) -> None:
    with pytest.raises(MalformedError):
        read_body(kind, json.dumps(body).encode(), REGISTRY)


def test_media_types_of_all_manifests_are_read() -> None:
    types = ["docker.distribution.manifest.v2", "docker.distribution.manifest.list.v2", "oci.image.index.v1"]
    for media_type in (MANIFEST, *(f"application/vnd.{name}+json" for name in types)):
        assert read_body("docker", docker_body(docker_event(media_type=media_type)), REGISTRY).pushes


#: Any JSON, with the names and values that the readers look for.
_WORDS = st.sampled_from(
    (
        *("events", "action", "push", "target", "url", "tag", "digest", "repository", "mediaType", MANIFEST, DIGEST),
        *("type", "PUSH_ARTIFACT", "event_data", "resources", "resource_url", "repo_full_name", "push_data"),
        *("namespace", "name", "eventType", "com.oraclecloud.artifacts.uploaddockerimage", "data"),
        *("additionalDetails", "path", "resourceName"),
    )
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | _WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=6),
    max_leaves=12,
)


@given(st.sampled_from(("docker", "harbor", "acr", "oci")), st.dictionaries(_WORDS, _JSON, max_size=6))
def test_any_body_is_read_or_refused(kind: Kind, body: dict[str, object]) -> None:
    with contextlib.suppress(MalformedError):
        read_body(kind, json.dumps(body).encode(), REGISTRY)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_any_text_in_an_event_makes_a_push_of_its_registry_or_none(repository: str, tag: str, url: str) -> None:
    body = json.dumps({"events": [docker_event(repository, tag, url=url)]}).encode()
    for push in read_body("docker", body, REGISTRY).pushes:
        assert push.repository.startswith(f"{REGISTRY}/")
