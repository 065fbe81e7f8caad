"""Attacks on cached findings: one that is verified must not outlive what it depends on.

By a Notation signature that states when it expires; until when signatures of each format count is tested beside the
formats (`valid_until`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.policies.decisions import Verdict
from sealgate.verification.from_memory import NotInMemoryError
from sealgate.verification.settings import VerifierSettings
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.clocks import FakeClock
from tests.support.environments.notation import NotationEnvironment
from tests.support.environments.verifier import REPOSITORY, VerifierEnvironment, policy_set
from tests.support.examples import examples
from tests.support.signers.notation import NOW, payload_for, push_envelope

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealgate.policies.decisions import ImageVerdict
    from sealgate.verification.policy_sets import PolicySet

SETTINGS = VerifierSettings(
    verified_seconds=600, stale_tag_seconds=3600, unresponsive_after=60.0, verifications_per_minute=1e9
)


@dataclass
class Signed:
    """An image whose signatures end, and what verifies it."""

    environment: VerifierEnvironment
    clock: FakeClock
    image: str
    policies: PolicySet

    def verdict(self) -> ImageVerdict:
        (found,) = self.environment.verify(self.image, policies=self.policies)
        return found


def sign(
    environment: VerifierEnvironment, clock: FakeClock, signer: NotationEnvironment, ends: Sequence[int]
) -> Signed:
    """Sign an image, each signature with its end in seconds from now."""
    digest = environment.registry.push_image(REPOSITORY, "v1")
    payload = payload_for(environment.registry.manifest(REPOSITORY, digest)[1], digest)
    for end in ends:
        envelope = signer.envelope(payload=payload, expiry=NOW + timedelta(seconds=end))
        push_envelope(environment.registry, REPOSITORY, digest, envelope.jws())
    image = f"{environment.registry.host}/{REPOSITORY}@{digest}"
    release = authenticator_model("release", spec={"notation": signer.spec()})
    return Signed(environment, clock, image, policy_set([release], [policy_model("production")]))


@pytest.fixture(scope="module")
def signer() -> Iterator[NotationEnvironment]:
    with NotationEnvironment() as made:
        yield made


@pytest.mark.parametrize("asked_before", [True, False], ids=["verdict in memory", "finding in memory"])
def test_attack_28_finding_is_not_used_beyond_its_end(
    signer: NotationEnvironment,
    asked_before: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    clock = FakeClock()
    with VerifierEnvironment(SETTINGS, clock) as environment:
        signed = sign(environment, clock, signer, [300])
        assert signed.verdict().verdict is Verdict.ADMIT
        clock.advance(299)
        if asked_before:
            assert signed.verdict().verdict is Verdict.ADMIT
            review = environment.review(signed.policies)
            assert environment.verifier.from_memory().verify([signed.image], review)[0].verdict is Verdict.ADMIT
        clock.advance(1)
        with pytest.raises(NotInMemoryError):
            environment.verifier.from_memory().verify([signed.image], environment.review(signed.policies))
        found = signed.verdict()
        assert found.verdict is Verdict.DENY
        assert "expired" in found.message


def test_attack_28_ended_finding_does_not_stand_in_for_a_registry_that_is_down(signer: NotationEnvironment) -> None:
    clock = FakeClock()
    with VerifierEnvironment(SETTINGS, clock) as environment:
        signed = sign(environment, clock, signer, [900])
        assert signed.verdict().verdict is Verdict.ADMIT
        environment.registry.faults.status("/", 502)
        clock.advance(899)
        assert signed.verdict().verdict is Verdict.ADMIT
        clock.advance(1)
        assert signed.verdict().verdict is Verdict.UNAVAILABLE


def test_attack_28_further_signature_counts_after_the_first_has_ended(signer: NotationEnvironment) -> None:
    clock = FakeClock()
    with VerifierEnvironment(SETTINGS, clock) as environment:
        signed = sign(environment, clock, signer, [300, 400])
        for seconds, verdict in ((0, Verdict.ADMIT), (300, Verdict.ADMIT), (99, Verdict.ADMIT), (1, Verdict.DENY)):
            clock.advance(seconds)
            assert signed.verdict().verdict is verdict


@settings(max_examples=examples(20))
@given(
    ends=st.lists(st.sampled_from([1, 299, 300, 601, 1500]), min_size=1, max_size=2),
    steps=st.lists(st.sampled_from(["down", "up", 1, 11, 299, 600, 601]), max_size=10),
)
def test_attack_28_nothing_is_admitted_beyond_its_end_in_any_order(ends: list[int], steps: list[str | int]) -> None:
    clock = FakeClock()
    with NotationEnvironment() as signer, VerifierEnvironment(SETTINGS, clock) as environment:
        signed = sign(environment, clock, signer, ends)
        failed = False
        for step in ["up", *steps]:
            if isinstance(step, int):
                clock.advance(step)
            else:
                environment.registry.faults.clear()
            if step == "down":
                environment.registry.faults.status("/", 502)
                failed = True
            found = signed.verdict().verdict
            if clock.monotonic() >= max(ends):
                assert found is not Verdict.ADMIT
            elif not failed:
                assert found is Verdict.ADMIT
