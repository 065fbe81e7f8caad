from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sealgate.api.v1alpha1.dependencies import authenticators_named_in
from sealgate.api.v1alpha1.status import AuthenticatorStatus
from sealgate_operator.status.authenticators import Assessment
from sealgate_operator.status.conditions import ConditionUpdate
from sealgate_operator.status.verification_policies import policy_status
from tests.operator.objects import policy
from tests.support.clocks import NOW


def usable(*fingerprints: str) -> Assessment:
    return Assessment(AuthenticatorStatus(), ready=True, message="", fingerprints=frozenset(fingerprints))


ANY_SIGNER = Assessment(AuthenticatorStatus(), ready=True, message="")
BROKEN = Assessment(AuthenticatorStatus(), ready=False, message="its key is damaged")


def conditions(obj: dict[str, Any], **known: Assessment) -> dict[str, tuple[str, str, str]]:
    status = policy_status(obj, known, NOW)
    return {found.type: (found.status, found.reason, found.message) for found in status.conditions}


def images(*repositories: str) -> list[dict[str, Any]]:
    return [{"repository": repository} for repository in repositories]


def test_policy_with_ready_authenticators_is_ready() -> None:
    found = conditions(policy("p", "a", "b"), a=usable("1"), b=usable("2"))
    assert found == {
        "Ready": ("True", "PolicyInForce", "Enforce: images need 2 of a, b"),
        "PatternsValid": ("True", "PatternsCompile", "every pattern can match"),
        "AuthenticatorsReady": ("True", "AuthenticatorsReady", "every authenticator can be used"),
    }


@pytest.mark.parametrize("ready", ["False", "Unknown", "True"])
def test_policy_is_ready_only_while_it_is_enforced(ready: str) -> None:
    holds = {"False": False, "Unknown": None, "True": True}[ready]
    enforced = ConditionUpdate("Enforced", holds, "FailurePolicyChanged", "restore it", stalled=True)
    status = policy_status(policy("p", "a"), {"a": usable("1")}, NOW, enforced)
    found = {one.type: (one.status, one.reason) for one in status.conditions}
    assert found["Enforced"] == (ready, "FailurePolicyChanged")
    assert found["Ready"] == (ready, "PolicyInForce" if holds else "NotEnforced")


def test_what_is_wrong_with_a_policy_itself_comes_first() -> None:
    enforced = ConditionUpdate("Enforced", False, "FailurePolicyChanged", "restore it")
    status = policy_status(policy("p", "a"), {}, NOW, enforced)
    assert status.conditions[0].reason == "AuthenticatorNotFound"


def test_a_missing_authenticator_is_named() -> None:
    found = conditions(policy("p", "a", "b"), a=usable("1"))
    assert found["Ready"][:2] == ("False", "AuthenticatorNotFound")
    assert "there is no Authenticator b: create it" in found["Ready"][2]
    assert "no image can pass until that is put right (1 of the 2 needed can verify)" in found["Ready"][2]
    assert found["PatternsValid"][0] == "True"


def test_unready_authenticator_is_named_with_its_reason() -> None:
    found = conditions(policy("p", "a", "b", count=1), a=usable("1"), b=BROKEN)
    assert found["AuthenticatorsReady"][:2] == ("False", "AuthenticatorNotReady")
    assert "Authenticator b is not ready: its key is damaged; the others suffice (1 needed)" in found["Ready"][2]


def test_authenticators_with_one_shared_key_cannot_both_verify() -> None:
    found = conditions(policy("p", "a", "b"), a=usable("1"), b=usable("1"))
    assert found["Ready"][:2] == ("False", "NeverSatisfiable")
    assert "no image can ever pass" in found["Ready"][2]


def test_three_authenticators_with_two_keys_count_as_two_signers() -> None:
    known = {"a": usable("1", "2"), "b": usable("2"), "c": usable("1")}
    assert conditions(policy("p", "a", "b", "c", count=2), **known)["Ready"][0] == "True"
    assert conditions(policy("p", "a", "b", "c"), **known)["Ready"][1] == "NeverSatisfiable"


def test_externally_chosen_signers_count_as_different() -> None:
    assert conditions(policy("p", "a", "b"), a=ANY_SIGNER, b=ANY_SIGNER)["Ready"][0] == "True"


def test_every_pattern_that_does_not_compile_is_named() -> None:
    obj = policy("p", "a", images=images("registry.example.org/{a"), excludeImages=images("UPPER/**"))
    found = conditions(obj, a=usable("1"))
    assert found["Ready"][:2] == ("False", "InvalidPattern")
    assert "images[0]: " in found["Ready"][2]
    assert "excludeImages[0]: " in found["Ready"][2]


def test_a_bad_tag_pattern_is_named() -> None:
    obj = policy("p", "a", images=[{"repository": "registry.example.org/**", "tags": ["v{"]}])
    assert conditions(obj, a=usable("1"))["PatternsValid"][:2] == ("False", "InvalidPattern")


@pytest.mark.parametrize(
    ("covered", "excluded"),
    [
        ("registry.example.org/**", "registry.example.org/**"),
        ("registry.example.org/team/*", "**"),
        ("registry.example.org/team/*", "registry.example.org/**"),
        ("registry.example.org/{a,b}", "registry.example.org/*"),
    ],
)
def test_policy_that_excludes_its_images_matches_nothing(covered: str, excluded: str) -> None:
    obj = policy("p", "a", images=images(covered), excludeImages=images(excluded))
    found = conditions(obj, a=usable("1"))
    assert found["Ready"][:2] == ("False", "MatchesNothing")
    assert "the policy covers no image" in found["Ready"][2]


@pytest.mark.parametrize(
    ("covered", "excluded"),
    [
        ("registry.example.org/**", "registry.example.org/team/**"),
        ("registry.example.org/t*", "registry.example.org/team*/**"),
        ("registry.example.org/{a,b}", "registry.example.org/a"),
    ],
)
def test_policy_with_partial_exclusion_is_accepted(covered: str, excluded: str) -> None:
    obj = policy("p", "a", images=images(covered), excludeImages=images(excluded))
    assert conditions(obj, a=usable("1"))["PatternsValid"][:2] == ("True", "PatternsCompile")


def test_an_exclusion_by_tag_leaves_other_tags() -> None:
    exclusion = [{"repository": "**", "tags": ["dev"]}]
    assert conditions(policy("p", "a", excludeImages=exclusion), a=usable("1"))["Ready"][0] == "True"


def test_excluded_entry_among_others_is_reported() -> None:
    obj = policy(
        "p", "a", images=images("a.example.org/**", "b.example.org/**"), excludeImages=images("b.example.org/**")
    )
    assert conditions(obj, a=usable("1"))["PatternsValid"][:2] == ("True", "SomeImagesExcluded")


@pytest.mark.parametrize(
    "expressions",
    [
        [{"key": "env", "operator": "In", "values": ["a"]}, {"key": "env", "operator": "NotIn", "values": ["a"]}],
        [{"key": "env", "operator": "Exists"}, {"key": "env", "operator": "DoesNotExist"}],
    ],
)
def test_contradictory_namespace_selector_matches_nothing(expressions: list[dict[str, Any]]) -> None:
    obj = policy("p", "a", namespaceSelector={"matchExpressions": expressions})
    assert conditions(obj, a=usable("1"))["Ready"][1] == "MatchesNothing"


def test_satisfiable_namespace_selector_is_accepted() -> None:
    expressions = [{"key": "env", "operator": "NotIn", "values": ["x", "xx"]}, {"key": "env", "operator": "Exists"}]
    obj = policy("p", "a", namespaceSelector={"matchLabels": {"team": "a"}, "matchExpressions": expressions})
    assert conditions(obj, a=usable("1"))["Ready"][0] == "True"


def test_invalid_policy_is_reported_with_its_field() -> None:
    found = conditions(policy("p", "a", action="Explode"))
    assert list(found) == ["Ready", "Stalled"]
    assert found["Ready"][:2] == ("False", "InvalidSpec")
    assert "spec.action" in found["Ready"][2]


def test_transition_time_changes_only_with_the_status() -> None:
    obj = policy("p", "a")
    first = policy_status(obj, {}, NOW)
    obj["status"] = first.model_dump(by_alias=True)
    second = policy_status(obj, {"a": BROKEN}, NOW + timedelta(hours=1))
    assert second.conditions[0].reason == "AuthenticatorNotReady"
    assert second.conditions[0].last_transition_time == "2026-11-21T12:00:00Z"
    third = policy_status(obj, {"a": usable("1")}, NOW + timedelta(hours=2))
    assert third.conditions[0].last_transition_time == "2026-11-21T14:00:00Z"


@pytest.mark.parametrize("spec", [None, {}, {"require": 1}, {"require": {"authenticators": "a"}}])
def test_malformed_requirements_name_no_authenticator(spec: Any) -> None:
    assert authenticators_named_in({"spec": spec}) == frozenset()


def test_names_are_read_from_an_otherwise_invalid_policy() -> None:
    assert authenticators_named_in({"spec": {"require": {"authenticators": ["a", 7]}}}) == {"a"}
