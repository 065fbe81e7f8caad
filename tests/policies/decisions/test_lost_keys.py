from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.findings import Outcome, SeenSignature
from sealgate.policies.decisions import ImageVerdict, UnmatchedImages, Verdict, decide
from sealgate.policies.lost_keys import without_keys
from sealgate.reasons import Reason
from tests.policies.decisions.cases import IMAGE, REFERENCE, SUBJECT, policy, refused, verified
from tests.policies.decisions.strategies import SEVERAL, SEVERITY, Result
from tests.support.examples import examples

KEY, OTHER = "sha256:key", "sha256:other"


def decided(*results: Result) -> ImageVerdict:
    return decide(IMAGE, REFERENCE, SUBJECT, results, UnmatchedImages.ADMIT)


@pytest.mark.parametrize(
    ("action", "verdict"), [("Enforce", Verdict.DENY), ("Warn", Verdict.WARN), ("Audit", Verdict.ADMIT)]
)
def test_policy_that_only_this_key_met_is_not_met(action: str, verdict: Verdict) -> None:
    before = decided((policy(action=action), [verified("release-key", KEY)]))
    after = without_keys(before, {KEY})
    assert (after.verdict, after.reason) == (verdict, Reason.REVOKED)
    (result,) = after.policies
    assert (result.met, result.findings[0].outcome, result.findings[0].fingerprints) == (False, Outcome.REFUSED, ())
    assert "without this key it does not meet production" in after.message


def test_nothing_changes_while_another_key_is_left() -> None:
    before = decided((policy(), [verified("release-key", KEY, OTHER)]))
    assert without_keys(before, {KEY}) is before


def test_other_key_that_serves_another_authenticator_is_not_enough() -> None:
    """Each key meets one authenticator: two keys for two of them, one is lost."""
    both = policy("production", "a", "b")
    before = decided((both, [verified("a", KEY, OTHER), verified("b", KEY, OTHER)]))
    assert before.verdict is Verdict.ADMIT
    assert without_keys(before, {KEY}).verdict is Verdict.DENY


def test_policy_that_was_not_met_before_is_no_difference() -> None:
    before = decided((policy("production", "a", "b"), [verified("a", KEY), refused("b")]))
    assert without_keys(before, {KEY}) is before


def test_evidence_with_roles_is_lost_as_a_whole() -> None:
    before = decided((policy(), [verified("release-key", KEY, OTHER)]))
    assert without_keys(before, {KEY}, {"release-key"}).verdict is Verdict.DENY
    assert without_keys(before, {"sha256:third"}, {"release-key"}) is before


def test_signature_that_could_not_be_fetched_may_be_by_another_key() -> None:
    missing = SeenSignature("the rest", Reason.REGISTRY_UNAVAILABLE, "the registry does not answer")
    before = decided((policy(), [replace(verified("release-key", KEY), signatures=(missing,))]))
    assert without_keys(before, {KEY}).verdict is Verdict.UNAVAILABLE


@settings(max_examples=examples(50))
@given(SEVERAL, st.sets(st.sampled_from(["key-1", "key-2", "key-3", "key-of-release-key"])))
def test_a_lost_key_never_improves_a_verdict(results: list[Result], keys: set[str]) -> None:
    before = decided(*results)
    assert SEVERITY.index(without_keys(before, keys).verdict) >= SEVERITY.index(before.verdict)
