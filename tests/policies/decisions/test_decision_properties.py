"""Properties of every decision, for any policies and findings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.findings import Outcome
from sealgate.policies.decisions import UnmatchedImages, Verdict, count_met, decide
from tests.policies.decisions.cases import IMAGE, REFERENCE, SUBJECT, verified
from tests.policies.decisions.strategies import NAMES, SEVERAL, Result, by_hand, results_of, verdict_of
from tests.support.examples import examples

if TYPE_CHECKING:
    from sealgate.policies.matching import Match


@settings(max_examples=examples(200))
@given(st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from("12345"), max_size=4), max_size=4))
def test_as_many_authenticators_are_met_as_can_be(keys: dict[str, list[str]]) -> None:
    assert count_met(keys) == by_hand(keys)


@settings(max_examples=examples(200))
@given(results_of("p", "Enforce"))
def test_unavailable_only_if_missing_findings_could_meet_it(result: Result) -> None:
    chosen, findings = result
    found = {finding.authenticator: finding for finding in findings}
    best = [
        finding
        if (finding := found.get(name)) is not None and finding.outcome is not Outcome.UNAVAILABLE
        else verified(name, f"own-key-of-{name}")
        for name in chosen.policy.authenticators
    ]
    answer = decide(IMAGE, REFERENCE, SUBJECT, [result], UnmatchedImages.ADMIT)

    if answer.verdict is not Verdict.ADMIT:
        assert (answer.verdict is Verdict.UNAVAILABLE) == (verdict_of([(chosen, best)]) == 0)


@settings(max_examples=examples(100))
@given(SEVERAL)
def test_unknown_action_enforces(results: list[Result]) -> None:
    unknown = [(_acting(chosen, "enforce"), findings) for chosen, findings in results]
    strict = [(_acting(chosen, "Enforce"), findings) for chosen, findings in results]

    assert verdict_of(unknown) == verdict_of(strict)


def _acting(match: Match, action: str) -> Match:
    return replace(match, policy=replace(match.policy, action=action))
