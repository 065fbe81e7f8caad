"""Attacks on `cache.staleTagSeconds`: a tag counts as the digest that it named while its registry is unreachable.

Through the webhook, with a private registry and pull secrets of two tenants.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealgate.verification.settings import VerifierSettings
from sealgate.verification.stale_cache import UNREACHABLE_SECONDS
from tests.attacks.test_tenants_share_no_answers import Tenants
from tests.support.builders.objects import authenticator, policy
from tests.support.clocks import FakeClock
from tests.support.signers.private_keys import new_key
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.support.simulators.registry_auth import Auth
from tests.webhook.environment import open_environment, write_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.simulators.http_faults import Faults
    from tests.webhook.environment import ReviewAnswer
    from tests.webhook.ways import Way

STALE = 3600.0
#: So long that no busy machine makes a registry that answers an unreachable one.
SETTINGS = VerifierSettings(stale_tag_seconds=STALE, unresponsive_after=60.0)
USERS = {"robot": "s3cret", "member": "pa55word"}
EVERYTHING = "/"
OUTAGES: dict[str, Callable[[Faults], object]] = {
    "status": lambda faults: faults.status(EVERYTHING, 502),
    "drop": lambda faults: faults.drop(EVERYTHING),
    "hang": lambda faults: faults.hang(EVERYTHING),
}


class Outage(Tenants):
    """A webhook with `cache.staleTagSeconds`, and its registry, which can become unreachable."""

    def known(self) -> str:
        """Have an image verified by tag, and let its entries in the caches expire; return it."""
        image = self.environment.sign("team/app", "v1")
        assert self.pins("shop", image) == self.environment.digest("team/app", "v1")
        assert self.validate("shop", image, "pull").allowed
        self.clock.advance(SETTINGS.verified_seconds)
        return image

    def pins(self, namespace: str, image: str) -> str:
        """Return the digest that a Pod's tag is pinned to; empty if it is not pinned."""
        return digest_of(self.mutate(namespace, image, "pull"))

    def admits(self, namespace: str, image: str) -> bool:
        return self.validate(namespace, image, "pull").allowed

    @property
    def faults(self) -> Faults:
        return self.environment.registry.faults

    def revoke(self) -> None:
        """Have the policy demand another key."""
        environment = self.environment
        release = authenticator("release", new_key("ECDSA P-256", "other"))
        write_objects(environment.folder, release, policy("all", f"{environment.registry.host}/**"))
        environment.source.load()


def digest_of(answer: ReviewAnswer) -> str:
    patch = json.loads(base64.b64decode(answer.response.get("patch", "W10=")))
    return patch[1]["value"].partition("@")[2] if patch else ""


@pytest.fixture
def outage(tmp_path: Path, way: Way) -> Iterator[Outage]:
    with KubernetesSimulator() as cluster, open_environment(tmp_path, way) as environment:
        environment.clock = clock = FakeClock()
        environment.verifier_settings = SETTINGS
        environment.registry.auth = Auth("basic", users=USERS)
        outage = Outage(environment, cluster, clock)
        outage.put_secret("shop", "pull", "robot")
        outage.put_secret("evil", "pull", "member")
        yield outage


@pytest.mark.parametrize("how", OUTAGES)
def test_attack_110_known_tag_is_pinned_while_its_registry_is_unreachable(outage: Outage, how: str) -> None:
    if how == "hang":
        outage.environment.verifier_settings = replace(SETTINGS, unresponsive_after=0.2)
    image = outage.known()
    OUTAGES[how](outage.faults)
    for _ in range(2):
        answer = outage.mutate("shop", image, "pull")
        assert digest_of(answer) == outage.environment.digest("team/app", "v1")
        assert "the registry cannot be reached; it answered 600 s ago" in str(answer.response["auditAnnotations"])
        pinned = f"{image}@{digest_of(answer)}"
        for text in (image, pinned):
            validated = outage.validate("shop", text, "pull")
            assert validated.allowed, validated.message
            assert "the registry cannot be reached" in str(validated.response["auditAnnotations"])
    host = outage.environment.registry.host
    # From memory: only the first review of the repository asks the registry.
    requests = outage.requests
    assert outage.admits("shop", image)
    assert outage.requests == requests
    counted = (outage.environment.metric(f"sealgate_stale_{what}_total", host=host) for what in ("tags", "findings"))
    assert tuple(counted) == (5, 5)
    assert {line["stale_tags"][0] for line in outage.environment.lines("review") if "stale_tags" in line} == {image}
    assert outage.environment.lines("review")[-1]["images"][0]["stale_seconds"] == 600


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_attack_110_registry_that_says_no_is_believed(outage: Outage, status: int) -> None:
    image = outage.known()
    outage.faults.status(EVERYTHING, status)
    for _ in range(2):
        assert outage.pins("shop", image) == ""
        assert not outage.admits("shop", image)
    outage.faults.clear()
    outage.faults.status(EVERYTHING, 502)
    # What it denied stays denied when it becomes unreachable; it may have limited its rate for anything.
    assert outage.admits("shop", image) is (status == 429)


def test_attack_110_nothing_is_stale_by_default(outage: Outage) -> None:
    outage.environment.verifier_settings = VerifierSettings()
    image = outage.known()
    outage.faults.status(EVERYTHING, 502)
    assert outage.pins("shop", image) == ""
    assert outage.validate("shop", image, "pull").code == 503


def test_attack_111_moved_tag_is_noticed_when_the_registry_is_back(outage: Outage) -> None:
    image = outage.known()
    known = outage.environment.digest("team/app", "v1")
    outage.faults.status(EVERYTHING, 502)
    assert outage.pins("shop", image) == known
    outage.environment.push("team/app", "v1", content=b"moved")
    outage.faults.clear()
    outage.clock.advance(UNREACHABLE_SECONDS)
    assert outage.pins("shop", image) == outage.environment.digest("team/app", "v1") != known
    outage.faults.status(EVERYTHING, 502)
    outage.clock.advance(SETTINGS.tag_seconds)
    # The digest from before it moved is not used again.
    assert outage.pins("shop", image) != known
    assert not outage.admits("shop", image)


def test_attack_111_stale_tag_confirms_no_digest_but_its_own(outage: Outage) -> None:
    environment = outage.environment
    environment.write(policy("all", f"{environment.registry.host}/**", images=[{"repository": "**", "tags": ["v*"]}]))
    image = outage.known()
    stranger = environment.registry.push_image("team/app", "dev")
    outage.faults.status(EVERYTHING, 502)
    assert outage.admits("shop", f"{image}@{environment.digest('team/app', 'v1')}")
    answer = outage.validate("shop", f"{image}@{stranger}", "pull")
    assert not answer.allowed


def test_attack_111_answer_ends_with_its_time(outage: Outage) -> None:
    image = outage.known()
    outage.faults.status(EVERYTHING, 502)
    left = STALE - SETTINGS.verified_seconds
    for _ in range(3):
        outage.clock.advance(left / 4)
        assert outage.pins("shop", image)
        assert outage.admits("shop", image)
    # Using it made it no younger.
    outage.clock.advance(left / 4)
    assert outage.pins("shop", image) == ""
    assert not outage.admits("shop", image)


def test_attack_112_revoked_key_ends_it_at_once(outage: Outage) -> None:
    image = outage.known()
    outage.faults.status(EVERYTHING, 502)
    assert outage.admits("shop", image)
    outage.revoke()
    answer = outage.validate("shop", image, "pull")
    assert (answer.allowed, answer.code) == (False, 503)


def test_attack_112_refusal_is_never_kept_and_ends_what_was_verified(outage: Outage) -> None:
    image = outage.known()
    outage.faults.status(r"\.sig", 404)
    assert outage.validate("shop", image, "pull").code == 403
    outage.faults.clear()
    outage.faults.status(EVERYTHING, 502)
    outage.clock.advance(SETTINGS.refused_seconds)
    assert outage.validate("shop", image, "pull").code == 503


def test_attack_112_unsigned_image_is_not_admitted_in_an_outage(outage: Outage) -> None:
    outage.known()
    unsigned = outage.environment.push("team/app", "unsigned")
    assert outage.validate("shop", unsigned, "pull").code == 403
    outage.clock.advance(SETTINGS.refused_seconds)
    outage.faults.status(EVERYTHING, 502)
    assert outage.pins("shop", unsigned)
    assert outage.validate("shop", unsigned, "pull").code == 503


def test_attack_113_answers_of_another_tenant_are_not_used(outage: Outage) -> None:
    image = outage.known()
    outage.faults.status(EVERYTHING, 502)
    assert outage.pins("shop", image)
    pinned = f"{image}@{outage.environment.digest('team/app', 'v1')}"
    for text in (image, pinned):
        assert outage.admits("shop", text)
        assert outage.pins("evil", image) == ""
        assert not outage.admits("evil", text)


def test_attack_113_one_tenants_outage_is_not_anothers(outage: Outage) -> None:
    image = outage.known()
    known = outage.environment.digest("team/app", "v1")
    outage.faults.status(EVERYTHING, 502)
    assert not outage.admits("evil", image)
    outage.faults.clear()
    outage.environment.sign("team/app", "v1", content=b"moved")
    # What a tenant's own credentials bring about does not reach others, who ask the registry.
    assert outage.pins("shop", image) == outage.environment.digest("team/app", "v1") != known


def test_attack_113_one_repositorys_outage_is_not_anothers(outage: Outage) -> None:
    image = outage.known()
    other = outage.environment.sign("evil/app", "v1")
    outage.faults.status("/v2/evil/", 502)
    assert outage.pins("shop", other) == ""
    known = outage.environment.digest("team/app", "v1")
    outage.environment.sign("team/app", "v1", content=b"moved")
    assert outage.pins("shop", image) == outage.environment.digest("team/app", "v1") != known
