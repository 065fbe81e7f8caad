"""Messages of refusals: age of a cached refusal, and accepted keys after a bad signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.builders.objects import authenticator, policy
from tests.support.clocks import FakeClock
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import fingerprint, new_key
from tests.webhook.environment import write_objects
from tests.webhook.objects import pod, review, workload

if TYPE_CHECKING:
    from tests.webhook.environment import WebhookEnvironment


def test_cached_refusal_has_its_age_and_next_lookup(environment: WebhookEnvironment) -> None:
    clock = environment.clock = FakeClock()
    image = environment.push("team/app", "v1")
    fresh = environment.validate(review(pod(image)))
    assert "looked up again" not in fresh.message
    # The first is the cached finding, the second the cached verdict.
    for seconds, age in (
        (12, "refused 12 s ago, looked up again in 18 s"),
        (5.5, "refused 17 s ago, looked up again in 13 s"),
    ):
        clock.advance(seconds)
        assert environment.validate(review(pod(image))).message == f"{fresh.message}; {age}"
    assert environment.metric("sealgate_image_verdicts_total", verdict="deny", reason="NoSignature") == 3
    clock.advance(13)
    push_classic(environment.registry, "team/app", Classic(environment.digest("team/app", "v1"), environment.key))
    assert environment.validate(review(pod(image))).allowed


def test_age_is_not_part_of_an_event(environment: WebhookEnvironment) -> None:
    clock = environment.clock = FakeClock()
    image = environment.push("team/app", "v1")
    for _ in range(3):
        assert not environment.validate(review(pod(image))).allowed
        clock.advance(2)
    assert len(environment.denials) == 3
    assert len(set(environment.denials)) == 1
    assert "looked up again" not in environment.denials[0]


def test_the_age_is_in_a_warning_too(environment: WebhookEnvironment) -> None:
    clock = environment.clock = FakeClock()
    environment.write(policy("all", "**", action="Warn"))
    image = environment.push("team/app", "v1")
    environment.validate(review(workload("Deployment", image)))
    clock.advance(3)
    (warning,) = environment.validate(review(workload("Deployment", image))).response["warnings"]
    assert warning.endswith("; refused 3 s ago, looked up again in 27 s")
    assert len(warning) <= 256


def test_bad_signature_refusal_lists_at_most_three_accepted_keys(
    environment: WebhookEnvironment,
) -> None:
    keys = [new_key("ECDSA P-256", f"release {number}") for number in range(5)]
    image = environment.sign("team/app", "v1", key=new_key("ECDSA P-256", "stranger"))
    message = environment.validate(review(pod(image))).message
    assert f"(accepted: {fingerprint(environment.key)})" in message
    write_objects(environment.folder, authenticator("release", *keys), policy("all", "**"))
    environment.source.load()
    message = environment.validate(review(pod(image))).message
    named = sorted(fingerprint(key) for key in keys)[:3]
    assert f"(accepted: {', '.join(named)} and 2 more)" in message
