"""A tag beside a digest is only words until the registry says that it names that digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.policies.decisions import UnmatchedImages
from tests.support.clocks import FakeClock
from tests.webhook.environment import exemption, open_world, policy
from tests.webhook.objects import pod, review, workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.environment import ReviewAnswer, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world


def tagged(world: World, *tags: str, **spec: Any) -> dict[str, Any]:
    """A policy over some tags of every repository."""
    return policy("tagged", **spec) | {
        "spec": {
            **policy("tagged", **spec)["spec"],
            "images": [{"repository": f"{world.registry.host}/**", "tags": [*tags]}],
        }
    }


def excluding(world: World, *tags: str) -> dict[str, Any]:
    """A policy over every image but those of some tags."""
    everything = f"{world.registry.host}/**"
    return policy("all", everything, excludeImages=[{"repository": everything, "tags": [*tags]}])


def pinned(world: World, image: str) -> str:
    repository, tag = image.removeprefix(f"{world.registry.host}/").split(":")
    return f"{image}@{world.digest(repository, tag)}"


def ask(world: World, image: str) -> ReviewAnswer:
    return world.validate(review(pod(image)))


def test_attack_43_a_made_up_tag_beside_a_digest_is_covered_by_every_tag_pattern(world: World) -> None:
    world.write(tagged(world, "v*"))
    bad, good = world.push("team/bad", "v1"), world.sign("team/good", "v1")

    for made_up in ("made-up", "latest", "w1"):
        answer = ask(world, pinned(world, bad).replace(":v1@", f":{made_up}@"))
        assert not answer.allowed
        assert f"tag {made_up} does not name this digest" in answer.message
        assert ask(world, pinned(world, good).replace(":v1@", f":{made_up}@")).allowed


def test_attack_43_a_tag_of_another_digest_is_made_up_too(world: World) -> None:
    world.write(tagged(world, "v*"))
    bad = world.push("team/app", "v1")
    world.push("team/app", "dev", content=b"something else")

    assert not ask(world, pinned(world, bad).replace(":v1@", ":dev@")).allowed


def test_attack_43_a_digest_without_a_tag_is_covered_by_every_tag_pattern(world: World) -> None:
    world.write(tagged(world, "v*"))
    bad = pinned(world, world.push("team/bad", "v1")).replace(":v1@", "@")

    assert not ask(world, bad).allowed


def test_attack_43_our_own_pin_of_an_excluded_tag_is_admitted_as_its_deployment_is(world: World) -> None:
    world.write(excluding(world, "debug"))
    image = world.push("team/app", "debug")

    assert world.validate(review(workload("Deployment", image))).allowed
    assert ask(world, pinned(world, image)).allowed


def test_attack_43_no_exclusion_by_a_made_up_tag_holds(world: World) -> None:
    world.write(excluding(world, "debug"))
    image = pinned(world, world.push("team/app", "v1"))

    assert not ask(world, image.replace(":v1@", ":debug@")).allowed
    assert not ask(world, image.replace(":v1@", "@")).allowed


def test_attack_43_no_exemption_by_a_made_up_tag_holds(world: World) -> None:
    world.unmatched = UnmatchedImages.DENY
    exempt = exemption("debug", f"{world.registry.host}/**")
    exempt["spec"]["images"][0]["tags"] = ["debug"]
    world.write(exempt)
    debug, other = world.push("team/app", "debug"), world.push("team/other", "v1")

    assert ask(world, debug).allowed
    assert ask(world, pinned(world, debug)).allowed
    assert not ask(world, pinned(world, other).replace(":v1@", ":debug@")).allowed
    assert not ask(world, pinned(world, debug).replace(":debug@", "@")).allowed


def test_attack_43_an_exemption_that_excludes_tags_holds_for_no_unknown_tag(world: World) -> None:
    world.unmatched = UnmatchedImages.DENY
    everything = f"{world.registry.host}/**"
    world.write(exemption("most", everything, excludeImages=[{"repository": everything, "tags": ["prod*"]}]))
    image = pinned(world, world.push("team/app", "prod-1"))

    assert not ask(world, image).allowed
    assert not ask(world, image.replace(":prod-1@", ":dev@")).allowed
    assert not ask(world, image.replace(":prod-1@", "@")).allowed
    assert ask(world, pinned(world, world.push("team/app", "dev", content=b"dev"))).allowed


def test_attack_43_a_bare_name_is_latest(world: World) -> None:
    world.write(tagged(world, "latest"))
    bare = world.push("team/app", "latest").removesuffix(":latest")
    assert not ask(world, bare).allowed

    world.write(tagged(world, "v*"))
    world.source.load()
    assert ask(world, bare).allowed

    world.write(excluding(world, "latest"))
    world.source.load()
    assert ask(world, bare).allowed


def test_attack_43_the_registry_is_asked_only_where_the_tag_can_matter(world: World) -> None:
    image = pinned(world, world.sign("team/app", "v1")).replace(":v1@", ":made-up@")
    assert ask(world, image).allowed
    assert not [request for request in world.registry.requests if "made-up" in request.path]


def test_attack_43_what_cannot_be_asked_is_unavailable_if_refused_only_for_that(world: World) -> None:
    clock = FakeClock()
    world.clock = clock
    world.write(excluding(world, "debug"))
    image = pinned(world, world.push("team/app", "debug"))
    world.registry.faults.status("/manifests/debug", 503)

    for _ in range(2):
        answer = ask(world, image)
        assert not answer.allowed
        assert answer.code == 503
        assert "whether tag debug names this digest is not known" in answer.message

    world.registry.faults.clear()
    clock.advance(60)
    assert ask(world, image).allowed


def test_attack_43_what_is_refused_either_way_is_refused_though_the_registry_cannot_be_asked(world: World) -> None:
    world.write(excluding(world, "debug"), policy("strict", f"{world.registry.host}/**"))
    image = pinned(world, world.push("team/app", "debug"))
    world.registry.faults.status("/manifests/debug", 503)

    answer = ask(world, image)
    assert (answer.allowed, answer.code) == (False, 403)


def test_attack_43_what_meets_every_policy_is_admitted_though_the_registry_cannot_be_asked(world: World) -> None:
    world.write(excluding(world, "debug"))
    image = pinned(world, world.sign("team/app", "debug"))
    world.registry.faults.status("/manifests/debug", 503)

    assert ask(world, image).allowed


def test_attack_43_a_verdict_by_tag_is_remembered_no_longer_than_the_tag(world: World) -> None:
    clock = FakeClock()
    world.clock = clock
    world.write(excluding(world, "debug"))
    image = pinned(world, world.push("team/app", "debug"))
    assert ask(world, image).allowed
    assert ask(world, image).allowed

    world.push("team/app", "debug", content=b"moved on")
    clock.advance(31)
    assert not ask(world, image).allowed
