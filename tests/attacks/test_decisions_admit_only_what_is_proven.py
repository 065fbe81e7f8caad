"""Getting a verdict out of less than the policy asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from sealgate.findings import Finding, Outcome
from sealgate.policies.decisions import ImageVerdict, UnmatchedImages, Verdict, decide
from sealgate.reasons import Reason
from tests.policies.decisions.cases import IMAGE, REFERENCE, SUBJECT, policy, refused, unavailable, verified

if TYPE_CHECKING:
    from typing import Any

    from sealgate.policies.matching import Match


def answer(*results: tuple[Match, list[Finding]]) -> ImageVerdict:
    return decide(IMAGE, REFERENCE, SUBJECT, results, UnmatchedImages.ADMIT)


def broken(match: Match, **fields: Any) -> Match:
    return replace(match, policy=replace(match.policy, **fields))


def test_attack_08_one_key_in_two_authenticators_counts_once() -> None:
    found = answer((policy("p", "a", "b", count=2), [verified("a", "k1"), verified("b", "k1")]))

    assert found.verdict is Verdict.DENY
    assert found.reason is Reason.POLICY_NOT_SATISFIED
    assert found.policies[0].satisfied == 1
    assert "share their keys, and each needs a key of its own" in found.message


def test_attack_08_one_key_seen_twice_counts_once() -> None:
    found = answer((policy("p", "a", "b"), [verified("a", "k1", "k1"), verified("b", "k1", "k1", "k1")]))

    assert found.policies[0].satisfied == 1


def test_attack_08_two_keys_do_not_meet_a_second_authenticator() -> None:
    found = answer((policy("p", "a", "b"), [verified("a", "k1", "k2"), refused("b")]))

    assert (found.verdict, found.policies[0].satisfied) == (Verdict.DENY, 1)


def test_attack_08_the_same_finding_handed_in_twice_counts_once() -> None:
    found = answer((policy("p", "a", "b", count=2), [verified("a", "k1"), verified("a", "k2"), refused("b")]))

    assert (found.verdict, found.policies[0].satisfied) == (Verdict.DENY, 1)


def test_attack_08_a_shared_key_is_given_to_whom_it_helps() -> None:
    found = answer((policy("p", "a", "b"), [verified("a", "k1", "k2"), verified("b", "k1")]))

    assert (found.verdict, found.policies[0].satisfied) == (Verdict.ADMIT, 2)


def test_attack_09_a_count_of_zero_is_not_met_by_nothing() -> None:
    for count in (0, -1):
        found = answer((broken(policy("p", "a"), count=count), [refused("a")]))

        assert (found.verdict, found.policies[0].required) == (Verdict.DENY, 1)


def test_attack_09_a_policy_without_authenticators_is_never_met() -> None:
    for count in (0, 1):
        found = answer((broken(policy(), authenticators=(), count=count), []))

        assert found.verdict is Verdict.DENY
        assert not found.verified


def test_attack_09_verified_finding_without_a_key_does_not_count() -> None:
    empty = replace(verified("a"), fingerprints=())

    assert answer((policy("p", "a"), [empty])).verdict is Verdict.DENY


@pytest.mark.parametrize("count", [0, -1, 3])
def test_attack_09_a_count_that_cannot_be_meant_is_no_policy(count: int) -> None:
    with pytest.raises(ValidationError):
        policy("p", "a", "b", count=count)


def test_attack_17_a_finding_that_was_never_made_is_not_verified() -> None:
    found = answer((policy("p", "a", "b"), [verified("a")]))

    assert (found.verdict, found.reason) == (Verdict.UNAVAILABLE, Reason.INTERNAL_ERROR)
    assert [finding.outcome for finding in found.policies[0].findings] == [Outcome.VERIFIED, Outcome.UNAVAILABLE]


def test_attack_17_finding_of_another_authenticator_is_ignored() -> None:
    found = answer((policy("p", "a"), [verified("b"), refused("a")]))

    assert (found.verdict, found.policies[0].satisfied) == (Verdict.DENY, 0)
    assert len(found.policies[0].findings) == 1


def test_attack_17_of_findings_that_disagree_the_worst_counts() -> None:
    for findings in ([verified("a"), refused("a")], [refused("a"), verified("a")]):
        assert answer((policy("p", "a"), findings)).verdict is Verdict.DENY
    assert answer((policy("p", "a"), [verified("a"), unavailable("a")])).verdict is Verdict.UNAVAILABLE


@pytest.mark.parametrize("reason", [Reason.DEADLINE_EXCEEDED, Reason.INTERNAL_ERROR, Reason.REGISTRY_UNAVAILABLE])
def test_attack_17_no_error_is_admitted(reason: Reason) -> None:
    assert answer((policy(), [unavailable(reason=reason)])).verdict is Verdict.UNAVAILABLE


def test_attack_17_failing_warn_policy_keeps_a_denial() -> None:
    strict, lenient = (policy("strict"), [refused()]), (policy("lenient", action="Warn"), [refused()])

    assert answer(strict, lenient).verdict is Verdict.DENY
    assert answer(lenient, strict).verdict is Verdict.DENY


def test_attack_17_unmatched_images_setting_bypasses_no_policy() -> None:
    found = decide(IMAGE, None, None, [(policy(), [])], UnmatchedImages.ADMIT)

    assert found.verdict is Verdict.UNAVAILABLE
