"""The servers that objects name."""

from __future__ import annotations

from typing import Any

import pytest

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.signing_policy import SigningPolicy
from sealgate.diagnosis.checks import Area, Outcome
from sealgate.diagnosis.endpoints import registries_of, services_of
from sealgate.policies.matching import compile_policy
from tests.api.crd_examples import CERTIFICATE, FORMATS, HUAWEI, of_format
from tests.support.builders.objects import authenticator, authenticator_model, policy_model
from tests.support.environments.signing_policies import signing_policy


@pytest.mark.parametrize(
    ("name", "url", "secret"),
    [
        ("simpleSigning", "https://signatures.example.org/", None),
        ("notary", "https://dtr.example.org/", None),
        ("grafeas", "https://grafeas.example.org/", "grafeas"),
        ("oracle", "https://artifacts.example.org/", "oci"),
    ],
)
def test_stores_have_their_ca_and_secret(name: str, url: str, secret: str | None) -> None:
    found, checks = services_of([Authenticator.model_validate(of_format(name))])
    (store,) = [one for one in found if one.area is Area.STORES]
    assert (str(store.url), store.ca, store.secret) == (url, CERTIFICATE, secret)
    assert (store.users, checks) == ((f"Authenticator {name.lower()}",), [])


def test_kms_keys_have_their_address_and_secret() -> None:
    keys = {"cosign": {"keys": [{"kms": {"huawei": HUAWEI}}]}}
    one = Authenticator.model_validate(authenticator("one", spec=keys))
    other = Authenticator.model_validate(authenticator("other", spec=keys))
    (kms,), checks = services_of([one, other])
    assert (str(kms.url), kms.secret, checks) == ("https://kms.cn-north-4.myhuaweicloud.com/", "dew", [])
    assert kms.named_by == "named by Authenticator one, Authenticator other"


@pytest.mark.parametrize(
    "spec",
    [
        {"simpleSigning": {**FORMATS["simpleSigning"], "store": {"lookaside": {"url": "file:///signatures"}}}},
        {"simpleSigning": {**FORMATS["simpleSigning"], "store": {"openshift": {}}}},
        {"notary": {"root": {"keyId": "0a" * 32}}},
    ],
)
def test_folders_and_the_registry_itself_are_not_asked_as_stores(spec: dict[str, Any]) -> None:
    assert services_of([Authenticator.model_validate(authenticator(spec=spec))]) == ([], [])


def test_an_address_that_is_not_valid_is_a_problem() -> None:
    oracle = {**FORMATS["oracle"], "compartmentId": "ocid1.compartment.oc99..aaaaaaaa23"}
    del oracle["endpoint"]
    found, (check,) = services_of([Authenticator.model_validate(authenticator("far", spec={"oracle": oracle}))])
    assert found == []
    assert (check.name, check.outcome) == ("Authenticator far", Outcome.PROBLEM)
    assert "the realm oc99 is not known" in check.message


def test_registries_are_those_that_are_named_literally() -> None:
    policies = [
        policy_model("one", "a.example.org/**", "*.example.org/x", "{b, c}.example.org/x/*"),
        policy_model("all"),
    ]
    cosign = authenticator_model("elsewhere", signatureRepository="signatures.example.org/all")
    signing = SigningPolicy.model_validate(signing_policy(images=[{"repository": "push.example.org/shop/*"}]))
    found = registries_of(map(compile_policy, policies), [cosign], [signing], {"a.example.org": "mirror.example.org"})
    assert {one.name: one.named_by for one in found} == {
        "a.example.org": "named by VerificationPolicy one",
        "b.example.org": "named by VerificationPolicy one",
        "c.example.org": "named by VerificationPolicy one",
        "mirror.example.org": "named by the registry settings as a mirror of a.example.org",
        "push.example.org": "named by SigningPolicy release",
        "signatures.example.org": "named by Authenticator elsewhere",
    }


def test_users_beyond_three_are_counted() -> None:
    policies = [policy_model(f"policy-{number}", "a.example.org/**") for number in range(5)]
    (found,) = registries_of(map(compile_policy, policies), [], [], {})
    assert found.named_by.endswith("VerificationPolicy policy-2 and 2 more")
