"""Permission from a policy that must not give any: which images `unmatchedImages` decides about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.policies.decisions import Coverage, UnmatchedImages, Verdict, decide
from tests.policies.decisions.cases import IMAGE, REFERENCE, SUBJECT, policy, refused, verified
from tests.policies.decisions.strategies import SEVERAL, SEVERITY, Result, results_of, verdict_of
from tests.support.builders.objects import policy as policy_object
from tests.support.examples import examples
from tests.webhook.objects import pod, review

if TYPE_CHECKING:
    from tests.webhook.environment import WebhookEnvironment

LENIENT = st.sampled_from(["Warn", "Audit"]).flatmap(lambda action: results_of("lenient", action))


@pytest.mark.parametrize("action", ["Audit", "Warn"])
def test_attack_56_informing_policy_does_not_cover_an_image(environment: WebhookEnvironment, action: str) -> None:
    environment.unmatched = UnmatchedImages.DENY
    environment.write(policy_object("inform", "**", action=action))

    for image in (environment.push("team/app", "v1"), environment.sign("team/signed", "v1")):
        answer = environment.validate(review(pod(image)))
        assert not answer.allowed
        assert "no verification policy covers it" in answer.message


@pytest.mark.parametrize("unmatched", UnmatchedImages)
def test_attack_56_an_exempt_policy_admits_its_images_only(
    environment: WebhookEnvironment, unmatched: UnmatchedImages
) -> None:
    environment.unmatched = unmatched
    environment.write(policy_object("vendor", f"{environment.registry.host}/vendor/**", action="Exempt"))

    assert environment.validate(review(pod(environment.push("vendor/app", "v1")))).allowed
    other = environment.validate(review(pod(environment.push("team/app", "v1"))))
    assert other.allowed == (unmatched is not UnmatchedImages.DENY)


def test_attack_56_exempt_policy_never_weakens_an_enforcing_one(environment: WebhookEnvironment) -> None:
    environment.write(
        policy_object("all", f"{environment.registry.host}/**"), policy_object("everything", "**", action="Exempt")
    )

    assert not environment.validate(review(pod(environment.push("team/app", "v1")))).allowed
    assert environment.validate(review(pod(environment.sign("team/signed", "v1")))).allowed


def test_attack_56_an_exclusion_exempts_nothing(environment: WebhookEnvironment) -> None:
    environment.unmatched = UnmatchedImages.DENY
    excluded = [{"repository": f"{environment.registry.host}/team/app"}]
    environment.write(policy_object("all", f"{environment.registry.host}/**", excludeImages=excluded))

    assert not environment.validate(review(pod(environment.push("team/app", "v1")))).allowed


@settings(max_examples=examples(100))
@given(SEVERAL, LENIENT, st.sampled_from(UnmatchedImages))
def test_attack_56_additional_informing_policy_admits_no_more(
    results: list[Result], lenient: Result, unmatched: UnmatchedImages
) -> None:
    for before in (results, []):
        assert verdict_of([*before, lenient], unmatched) >= verdict_of(before, unmatched)


@settings(max_examples=examples(100))
@given(SEVERAL, st.sampled_from(UnmatchedImages))
def test_attack_56_an_exemption_changes_unmatched_images_only(
    results: list[Result], unmatched: UnmatchedImages
) -> None:
    exempt: Result = (policy("exempt", action="Exempt"), [])

    assert verdict_of([*results, exempt], unmatched) == verdict_of(results, UnmatchedImages.ADMIT)
    assert verdict_of([exempt], unmatched) == SEVERITY.index(Verdict.ADMIT)


def test_coverage_follows_enforce_and_exempt_policies() -> None:
    enforce: Result = (policy("e"), [verified()])
    exempt: Result = (policy("x", action="Exempt"), [])
    audit, warn = (policy("a", action="Audit"), [refused()]), (policy("w", action="Warn"), [verified()])
    expected = [
        ([], Coverage.UNMATCHED),
        ([audit, warn], Coverage.UNMATCHED),
        ([audit, exempt, warn], Coverage.EXEMPT),
        ([exempt, enforce], Coverage.COVERED),
        ([audit, enforce], Coverage.COVERED),
    ]
    for results, coverage in expected:
        assert decide(IMAGE, REFERENCE, SUBJECT, results, UnmatchedImages.ADMIT).coverage is coverage


def test_an_exempt_image_is_not_called_verified() -> None:
    answer = decide(IMAGE, REFERENCE, None, [(policy("vendor", action="Exempt"), [])], UnmatchedImages.DENY)

    assert not answer.verified
    assert (answer.reason, answer.policies) == ("Exempt", ())
    assert answer.message == f"{IMAGE}: admitted unverified: exempt by policy vendor"
