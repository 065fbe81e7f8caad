"""`POST /mutate` pins the tags of Pods to their digests."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.builders.objects import policy
from tests.webhook.environment import UNKNOWN_NAMESPACES, FailingNamespaces
from tests.webhook.objects import UID, encode, pod, review, workload

if TYPE_CHECKING:
    from tests.webhook.environment import ReviewAnswer, WebhookEnvironment


def operations(answer: ReviewAnswer) -> list[dict[str, str]]:
    """Return the patch of a response, which always admits."""
    assert answer.allowed
    if "patch" not in answer.response:
        assert "patchType" not in answer.response
        return []
    assert answer.response["patchType"] == "JSONPatch"
    found = json.loads(base64.b64decode(answer.response["patch"], validate=True))
    assert isinstance(found, list)
    return found


def apply(operations_: list[dict[str, str]], obj: dict[str, Any]) -> dict[str, Any]:
    """Apply tests and replacements as RFC 6902 has them."""
    patched: dict[str, Any] = json.loads(json.dumps(obj))
    for operation in operations_:
        *way, last = operation["path"].split("/")[1:]
        parent: Any = patched
        for step in way:
            parent = parent[int(step)] if isinstance(parent, list) else parent[step]
        if operation["op"] == "test":
            assert parent[last] == operation["value"]
        else:
            assert operation["op"] == "replace"
            parent[last] = operation["value"]
    return patched


def test_a_tag_is_pinned_and_kept(environment: WebhookEnvironment) -> None:
    image = environment.push("team/app", "v1")
    answer = environment.mutate(review(pod(image)))
    assert operations(answer) == [
        {"op": "test", "path": "/spec/containers/0/image", "value": image},
        {
            "op": "replace",
            "path": "/spec/containers/0/image",
            "value": f"{image}@{environment.digest('team/app', 'v1')}",
        },
    ]


def test_an_image_without_a_tag_is_pinned_as_latest(environment: WebhookEnvironment) -> None:
    environment.push("team/app", "latest")
    image = f"{environment.registry.host}/team/app"
    patched = apply(operations(environment.mutate(review(pod(image)))), pod(image))
    assert patched["spec"]["containers"][0]["image"] == f"{image}:latest@{environment.digest('team/app', 'latest')}"


def test_every_image_field_of_a_pod_is_pinned(environment: WebhookEnvironment) -> None:
    image = environment.push("team/app", "v1")
    before = pod(image, image, init=(image,), ephemeral=(image,), volumes=(image,))
    after = apply(operations(environment.mutate(review(before))), before)
    pinned = f"{image}@{environment.digest('team/app', 'v1')}"
    assert after == pod(pinned, pinned, init=(pinned,), ephemeral=(pinned,), volumes=(pinned,))


def test_pinned_digest_is_the_verified_one(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    pinned = apply(operations(environment.mutate(review(pod(image)))), pod(image))
    assert environment.validate(review(pinned)).allowed


def test_a_digest_is_left_alone(environment: WebhookEnvironment) -> None:
    assert operations(environment.mutate(review(pod(environment.push("team/app"))))) == []
    assert not environment.registry.requests


def test_images_that_no_policy_covers_are_left_alone(environment: WebhookEnvironment) -> None:
    environment.write(policy("some", f"{environment.registry.host}/other/*"))
    assert operations(environment.mutate(review(pod(environment.push("team/app", "v1"))))) == []
    assert not environment.registry.requests


def test_images_covered_only_by_audit_are_pinned(environment: WebhookEnvironment) -> None:
    environment.write(policy("quiet", f"{environment.registry.host}/**", action="Audit"))
    assert operations(environment.mutate(review(pod(environment.push("team/app", "v1")))))


@pytest.mark.parametrize("image", ["UPPER/case image", "{host}/team/missing:v1"])
def test_unresolvable_image_is_left_to_validate(environment: WebhookEnvironment, image: str) -> None:
    good, bad = environment.push("team/app", "v1"), image.format(host=environment.registry.host)
    patched = apply(operations(environment.mutate(review(pod(bad, good)))), pod(bad, good))
    assert patched["spec"]["containers"][0]["image"] == bad
    assert patched["spec"]["containers"][1]["image"] == f"{good}@{environment.digest('team/app', 'v1')}"


@pytest.mark.parametrize("kind", ["Deployment", "Job", "CronJob", "PodTemplate", "ReplicationController"])
def test_other_kinds_are_never_rewritten(environment: WebhookEnvironment, kind: str) -> None:
    assert operations(environment.mutate(review(workload(kind, environment.push("team/app", "v1"))))) == []


def test_pod_of_another_api_group_is_never_rewritten(environment: WebhookEnvironment) -> None:
    obj = {**pod(environment.push("team/app", "v1")), "apiVersion": "example.com/v1"}
    assert operations(environment.mutate(review(obj))) == []


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
def test_delete_and_connect_are_not_verified(environment: WebhookEnvironment, operation: str) -> None:
    assert operations(environment.mutate(review(pod(environment.push("team/app", "v1")), operation))) == []


def test_only_new_ephemeral_containers_are_pinned(environment: WebhookEnvironment) -> None:
    running, debug = environment.push("team/app", "v1"), environment.push("team/debug", "v1")
    old, new = pod(running), pod(running, ephemeral=(debug,))
    answer = environment.mutate(review(new, "UPDATE", oldObject=old, subResource="ephemeralcontainers"))
    pinned = f"{debug}@{environment.digest('team/debug', 'v1')}"
    assert apply(operations(answer), new) == pod(running, ephemeral=(pinned,))


def test_reapplied_manifest_does_not_unpin_running_images(environment: WebhookEnvironment) -> None:
    image = environment.push("team/app", "v1")
    running = apply(operations(environment.mutate(review(pod(image)))), pod(image))
    again = environment.mutate(review(pod(image), "UPDATE", oldObject=running))
    assert apply(operations(again), pod(image)) == running


@pytest.mark.parametrize(
    "members",
    [
        {"object": None},
        {"object": {"spec": {"containers": 1}}},
        {"namespace": ""},
        {"operation": "REPLACE"},
        {"kind": None},
    ],
)
def test_it_never_denies(environment: WebhookEnvironment, members: dict[str, Any]) -> None:
    assert operations(environment.mutate(review(pod(environment.push("team/app", "v1")), **members))) == []


def test_it_never_denies_for_want_of_a_namespace(environment: WebhookEnvironment) -> None:
    environment.namespaces = UNKNOWN_NAMESPACES
    assert operations(environment.mutate(review(pod(environment.push("team/app", "v1"))))) == []


def test_internal_error_never_denies(environment: WebhookEnvironment) -> None:
    environment.namespaces = FailingNamespaces(RuntimeError)
    assert operations(environment.mutate(review(pod(environment.push("team/app", "v1"))))) == []
    assert environment.lines("internal error in a review")[0]["uid"] == UID


def test_hanging_registry_is_abandoned_before_the_deadline(environment: WebhookEnvironment) -> None:
    image = environment.push("team/app", "v1")
    environment.registry.faults.hang("/v2/")
    assert operations(environment.mutate(review(pod(image)), "timeout=400ms")) == []


def test_a_pinned_pod_is_logged_and_counted(environment: WebhookEnvironment) -> None:
    environment.mutate(review(pod(environment.push("team/app", "v1"))))
    (line,) = environment.lines("review")
    assert (line["endpoint"], line["result"], line["reason"]) == ("mutate", "patched", "pinned")
    assert environment.metric("sealgate_admission_reviews_total", endpoint="mutate", result="patched") == 1


def test_invalid_review_is_refused(environment: WebhookEnvironment) -> None:
    assert environment.post("/mutate", b"{").status_code == 400
    assert environment.post("/mutate", encode({**review(pod("app")), "kind": "Pod"})).status_code == 400
