"""`POST /mutate`: tags of Pods are pinned to the digests behind them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import UnavailableError
from tests.webhook.environment import policy
from tests.webhook.objects import UID, encode, pod, review, workload

if TYPE_CHECKING:
    from sealgate.policies.matching import Namespace
    from tests.webhook.environment import ReviewAnswer, World


def operations(answer: ReviewAnswer) -> list[dict[str, str]]:
    """Return the patch of an answer, which is always one that allows."""
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
        place: Any = patched
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if operation["op"] == "test":
            assert place[last] == operation["value"]
        else:
            assert operation["op"] == "replace"
            place[last] = operation["value"]
    return patched


def test_a_tag_is_pinned_and_kept(world: World) -> None:
    image = world.push("team/app", "v1")
    answer = world.mutate(review(pod(image)))
    assert operations(answer) == [
        {"op": "test", "path": "/spec/containers/0/image", "value": image},
        {
            "op": "replace",
            "path": "/spec/containers/0/image",
            "value": f"{image}@{world.digest('team/app', 'v1')}",
        },
    ]


def test_an_image_without_a_tag_is_pinned_as_latest(world: World) -> None:
    world.push("team/app", "latest")
    image = f"{world.registry.host}/team/app"
    patched = apply(operations(world.mutate(review(pod(image)))), pod(image))
    assert patched["spec"]["containers"][0]["image"] == f"{image}:latest@{world.digest('team/app', 'latest')}"


def test_every_place_of_a_pod_is_pinned(world: World) -> None:
    image = world.push("team/app", "v1")
    before = pod(image, image, init=(image,), ephemeral=(image,), volumes=(image,))
    after = apply(operations(world.mutate(review(before))), before)
    pinned = f"{image}@{world.digest('team/app', 'v1')}"
    assert after == pod(pinned, pinned, init=(pinned,), ephemeral=(pinned,), volumes=(pinned,))


def test_what_was_pinned_is_what_gets_verified(world: World) -> None:
    image = world.sign("team/app", "v1")
    pinned = apply(operations(world.mutate(review(pod(image)))), pod(image))
    assert world.validate(review(pinned)).allowed


def test_a_digest_is_left_alone(world: World) -> None:
    assert operations(world.mutate(review(pod(world.push("team/app"))))) == []
    assert not world.registry.requests


def test_images_that_no_policy_covers_are_left_alone(world: World) -> None:
    world.write(policy("some", f"{world.registry.host}/other/*"))
    assert operations(world.mutate(review(pod(world.push("team/app", "v1"))))) == []
    assert not world.registry.requests


def test_images_that_only_an_audit_policy_covers_are_pinned_too(world: World) -> None:
    world.write(policy("quiet", f"{world.registry.host}/**", action="Audit"))
    assert operations(world.mutate(review(pod(world.push("team/app", "v1")))))


@pytest.mark.parametrize("image", ["UPPER/case image", "{host}/team/missing:v1"])
def test_what_cannot_be_resolved_is_left_to_the_validating_call(world: World, image: str) -> None:
    good, bad = world.push("team/app", "v1"), image.format(host=world.registry.host)
    patched = apply(operations(world.mutate(review(pod(bad, good)))), pod(bad, good))
    assert patched["spec"]["containers"][0]["image"] == bad
    assert patched["spec"]["containers"][1]["image"] == f"{good}@{world.digest('team/app', 'v1')}"


@pytest.mark.parametrize("kind", ["Deployment", "Job", "CronJob", "PodTemplate", "ReplicationController"])
def test_other_kinds_are_never_rewritten(world: World, kind: str) -> None:
    assert operations(world.mutate(review(workload(kind, world.push("team/app", "v1"))))) == []


def test_a_pod_of_somebody_elses_group_is_never_rewritten(world: World) -> None:
    obj = {**pod(world.push("team/app", "v1")), "apiVersion": "example.com/v1"}
    assert operations(world.mutate(review(obj))) == []


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
def test_delete_and_connect_are_not_looked_at(world: World, operation: str) -> None:
    assert operations(world.mutate(review(pod(world.push("team/app", "v1")), operation))) == []


def test_new_ephemeral_containers_are_pinned_and_the_running_ones_left_alone(world: World) -> None:
    running, debug = world.push("team/app", "v1"), world.push("team/debug", "v1")
    old, new = pod(running), pod(running, ephemeral=(debug,))
    answer = world.mutate(review(new, "UPDATE", oldObject=old, subResource="ephemeralcontainers"))
    pinned = f"{debug}@{world.digest('team/debug', 'v1')}"
    assert apply(operations(answer), new) == pod(running, ephemeral=(pinned,))


def test_applying_a_manifest_again_does_not_unpin_what_runs(world: World) -> None:
    image = world.push("team/app", "v1")
    running = apply(operations(world.mutate(review(pod(image)))), pod(image))
    again = world.mutate(review(pod(image), "UPDATE", oldObject=running))
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
def test_it_never_denies(world: World, members: dict[str, Any]) -> None:
    assert operations(world.mutate(review(pod(world.push("team/app", "v1")), **members))) == []


def test_it_never_denies_for_want_of_a_namespace(world: World) -> None:
    class Nowhere:
        def get(self, name: str) -> Namespace:
            raise UnavailableError(f"the labels of namespace {name} are not known yet")

    world.namespaces = Nowhere()
    assert operations(world.mutate(review(pod(world.push("team/app", "v1"))))) == []


def test_it_never_denies_for_a_fault_of_its_own(world: World) -> None:
    class Broken:
        def get(self, name: str) -> Namespace:
            raise RuntimeError(name)

    world.namespaces = Broken()
    assert operations(world.mutate(review(pod(world.push("team/app", "v1"))))) == []
    assert world.lines("internal error in a review")[0]["uid"] == UID


def test_a_registry_that_hangs_is_given_up_in_time(world: World) -> None:
    image = world.push("team/app", "v1")
    world.registry.faults.hang("/v2/")
    assert operations(world.mutate(review(pod(image)), "timeout=400ms")) == []


def test_a_pinned_pod_is_logged_and_counted(world: World) -> None:
    world.mutate(review(pod(world.push("team/app", "v1"))))
    (line,) = world.lines("review")
    assert (line["endpoint"], line["answer"], line["reason"]) == ("mutate", "patched", "pinned")
    assert world.metric("sealgate_reviews_total", endpoint="mutate", answer="patched") == 1


def test_what_is_no_review_is_refused_as_elsewhere(world: World) -> None:
    assert world.post("/mutate", b"{").status_code == 400
    assert world.post("/mutate", encode({**review(pod("app")), "kind": "Pod"})).status_code == 400
