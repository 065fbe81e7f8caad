"""Names of converted kritis objects are independent of the other objects in the input."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.api.v1alpha1.selectors import NAME_LABEL
from tests.convert.kritis_conversions import convert, problems, specs
from tests.support.builders.kritis import allowlist, attestation_policy, authority
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.convert.results import Conversion

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def named(conversion: Conversion) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the objects by kind and name, which nothing may share, as `kubectl apply` would replace one by another."""
    found = {(obj["kind"], obj["metadata"]["name"]): obj for obj in conversion.objects}
    assert len(found) == len(conversion.objects)
    assert all(NAME.fullmatch(name) and len(name) <= 253 for _, name in found)
    return found


def test_split_policy_has_no_name_of_another_namespace() -> None:
    conversion = convert(
        *(authority(name, namespace="prod") for name in ("qa", "security")),
        attestation_policy("one", "qa", namespace="prod"),
        attestation_policy("two", "security", namespace="prod"),
        authority("qa", namespace="dev"),
        attestation_policy("prod-attested", "qa", namespace="dev"),
        attestation_policy("attested", "qa", namespace="dev-x"),
        authority("qa", namespace="dev-x"),
    )
    selected = {spec["namespaceSelector"]["matchLabels"][NAME_LABEL]: name for name, spec in specs(conversion).items()}
    assert selected == {"prod": "prod", "dev": "dev.prod-attested", "dev-x": "dev-x.attested"}
    assert len(named(conversion)) == 7


def test_namespace_and_name_are_not_run_together() -> None:
    conversion = convert(
        *(authority(name, namespace=space) for space, name in [("a", "b-c"), ("z", "b-c"), ("a-b", "c"), ("z", "c")]),
        attestation_policy("p1", "b-c", namespace="a"),
        attestation_policy("p2", "c", namespace="a-b"),
    )
    named(conversion)
    assert [spec["require"]["authenticators"] for spec in specs(conversion).values()] == [["a.b-c"], ["a-b.c"]]


@pytest.mark.parametrize("space", ["a.b", "A", "", "-a", "a" * 64, "a b"])
def test_a_namespace_that_kubernetes_would_not_take_is_refused(space: str) -> None:
    if space:
        assert "not a valid name of a namespace" in problems(authority(namespace=space))
    assert "not a valid name of a namespace" in problems(authority(), namespace=space)


def test_namespace_that_is_not_a_string_is_refused() -> None:
    obj = authority()
    for value in ([], ["a"], 5, {"a": 1}):
        expected = "not a valid name of a namespace" if value else ""
        changed = {**obj, "metadata": {**obj["metadata"], "namespace": value}}
        assert (expected in problems(changed)) if expected else convert(changed).objects


@pytest.mark.parametrize("name", ["A", "a..b", "-a", "a_b", "a" * 254])
def test_a_name_that_kubernetes_would_not_take_is_refused(name: str) -> None:
    assert "not a valid name in Kubernetes" in problems(authority(name))


def test_a_name_that_is_too_long_with_its_namespace_is_refused() -> None:
    assert "253" in problems(authority("a" * 250))
    long = "a" * 240
    objects = authority(), attestation_policy(long, "qa")
    assert f"default.{long}" in specs(convert(*objects))
    assert "253" in problems(*objects, allowlist("registry.example.org/a*b"))


def test_policy_with_a_generated_name_is_refused() -> None:
    text = problems(
        *(authority(name) for name in ("a", "b", "c")),
        attestation_policy("one", "a", "b"),
        attestation_policy("one.more-dots", "b", "c"),
        allowlist("registry.example.org/a*b"),
    )
    assert "default.one.more-dots" in text
    assert "rename" in text


spaces = st.sampled_from(["a", "b", "a-b", "a-b-c", "a-attested", "more-dots"])
words = st.lists(st.sampled_from(["a", "b", "c", "attested", "more-dots"]), min_size=1, max_size=3)
plain = st.tuples(words, st.sampled_from("-.")).map(lambda parts: parts[1].join(parts[0]))
unique_names = st.lists(st.tuples(spaces, plain), min_size=1, max_size=6, unique=True)


@settings(max_examples=examples(150), deadline=None)
@given(authorities=unique_names, policies=unique_names, other=st.tuples(spaces, plain))
def test_distinct_objects_have_distinct_stable_names(
    authorities: list[tuple[str, str]], policies: list[tuple[str, str]], other: tuple[str, str]
) -> None:
    objects = [authority(name, namespace=space) for space, name in authorities]
    for space, name in policies:
        if mine := [authority for where, authority in authorities if where == space]:
            objects.append(attestation_policy(name, mine[len(name) % len(mine)], namespace=space))
    before = named(convert(*objects))
    kinds = [kind for kind, _ in before]
    assert kinds.count("Authenticator") == len(authorities)
    wanted = {space for space, _ in policies} & {space for space, _ in authorities}
    selectors = [obj["spec"]["namespaceSelector"] for (kind, _), obj in before.items() if kind == "VerificationPolicy"]
    assert {selector["matchLabels"][NAME_LABEL] for selector in selectors} == wanted
    # What is added beside them, in another namespace, changes nothing about any of them.
    if other[0] not in {space for space, _ in authorities}:
        more = [authority(other[1], namespace=other[0]), attestation_policy(other[1], other[1], namespace=other[0])]
        after = named(convert(*objects, *more))
        assert {key: after[key] for key in before} == before
