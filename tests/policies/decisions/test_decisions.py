"""Verdicts derived from findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import InvalidReferenceError
from sealgate.findings import Finding, Outcome
from sealgate.policies.decisions import MAX_MESSAGE, UnmatchedImages, Verdict, count_met, decide, refuse_reference
from sealgate.reasons import Reason
from tests.policies.decisions.cases import IMAGE, REFERENCE, SUBJECT, policy, refused, unavailable, verified

if TYPE_CHECKING:
    from sealgate.policies.matching import Match

ADMIT = UnmatchedImages.ADMIT


def verdict_of(*results: tuple[Match, list[Finding]]) -> Verdict:
    return decide(IMAGE, REFERENCE, SUBJECT, results, ADMIT).verdict


def test_an_image_that_every_policy_verified_is_admitted() -> None:
    answer = decide(
        IMAGE, REFERENCE, SUBJECT, [(policy(), [verified()]), (policy("team", "qa"), [verified("qa")])], ADMIT
    )

    assert answer.verdict is Verdict.ADMIT
    assert answer.reason is Reason.VERIFIED
    assert answer.verified
    assert (answer.image, answer.reference, answer.subject) == (IMAGE, REFERENCE, SUBJECT)
    assert [(result.name, result.satisfied, result.required) for result in answer.policies] == [
        ("production", 1, 1),
        ("team", 1, 1),
    ]
    assert answer.message == f"{IMAGE}: verified by policies production, team"


def test_a_refusal_names_image_policy_authenticator_and_reason() -> None:
    answer = decide(IMAGE, REFERENCE, SUBJECT, [(policy(), [refused()])], ADMIT)

    assert answer.verdict is Verdict.DENY
    assert answer.reason is Reason.NO_SIGNATURE
    assert not answer.verified
    assert answer.message == (f"{IMAGE}: denied: policy production: release-key: it is not signed; sign it with cosign")


def test_failing_authenticators_share_one_line() -> None:
    findings = [refused("a"), verified("b"), refused("c", Reason.UNKNOWN_KEY)]

    answer = decide(IMAGE, REFERENCE, SUBJECT, [(policy("p", "a", "b", "c"), findings)], ADMIT)

    assert answer.reason is Reason.POLICY_NOT_SATISFIED
    assert "policy p (1 of 3 met): a: it is not signed" in answer.message
    assert "; c: it is not signed" in answer.message
    assert "b:" not in answer.message
    assert "\n" not in answer.message


def test_a_message_is_bounded_however_much_failed() -> None:
    names = [f"authenticator-{number:02}" for number in range(16)]
    long = [Finding(name, "cosign", Outcome.REFUSED, Reason.NO_SIGNATURE, "x" * 5000) for name in names]

    answer = decide(IMAGE, REFERENCE, SUBJECT, [(policy("p", *names), long)], ADMIT)

    assert len(answer.message) == MAX_MESSAGE
    assert answer.message.startswith(f"{IMAGE}: denied: policy p (0 of 16 met): authenticator-00: xxx")
    assert answer.message.endswith("...")


def test_an_image_name_cannot_break_the_line() -> None:
    answer = decide("evil\nallowed: true", None, None, [(policy(), [refused()])], ADMIT)

    assert answer.message.startswith('"evil\\nallowed: true": denied')


@pytest.mark.parametrize(
    ("action", "expected"), [("Enforce", Verdict.DENY), ("Warn", Verdict.WARN), ("Audit", Verdict.ADMIT)]
)
def test_action_decides_the_effect_of_an_unmet_policy(action: str, expected: Verdict) -> None:
    answer = decide(IMAGE, REFERENCE, SUBJECT, [(policy(action=action), [refused()])], ADMIT)

    assert answer.verdict is expected
    assert answer.reason is Reason.NO_SIGNATURE
    assert not answer.verified


def test_audit_admission_is_reported() -> None:
    answer = decide(IMAGE, REFERENCE, SUBJECT, [(policy(action="Audit"), [refused()])], ADMIT)

    assert answer.message.startswith(
        f"{IMAGE}: admitted, for the record only: policy production: release-key: it is not signed"
    )


def test_warning_has_the_reason() -> None:
    answer = decide(IMAGE, REFERENCE, SUBJECT, [(policy(action="Warn"), [unavailable()])], ADMIT)

    assert answer.message.startswith(f"{IMAGE}: admitted with a warning: policy production: release-key: the registry")


def test_as_many_authenticators_as_counted_are_enough() -> None:
    two_of_three = policy("p", "a", "b", "c", count=2)

    assert verdict_of((two_of_three, [verified("a"), refused("b"), verified("c")])) is Verdict.ADMIT
    assert verdict_of((two_of_three, [verified("a"), refused("b"), refused("c")])) is Verdict.DENY


def test_without_a_count_all_are_needed() -> None:
    assert verdict_of((policy("p", "a", "b"), [verified("a"), refused("b")])) is Verdict.DENY


def test_sufficient_missing_findings_make_it_unavailable() -> None:
    answer = decide(IMAGE, REFERENCE, SUBJECT, [(policy("p", "a", "b"), [verified("a"), unavailable("b")])], ADMIT)

    assert answer.verdict is Verdict.UNAVAILABLE
    assert answer.reason is Reason.REGISTRY_UNAVAILABLE
    assert "not admitted, since it could not be verified: policy p (1 of 2 met): b: the registry" in answer.message


def test_insufficient_missing_findings_leave_it_denied() -> None:
    answer = decide(IMAGE, REFERENCE, SUBJECT, [(policy("p", "a", "b"), [refused("a"), unavailable("b")])], ADMIT)

    assert answer.verdict is Verdict.DENY
    assert answer.reason is Reason.POLICY_NOT_SATISFIED


def test_unavailable_message_names_only_missing_findings() -> None:
    findings = [refused("a"), unavailable("b"), verified("c")]

    answer = decide(IMAGE, REFERENCE, SUBJECT, [(policy("p", "a", "b", "c", count=2), findings)], ADMIT)

    assert answer.verdict is Verdict.UNAVAILABLE
    assert "b: the registry" in answer.message
    assert "a: it is not signed" not in answer.message


def test_message_is_about_the_deciding_policies() -> None:
    answer = decide(
        IMAGE,
        REFERENCE,
        SUBJECT,
        [
            (policy("deny", "a"), [refused("a")]),
            (policy("later", "b"), [unavailable("b")]),
            (policy("warn", "c", action="Warn"), [refused("c")]),
            (policy("good", "d"), [verified("d")]),
        ],
        ADMIT,
    )

    assert answer.verdict is Verdict.DENY
    assert answer.reason is Reason.NO_SIGNATURE
    assert "policy deny" in answer.message
    assert "later" not in answer.message
    assert "warn" not in answer.message
    assert [result.name for result in answer.policies] == ["deny", "good", "later", "warn"]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (UnmatchedImages.ADMIT, Verdict.ADMIT),
        (UnmatchedImages.WARN, Verdict.WARN),
        (UnmatchedImages.DENY, Verdict.DENY),
    ],
)
def test_an_image_that_no_policy_covers_follows_the_setting(setting: UnmatchedImages, expected: Verdict) -> None:
    answer = decide(IMAGE, REFERENCE, None, [], setting)

    assert answer.verdict is expected
    assert answer.reason is Reason.NO_POLICY_MATCHES
    assert not answer.verified
    assert "no verification policy covers it" in answer.message


def test_the_setting_does_not_touch_images_that_a_policy_covers() -> None:
    for setting in UnmatchedImages:
        assert decide(IMAGE, REFERENCE, SUBJECT, [(policy(), [refused()])], setting).verdict is Verdict.DENY
        assert decide(IMAGE, REFERENCE, SUBJECT, [(policy(), [verified()])], setting).verdict is Verdict.ADMIT


def test_a_reference_that_does_not_parse_is_denied() -> None:
    answer = refuse_reference("a b", InvalidReferenceError("a b is not an image reference"))

    assert answer.verdict is Verdict.DENY
    assert answer.reason is Reason.INVALID_REFERENCE
    assert answer.message == '"a b": denied: a b is not an image reference'
    assert (answer.reference, answer.subject, answer.policies) == (None, None, ())


@pytest.mark.parametrize(
    ("keys", "met"),
    [
        ({}, 0),
        ({"a": []}, 0),
        ({"a": ["1"], "b": ["1"]}, 1),
        ({"a": ["1", "2"], "b": ["1"]}, 2),
        ({"a": ["1", "2"], "b": ["1"], "c": ["2"]}, 2),
        ({"a": ["1", "2", "3"], "b": ["1", "2"], "c": ["1"]}, 3),
        ({"a": ["1", "1", "1"]}, 1),
    ],
)
def test_each_key_serves_one_authenticator_so_that_most_are_met(keys: dict[str, list[str]], met: int) -> None:
    assert count_met(keys) == met
