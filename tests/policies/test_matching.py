"""Matching of policies against an image in a namespace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.api.v1alpha1.selectors import NAME_LABEL
from sealgate.errors import InvalidPatternError
from sealgate.policies.matching import Cause, Namespace, PolicyIndex
from sealgate.references import parse_reference
from tests.support.builders.objects import policy_model
from tests.support.examples import examples

DIGEST = "sha256:" + "4a" * 32
TEAM = Namespace("team", {"env": "production"})


def names(index: PolicyIndex, image: str, namespace: Namespace = TEAM) -> list[str]:
    return [found.policy.name for found in index.match(parse_reference(image), namespace)]


def covers(image: str, **spec: Any) -> bool:
    return bool(names(PolicyIndex([policy_model("p", **spec)]), image))


def cause(image: str, namespace: Namespace = TEAM, **spec: Any) -> Cause:
    index = PolicyIndex([policy_model("p", **spec)])
    (explanation,) = index.explain(parse_reference(image), namespace)
    assert explanation.matched == bool(index.match(parse_reference(image), namespace))
    return explanation.cause


def test_all_policies_that_cover_the_image_are_found_sorted_by_name() -> None:
    index = PolicyIndex(
        [
            policy_model("z", "**"),
            policy_model("a", "quay.io/app"),
            policy_model("m", "quay.io/*"),
            policy_model("other", "docker.io/**"),
        ]
    )

    assert names(index, "quay.io/app") == ["a", "m", "z"]
    assert names(index, "quay.io/team/app") == ["z"]
    assert names(index, "nginx") == ["other", "z"]


def test_policy_with_several_matching_patterns_is_found_once() -> None:
    index = PolicyIndex([policy_model("p", "**", "quay.io/*", "quay.io/app", "quay.io/{app,ap*}")])

    assert names(index, "quay.io/app") == ["p"]


def test_compiled_policy_has_its_requirements() -> None:
    index = PolicyIndex(
        [
            policy_model("all", require={"authenticators": ["b", "a"]}, action="Warn"),
            policy_model("some", require={"authenticators": ["a", "b"], "count": 1}),
        ]
    )

    every, some = (match.policy for match in index.match(parse_reference("nginx"), TEAM))
    assert (every.name, every.action, every.authenticators, every.count) == ("all", "Warn", ("b", "a"), 2)
    assert (some.action, some.count) == ("Enforce", 1)


def test_a_name_shorter_than_every_pattern_is_covered_by_none() -> None:
    index = PolicyIndex([policy_model("p", "*/a-very-long-path-to-an-app", "quay.io/a-very-long-team/*")])

    assert names(index, "quay.io/a") == []


def test_empty_policy_set_matches_nothing() -> None:
    assert names(PolicyIndex([]), "nginx") == []
    assert PolicyIndex([]).literal_hosts == frozenset()


def test_bad_pattern_raises_instead_of_compiling() -> None:
    with pytest.raises(InvalidPatternError):
        PolicyIndex([policy_model("p", "nginx")])


@pytest.mark.parametrize(
    ("image", "covered"),
    [
        ("quay.io/app:v1", True),
        ("quay.io/app:v2.0", True),
        ("quay.io/app:1", False),
        ("quay.io/app:latest", False),
        ("quay.io/app", False),
        (f"quay.io/app@{DIGEST}", True),
        (f"quay.io/app:v1@{DIGEST}", True),
        (f"quay.io/app:dev@{DIGEST}", True),
    ],
)
def test_image_without_a_known_tag_matches_any_tag_pattern(image: str, covered: bool) -> None:  # noqa: FBT001 - a column of the table above
    assert covers(image, images=[{"repository": "quay.io/*", "tags": ["v*"]}]) is covered


@pytest.mark.parametrize(
    ("image", "covered"),
    [
        ("quay.io/app:dev-1", False),
        ("quay.io/app:v1", True),
        ("quay.io/app", True),
        (f"quay.io/app@{DIGEST}", True),
        (f"quay.io/app:dev-1@{DIGEST}", True),
    ],
)
def test_tag_exclusion_applies_only_if_the_tag_is_pulled(image: str, covered: bool) -> None:  # noqa: FBT001 - a column of the table above
    assert covers(image, excludeImages=[{"repository": "quay.io/app", "tags": ["dev-*"]}]) is covered


def test_latest_exclusion_applies_to_an_untagged_image() -> None:
    exclude = [{"repository": "quay.io/app", "tags": ["latest"]}]

    assert not covers("quay.io/app", excludeImages=exclude)
    assert covers(f"quay.io/app@{DIGEST}", excludeImages=exclude)


def test_an_exclusion_without_tags_holds_for_every_tag_and_digest() -> None:
    for image in ("quay.io/app", "quay.io/app:v1", f"quay.io/app@{DIGEST}"):
        assert not covers(image, excludeImages=[{"repository": "quay.io/app"}])
    assert covers("quay.io/app2", excludeImages=[{"repository": "quay.io/app"}])


@pytest.mark.parametrize(
    ("selector", "covered"),
    [
        ({}, True),
        ({"matchLabels": {"env": "production"}}, True),
        ({"matchLabels": {"env": "staging"}}, False),
        ({"matchLabels": {"env": "production", "team": "x"}}, False),
        ({"matchLabels": {NAME_LABEL: "team"}}, True),
        ({"matchExpressions": [{"key": "env", "operator": "In", "values": ["staging", "production"]}]}, True),
        ({"matchExpressions": [{"key": "env", "operator": "In", "values": ["staging"]}]}, False),
        ({"matchExpressions": [{"key": "none", "operator": "In", "values": [""]}]}, False),
        ({"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["production"]}]}, False),
        ({"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["staging"]}]}, True),
        ({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["staging"]}]}, True),
        ({"matchExpressions": [{"key": "env", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "none", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "none", "operator": "DoesNotExist"}]}, True),
        (
            {
                "matchLabels": {"env": "production"},
                "matchExpressions": [{"key": "env", "operator": "Exists"}, {"key": "none", "operator": "Exists"}],
            },
            False,
        ),
    ],
)
def test_namespaces_are_selected_as_kubernetes_selects(selector: dict[str, Any], covered: bool) -> None:  # noqa: FBT001 - a column of the table above
    assert covers("nginx", namespaceSelector=selector) is covered


def test_an_empty_label_is_a_label() -> None:
    namespace = Namespace("team", {"env": ""})
    index = PolicyIndex(
        [policy_model("p", namespaceSelector={"matchExpressions": [{"key": "env", "operator": "Exists"}]})]
    )

    assert names(index, "nginx", namespace) == ["p"]


def test_a_namespace_is_labelled_with_its_own_name() -> None:
    namespace = Namespace("team", {NAME_LABEL: "kube-system", "a": "b"})

    assert dict(namespace.labels) == {NAME_LABEL: "team", "a": "b"}


def test_many_namespaces_are_distinguished() -> None:
    index = PolicyIndex([policy_model("p", namespaceSelector={"matchLabels": {"number": "7"}})])

    found = [n for n in range(5000) if names(index, "nginx", Namespace("x", {"number": str(n)}))]

    assert found == [7]


def test_hosts_named_by_patterns_are_collected() -> None:
    index = PolicyIndex(
        [
            policy_model("a", "Registry.Example.org:443/app", "*.example.org/**", "**", "quay.io/*"),
            policy_model("b", "{index.docker.io, localhost:5000}/team/*", "reg-*.example.org/x"),
            policy_model("c", "**/x", excludeImages=[{"repository": "excluded.example.org/**"}]),
        ]
    )

    assert index.literal_hosts == {"registry.example.org", "quay.io", "docker.io", "localhost:5000"}


@pytest.mark.parametrize(
    ("image", "spec", "expected"),
    [
        ("quay.io/app", {}, Cause.MATCHED),
        ("quay.io/app", {"namespaceSelector": {"matchLabels": {"env": "x"}}}, Cause.NAMESPACE),
        ("quay.io/app", {"images": [{"repository": "docker.io/**"}]}, Cause.IMAGE),
        ("quay.io/app:1", {"images": [{"repository": "quay.io/**", "tags": ["v*"]}]}, Cause.TAG),
        ("quay.io/app:1", {"excludeImages": [{"repository": "quay.io/app"}]}, Cause.EXCLUDED),
    ],
)
def test_every_policy_explains_itself(image: str, spec: dict[str, Any], expected: Cause) -> None:
    assert cause(image, **spec) is expected


def test_an_explanation_names_the_pattern_as_written() -> None:
    index = PolicyIndex([policy_model("p", "Quay.IO:443/*", excludeImages=[{"repository": "quay.io/other"}])])

    messages = [index.explain(parse_reference(image), TEAM)[0].message for image in ("quay.io/app", "quay.io/other")]

    assert messages == ["Quay.IO:443/* covers it", "excludeImages has quay.io/other"]


_REPOSITORIES = st.sampled_from(
    [
        "**",
        "**/app",
        "*/app",
        "*/*/app-*",
        "quay.io/**",
        "quay.io/*",
        "quay.io/team/*",
        "quay.io/team/app",
        "quay.io/{team, other}/*",
        "quay.io/te*/a?p",
        "quay.io/*-x-*/**",
        "docker.io/library/*",
        "*.io/**",
        "{quay.io, docker.io}/**/a*",
    ]
)
_SELECTORS = st.fixed_dictionaries(
    {"repository": _REPOSITORIES}, optional={"tags": st.sampled_from([["v*"], ["dev", "?1"]])}
)
_SPECS = st.fixed_dictionaries(
    {"images": st.lists(_SELECTORS, min_size=1, max_size=3)},
    optional={
        "excludeImages": st.lists(_SELECTORS, max_size=2),
        "namespaceSelector": st.sampled_from([{}, {"matchLabels": {"env": "a"}}, {"matchLabels": {"env": "b"}}]),
    },
)
_IMAGES = st.sampled_from(
    [
        "quay.io/team/app",
        "quay.io/team/app:v1",
        f"quay.io/team/app:dev@{DIGEST}",
        "quay.io/a-x-b/c",
        "quay.io/other/app-1:dev",
        "quay.io/app",
        "nginx:v1",
        "app",
        f"docker.io/team/app@{DIGEST}",
        "localhost:5000/app:v1",
    ]
)


@settings(max_examples=examples(250))
@given(st.lists(_SPECS, max_size=5), _IMAGES, st.sampled_from(["a", "b", "c"]))
def test_index_agrees_with_matching_every_policy(specs: list[dict[str, Any]], image: str, env: str) -> None:
    index = PolicyIndex([policy_model(f"p{number}", **spec) for number, spec in enumerate(specs)])
    reference, namespace = parse_reference(image), Namespace("team", {"env": env})

    explained = [answer.policy.name for answer in index.explain(reference, namespace) if answer.matched]

    assert names(index, image, namespace) == explained
    assert names(index, image, namespace) == explained
