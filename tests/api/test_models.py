"""Validation of policy objects by the models."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.selectors import check_label_key, check_label_value
from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from tests.support.builders.objects import authenticator, authenticator_model, policy, policy_model


def errors(obj: dict[str, Any]) -> str:
    model = Authenticator if obj["kind"] == "Authenticator" else VerificationPolicy
    with pytest.raises(ValidationError) as caught:
        model.model_validate(obj)
    return " | ".join(f"{error['loc']}: {error['msg']}" for error in caught.value.errors())


def test_objects_are_accepted_as_json() -> None:
    some_policy = policy_model("p", "quay.io/*", excludeImages=[{"repository": "**"}])
    some_authenticator = authenticator_model()

    assert some_policy.spec.images[0].repository == "quay.io/*"
    assert some_policy.spec.action == "Enforce"
    assert some_policy.spec.require is not None
    assert some_policy.spec.require.authenticators == ("release",)
    assert some_authenticator.spec.cosign is not None
    assert some_authenticator.spec.cosign.keys[0].pem == "-----BEGIN PUBLIC KEY-----"


def test_members_added_by_kubernetes_are_ignored() -> None:
    obj = policy("p")
    obj |= {"status": {"conditions": []}}
    obj["metadata"] |= {"uid": "x", "managedFields": [], "resourceVersion": "5", "generation": 2}

    # Otherwise a policy with a new status would count as changed.
    assert VerificationPolicy.model_validate(obj) == VerificationPolicy.model_validate(policy("p"))


def test_an_authenticator_has_exactly_one_format() -> None:
    obj = authenticator()
    obj["spec"] = {}

    assert "has no format; write exactly one (" in errors(obj)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "has no key source; write exactly one (pem, secretRef, kms)"),
        ({"algorithm": "ED25519"}, "has no key source"),
        ({"pem": "x", "secretRef": {"name": "a", "key": "b"}}, "has pem and secretRef; write exactly one key source"),
    ],
)
def test_a_key_has_exactly_one_source(entry: dict[str, Any], message: str) -> None:
    assert message in errors(authenticator(spec={"cosign": {"keys": [entry]}}))


@pytest.mark.parametrize(
    ("require", "message"),
    [
        ({"authenticators": ["a", "b", "a"]}, "names a more than once"),
        ({"authenticators": ["a"], "count": 2}, "can never be met: count is 2, but authenticators has 1"),
        ({"authenticators": []}, "at least 1 item"),
        ({"authenticators": ["a"], "count": 0}, "greater than or equal to 1"),
        ({"authenticators": ["a"], "count": "1"}, "valid integer"),
        ({"authenticators": ["a"], "count": True}, "valid integer"),
        ({"authenticators": ["A"]}, "should match pattern"),
        ({"authenticators": "a"}, "valid tuple"),
    ],
)
def test_a_requirement_can_be_met(require: dict[str, Any], message: str) -> None:
    assert message in errors(policy("p", require=require))


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "In needs values"),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": []}]}, "NotIn needs values"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, "Exists takes no values"),
        ({"matchExpressions": [{"key": "a", "operator": "Equals", "values": ["b"]}]}, "'In', 'NotIn'"),
        ({"matchExpressions": [{"key": "a b", "operator": "Exists"}]}, "a b is not a label key"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b c"]}]}, "b c is not a label value"),
        ({"matchLabels": {"-a": "b"}}, "-a is not a label key"),
        ({"matchLabels": {"a": "b*"}}, "b* is not a label value"),
        ({"matchLabels": {"a": True}}, "valid string"),
        ({"matchLabel": {"a": "b"}}, "not permitted"),
    ],
)
def test_selector_that_can_never_match_is_refused(selector: dict[str, Any], message: str) -> None:
    assert message in errors(policy("p", namespaceSelector=selector))


@pytest.mark.parametrize("key", ["a", "A.b-c_d", "example.org/a", "kubernetes.io/metadata.name", "a" * 63])
def test_label_keys(key: str) -> None:
    check_label_key(key)


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a/b/c", "Example.org/a", "a" * 64, "a-", ".a", "é", "a\n", f"{'a' * 254}/b", "-a/b"]
)
def test_invalid_label_keys_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not a label key"):
        check_label_key(key)


def test_label_values() -> None:
    for value in ("", "a", "A.b-c_d", "a" * 63):
        check_label_value(value)
    for value in ("a" * 64, "-a", "a/b", "a\n", " "):
        with pytest.raises(ValueError, match="is not a label value"):
            check_label_value(value)


@pytest.mark.parametrize(
    ("field", "message"), [("images", "Field required"), ("require", "is required: name the authenticators")]
)
def test_required_fields_of_a_policy(field: str, message: str) -> None:
    obj = policy("p")
    del obj["spec"][field]

    assert message in errors(obj)


@pytest.mark.parametrize("tags", [[], [""], [5], "v*"])
def test_tags_are_patterns_or_left_out(tags: Any) -> None:
    assert "tags" in errors(policy("p", images=[{"repository": "**", "tags": tags}]))
