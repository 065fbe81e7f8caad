"""Losing an error on the way, or hiding a strict policy behind a lenient one: for all policies and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.findings import Outcome
from sealgate.policies.decisions import Coverage, UnmatchedImages, Verdict, decide
from tests.policies.decisions.cases import IMAGE, REFERENCE, SUBJECT
from tests.policies.decisions.strategies import SEVERAL, SEVERITY, UNMATCHED, Result, by_hand, results_of, verdict_of
from tests.support.examples import examples

if TYPE_CHECKING:
    import random


@settings(max_examples=examples(200))
@given(SEVERAL, UNMATCHED, st.randoms(use_true_random=False))
def test_attack_17_order_never_changes_the_answer(
    results: list[Result], unmatched: UnmatchedImages, dice: random.Random
) -> None:
    shuffled = [(chosen, dice.sample(findings, len(findings))) for chosen, findings in results]
    dice.shuffle(shuffled)

    assert decide(IMAGE, REFERENCE, SUBJECT, shuffled, unmatched) == decide(
        IMAGE, REFERENCE, SUBJECT, results, unmatched
    )


@settings(max_examples=examples(200))
@given(SEVERAL, results_of("another"))
def test_attack_17_one_more_policy_never_weakens_the_answer(results: list[Result], another: Result) -> None:
    assert verdict_of([*results, another]) >= verdict_of(results)


@settings(max_examples=examples(200))
@given(results_of("enforce", "Enforce"), st.sampled_from(["Warn", "Audit"]).flatmap(lambda a: results_of("lenient", a)))
def test_attack_17_lenient_policy_never_weakens_an_enforcing_one(enforcing: Result, lenient: Result) -> None:
    alone, together = verdict_of([enforcing]), verdict_of([enforcing, lenient])

    assert together == alone or (alone == SEVERITY.index(Verdict.ADMIT) and together == SEVERITY.index(Verdict.WARN))


@settings(max_examples=examples(300))
@given(SEVERAL, UNMATCHED)
def test_attack_17_nothing_passes_an_unmet_enforcing_policy(results: list[Result], unmatched: UnmatchedImages) -> None:
    answer = decide(IMAGE, REFERENCE, SUBJECT, results, unmatched)
    enforced = [result for result in answer.policies if result.action == "Enforce"]
    unmatched_denied = answer.coverage is Coverage.UNMATCHED and unmatched is UnmatchedImages.DENY

    refusing = answer.verdict in (Verdict.DENY, Verdict.UNAVAILABLE)
    assert refusing == (unmatched_denied or any(result.satisfied < result.required for result in enforced))
    for result in answer.policies:
        proven = {f.authenticator: list(f.fingerprints) for f in result.findings if f.outcome is Outcome.VERIFIED}
        assert result.satisfied == by_hand(proven)
        assert result.required >= 1


@settings(max_examples=examples(200))
@given(SEVERAL, st.data())
def test_attack_17_a_finding_that_gets_lost_never_helps(results: list[Result], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(results) - 1))
    chosen, findings = results[index]
    lost = data.draw(st.sampled_from(chosen.policy.authenticators))
    without = [finding for finding in findings if finding.authenticator != lost]
    # What was refused may become unavailable; what was verified cannot be verified any more.
    before, after = verdict_of(results), verdict_of([*results[:index], (chosen, without), *results[index + 1 :]])

    assert after >= min(before, SEVERITY.index(Verdict.UNAVAILABLE))
