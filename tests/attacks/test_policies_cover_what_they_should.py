"""Escaping a policy by how an image, a namespace or an object is written, and wearing policies out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sealgate.api.v1alpha1.selectors import NAME_LABEL
from sealgate.policies.matching import Namespace, PolicyIndex
from sealgate.references import parse_reference
from tests.support.builders.objects import policy_model
from tests.support.examples import examples

DIGEST = "sha256:" + "4a" * 32
TEAM = Namespace("team")


def matched(index: PolicyIndex, image: str, namespace: Namespace = TEAM) -> list[str]:
    return [found.policy.name for found in index.match(parse_reference(image), namespace)]


@pytest.mark.parametrize(
    "spec",
    [
        {"images": []},
        {"images": None},
        {"images": [{}]},
        {"images": [{"repository": ""}]},
        {"images": [{"repository": "**", "tags": []}]},
        {"require": {}},
        {"require": {"authenticators": []}},
        {"require": {"authenticators": ["a"], "count": 0}},
        {"require": {"authenticators": ["a"], "count": -1}},
        {"require": {"authenticators": ["a", "a"]}},
        {"require": {"authenticators": ["a"], "count": 2}},
        {"require": {"authenticators": [""]}},
    ],
)
def test_attack_09_a_policy_that_asks_for_nothing_is_no_policy(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        policy_model("p", **spec)


def test_attack_17_order_of_policies_does_not_change_matches() -> None:
    policies = [
        policy_model("a", "quay.io/**"),
        policy_model("b", "**", action="Warn"),
        policy_model("c", "quay.io/app", excludeImages=[{"repository": "quay.io/app"}]),
        policy_model("d", "*/app"),
    ]

    for order in (policies, policies[::-1], policies[2:] + policies[:2]):
        assert matched(PolicyIndex(order), "quay.io/app") == ["a", "b", "d"]


def test_attack_17_an_exclusion_of_one_policy_is_none_of_another() -> None:
    index = PolicyIndex(
        [policy_model("a", "**", excludeImages=[{"repository": "**"}], action="Warn"), policy_model("b", "**")]
    )

    assert matched(index, "quay.io/app") == ["b"]


@pytest.mark.parametrize(
    "image",
    [
        "good.com/app",
        "GOOD.com/app:v1",
        "good.com:443/app",
        f"good.com/app@{DIGEST}",
        f"good.com/app:anything@{DIGEST}",
    ],
)
def test_attack_22_no_spelling_gets_around_a_policy(image: str) -> None:
    assert matched(PolicyIndex([policy_model("p", "good.com/app")]), image) == ["p"]


def test_attack_22_omitted_tag_does_not_bypass_tag_patterns() -> None:
    index = PolicyIndex([policy_model("p", images=[{"repository": "good.com/app", "tags": ["v*"]}])])
    latest = PolicyIndex([policy_model("p", images=[{"repository": "good.com/app", "tags": ["latest"]}])])

    assert matched(index, f"good.com/app@{DIGEST}") == ["p"]
    # Without a digest, what is pulled is `latest`.
    assert matched(latest, "good.com/app") == ["p"]
    assert matched(index, "good.com/app") == matched(index, "good.com/app:latest") == []


@pytest.mark.parametrize(
    "image",
    [f"good.com/app:dev@{DIGEST}", f"good.com/app@{DIGEST}", "good.com/app", "good.com/app:v1", "good.com/app:Dev"],
)
def test_attack_22_a_tag_written_beside_a_digest_excludes_nothing(image: str) -> None:
    """The author of the pod chooses both, and the kubelet pulls by the digest alone."""
    index = PolicyIndex(
        [policy_model("p", "good.com/**", excludeImages=[{"repository": "good.com/app", "tags": ["dev"]}])]
    )

    assert matched(index, image) == ["p"]
    assert matched(index, "good.com/app:dev") == []


@pytest.mark.parametrize(
    "image", ["evil.com/good.com/app", "good.com.evil.com/app", "good.com/app/evil", "good.com/apps"]
)
def test_attack_22_an_exclusion_is_anchored(image: str) -> None:
    index = PolicyIndex([policy_model("p", "**", excludeImages=[{"repository": "good.com/app"}])])

    assert matched(index, "good.com/app") == []
    assert matched(index, image) == ["p"]


def test_attack_24_labels_cannot_impersonate_another_namespace() -> None:
    index = PolicyIndex(
        [policy_model("p", namespaceSelector={"matchExpressions": [
            {"key": NAME_LABEL, "operator": "NotIn", "values": ["kube-system"]}]})]
    )  # fmt: skip

    assert matched(index, "nginx", Namespace("tenant", {NAME_LABEL: "kube-system"})) == ["p"]
    assert matched(index, "nginx", Namespace("kube-system")) == []


@pytest.mark.parametrize(
    "label", ["sealgate.dev/ignore", "policy.sigstore.dev/exclude", "admission", "kritis.grafeas.io/breakglass"]
)
def test_attack_24_labels_exempt_no_namespace_without_a_policy(label: str) -> None:
    index = PolicyIndex([policy_model("p")])

    for value in ("true", "ignore", "disabled", ""):
        assert matched(index, "nginx", Namespace("tenant", {label: value})) == ["p"]


def test_attack_24_label_selector_covers_a_namespace_without_any() -> None:
    exempt = {"matchExpressions": [{"key": "exempt", "operator": "DoesNotExist"}]}
    other = {"matchExpressions": [{"key": "exempt", "operator": "NotIn", "values": ["true"]}]}
    index = PolicyIndex([policy_model("a", namespaceSelector=exempt), policy_model("b", namespaceSelector=other)])

    assert matched(index, "nginx", Namespace("tenant")) == ["a", "b"]


@settings(max_examples=examples(100))
@given(st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=5), st.text(max_size=20))
def test_attack_24_policy_for_all_covers_every_namespace(labels: dict[str, str], name: str) -> None:
    assert matched(PolicyIndex([policy_model("p")]), "nginx", Namespace(name, labels)) == ["p"]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("registry.example.org/team-{n}/**", 1),
        ("registry.example.org/*/app-{n}", 0),
        ("**/app-{n}", 1),
        ("registry.example.org/**-{n}-**", 1),
        ("registry.example.org/**", 3500),
        ("*{n}*/**", 0),
    ],
)
def test_attack_36_thousands_of_policies_are_matched_all_the_same(pattern: str, count: int) -> None:
    index = PolicyIndex([policy_model(f"p{n:04}", pattern.replace("{n}", str(n))) for n in range(3500)])

    found = matched(index, "registry.example.org/team-777/x-777-y/app-777")

    assert len(found) == count
    assert count != 1 or found == ["p0777"]


def test_attack_36_the_worst_policies_are_matched_all_the_same() -> None:
    worst = [{"repository": "quay.io/" + "{*a?,**b?}" * 6 + "*c?" * 30}] * 20
    index = PolicyIndex([policy_model(f"p{n}", images=worst, excludeImages=worst) for n in range(5)])

    assert matched(index, "quay.io/" + "ab" * 120) == []
