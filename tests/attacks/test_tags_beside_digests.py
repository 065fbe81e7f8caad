"""A tag beside a digest counts only once the registry says that it names that digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.policies.decisions import UnmatchedImages
from tests.support.builders.objects import policy
from tests.support.clocks import FakeClock
from tests.webhook.objects import pod, review, workload

if TYPE_CHECKING:
    from tests.webhook.environment import ReviewAnswer, WebhookEnvironment


def tagged(environment: WebhookEnvironment, *tags: str, **spec: Any) -> dict[str, Any]:
    """A policy over some tags of every repository."""
    return policy("tagged", **spec) | {
        "spec": {
            **policy("tagged", **spec)["spec"],
            "images": [{"repository": f"{environment.registry.host}/**", "tags": [*tags]}],
        }
    }


def excluding(environment: WebhookEnvironment, *tags: str) -> dict[str, Any]:
    """A policy over every image but those of some tags."""
    everything = f"{environment.registry.host}/**"
    return policy("all", everything, excludeImages=[{"repository": everything, "tags": [*tags]}])


def pinned(environment: WebhookEnvironment, image: str) -> str:
    repository, tag = image.removeprefix(f"{environment.registry.host}/").split(":")
    return f"{image}@{environment.digest(repository, tag)}"


def ask(environment: WebhookEnvironment, image: str) -> ReviewAnswer:
    return environment.validate(review(pod(image)))


def test_attack_43_invented_tag_matches_every_tag_pattern(
    environment: WebhookEnvironment,
) -> None:
    environment.write(tagged(environment, "v*"))
    bad, good = environment.push("team/bad", "v1"), environment.sign("team/good", "v1")

    for made_up in ("made-up", "latest", "w1"):
        answer = ask(environment, pinned(environment, bad).replace(":v1@", f":{made_up}@"))
        assert not answer.allowed
        assert f"tag {made_up} does not name this digest" in answer.message
        assert ask(environment, pinned(environment, good).replace(":v1@", f":{made_up}@")).allowed


def test_attack_43_a_tag_of_another_digest_is_made_up_too(environment: WebhookEnvironment) -> None:
    environment.write(tagged(environment, "v*"))
    bad = environment.push("team/app", "v1")
    environment.push("team/app", "dev", content=b"something else")

    assert not ask(environment, pinned(environment, bad).replace(":v1@", ":dev@")).allowed


def test_attack_43_missing_tag_matches_every_tag_pattern(environment: WebhookEnvironment) -> None:
    environment.write(tagged(environment, "v*"))
    bad = pinned(environment, environment.push("team/bad", "v1")).replace(":v1@", "@")

    assert not ask(environment, bad).allowed


def test_attack_43_own_pin_of_an_excluded_tag_is_admitted(
    environment: WebhookEnvironment,
) -> None:
    environment.write(excluding(environment, "debug"))
    image = environment.push("team/app", "debug")

    assert environment.validate(review(workload("Deployment", image))).allowed
    assert ask(environment, pinned(environment, image)).allowed


def test_attack_43_no_exclusion_by_a_made_up_tag_holds(environment: WebhookEnvironment) -> None:
    environment.write(excluding(environment, "debug"))
    image = pinned(environment, environment.push("team/app", "v1"))

    assert not ask(environment, image.replace(":v1@", ":debug@")).allowed
    assert not ask(environment, image.replace(":v1@", "@")).allowed


def test_attack_43_no_exemption_by_a_made_up_tag_holds(environment: WebhookEnvironment) -> None:
    environment.unmatched = UnmatchedImages.DENY
    exempt = policy("debug", f"{environment.registry.host}/**", action="Exempt")
    exempt["spec"]["images"][0]["tags"] = ["debug"]
    environment.write(exempt)
    debug, other = environment.push("team/app", "debug"), environment.push("team/other", "v1")

    assert ask(environment, debug).allowed
    assert ask(environment, pinned(environment, debug)).allowed
    assert not ask(environment, pinned(environment, other).replace(":v1@", ":debug@")).allowed
    assert not ask(environment, pinned(environment, debug).replace(":debug@", "@")).allowed


def test_attack_43_tag_exclusion_does_not_exempt_an_unknown_tag(environment: WebhookEnvironment) -> None:
    environment.unmatched = UnmatchedImages.DENY
    everything = f"{environment.registry.host}/**"
    environment.write(
        policy("most", everything, action="Exempt", excludeImages=[{"repository": everything, "tags": ["prod*"]}])
    )
    image = pinned(environment, environment.push("team/app", "prod-1"))

    assert not ask(environment, image).allowed
    assert not ask(environment, image.replace(":prod-1@", ":dev@")).allowed
    assert not ask(environment, image.replace(":prod-1@", "@")).allowed
    assert ask(environment, pinned(environment, environment.push("team/app", "dev", content=b"dev"))).allowed


def test_attack_43_a_bare_name_is_latest(environment: WebhookEnvironment) -> None:
    environment.write(tagged(environment, "latest"))
    bare = environment.push("team/app", "latest").removesuffix(":latest")
    assert not ask(environment, bare).allowed

    environment.write(tagged(environment, "v*"))
    environment.source.load()
    assert ask(environment, bare).allowed

    environment.write(excluding(environment, "latest"))
    environment.source.load()
    assert ask(environment, bare).allowed


def test_attack_43_registry_is_asked_only_if_the_tag_can_matter(environment: WebhookEnvironment) -> None:
    image = pinned(environment, environment.sign("team/app", "v1")).replace(":v1@", ":made-up@")
    assert ask(environment, image).allowed
    assert not [request for request in environment.registry.requests if "made-up" in request.path]


def test_attack_43_unknown_tag_that_decides_means_unavailable(
    environment: WebhookEnvironment,
) -> None:
    clock = FakeClock()
    environment.clock = clock
    environment.write(excluding(environment, "debug"))
    image = pinned(environment, environment.push("team/app", "debug"))
    environment.registry.faults.status("/manifests/debug", 503)

    for _ in range(2):
        answer = ask(environment, image)
        assert not answer.allowed
        assert answer.code == 503
        assert "whether tag debug names this digest is not known" in answer.message

    environment.registry.faults.clear()
    clock.advance(60)
    assert ask(environment, image).allowed


def test_attack_43_image_refused_for_any_tag_needs_no_registry(
    environment: WebhookEnvironment,
) -> None:
    environment.write(excluding(environment, "debug"), policy("strict", f"{environment.registry.host}/**"))
    image = pinned(environment, environment.push("team/app", "debug"))
    environment.registry.faults.status("/manifests/debug", 503)

    answer = ask(environment, image)
    assert (answer.allowed, answer.code) == (False, 403)


def test_attack_43_image_admitted_for_any_tag_needs_no_registry(
    environment: WebhookEnvironment,
) -> None:
    environment.write(excluding(environment, "debug"))
    image = pinned(environment, environment.sign("team/app", "debug"))
    environment.registry.faults.status("/manifests/debug", 503)

    assert ask(environment, image).allowed


def test_attack_43_verdict_by_tag_expires_with_the_tag(environment: WebhookEnvironment) -> None:
    clock = FakeClock()
    environment.clock = clock
    environment.write(excluding(environment, "debug"))
    image = pinned(environment, environment.push("team/app", "debug"))
    assert ask(environment, image).allowed
    assert ask(environment, image).allowed

    environment.push("team/app", "debug", content=b"moved on")
    clock.advance(31)
    assert not ask(environment, image).allowed
