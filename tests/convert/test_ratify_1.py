"""Objects of Ratify 1 and of Gatekeeper, converted by the command and read by `sealgate policy check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.convert.ratify_objects import (
    BESIDE,
    CA,
    COSIGN,
    EXAMPLE,
    KEY,
    KEYED,
    config_policy,
    constraint,
    cosign,
    notation,
    provider,
    ratify,
    store,
    template,
)
from tests.convert.test_policy_controller import ISSUER, WORKFLOW, convert
from tests.support.builders.cluster_image_policies import PEM
from tests.support.signers.notation import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SIGNED = {"keys": [{"pem": PEM, "algorithm": "ECDSA_SHA_256"}]}
TRUSTED = {"trustStores": {"ca": [{"pem": CA}]}, "trustedIdentities": ["*"]}
PUBLIC = {"trustedRoot": {"source": "PublicGood"}}
GATEKEEPER = (template(), constraint())
SELECTED = "kubernetes.io/metadata.name"


def policies(specs: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    return {name: spec for (kind, name), spec in specs.items() if kind == "VerificationPolicy"}


def test_scopes_become_policies_and_the_narrowest_applies(tmp_path: Path) -> None:
    source = cosign(KEYED, {**KEYED, "scopes": ["ghcr.io/shop/*", "quay.io*"]})
    specs, notes = convert(tmp_path, source, config_policy(), *BESIDE, *GATEKEEPER)
    inner, quay = {"repository": "ghcr.io/shop/**"}, {"repository": "quay.io*/**"}
    assert policies(specs) == {
        "trusted.0": {
            "images": [{"repository": "**"}],
            "excludeImages": [inner, quay],
            "require": {"authenticators": ["cosign.p0"]},
        },
        "trusted.1": {"images": [inner], "require": {"authenticators": ["cosign.p1"]}},
        "trusted.2": {"images": [quay], "require": {"authenticators": ["cosign.p1"]}},
    }
    assert specs["Authenticator", "cosign.p0"] == {"cosign": SIGNED}
    assert "unmatchedImages: deny" in notes


def test_every_image_needs_all_verifiers_by_the_scopes_of_each(tmp_path: Path) -> None:
    source = (cosign({**KEYED, "scopes": ["ghcr.io/*"]}), notation({"registryScopes": ["ghcr.io/shop/web"]}, {}))
    specs, notes = convert(tmp_path, *source, config_policy(), *BESIDE, *GATEKEEPER)
    web = {"repository": "ghcr.io/shop/web"}
    assert policies(specs) == {
        "trusted.1": {
            "images": [{"repository": "ghcr.io/**"}],
            "excludeImages": [web],
            "require": {"authenticators": ["cosign.p0", "notation.p1"]},
        },
        "trusted.2": {"images": [web], "require": {"authenticators": ["cosign.p0", "notation.p0"]}},
    }
    assert "every image needs a signature for each of the verifiers" in notes
    assert "scope **: its images are denied: verifier cosign: no trust policy applies" in notes


def test_the_images_of_a_scope_that_is_not_carried_over_are_not_of_the_scope_around_it(tmp_path: Path) -> None:
    source = cosign(KEYED, {**KEYED, "scopes": ["ghcr.io/web:*"]})
    specs, _ = convert(tmp_path, source, config_policy(), *BESIDE, *GATEKEEPER)
    (found,) = policies(specs).values()
    assert found["excludeImages"] == [{"repository": "ghcr.io/web"}]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"keys": [{"provider": "key"}]}, {**SIGNED, "requireTransparencyLog": True, **PUBLIC}),
        (
            {"keyless": {"certificateIdentity": WORKFLOW, "certificateOIDCIssuer": ISSUER}},
            {"keyless": {"identities": [{"issuer": ISSUER, "subject": WORKFLOW}]}, **PUBLIC},
        ),
        (
            {"keyless": {"certificateIdentityRegExp": "^a$", "certificateOIDCIssuer": ISSUER, "ctLogVerify": False}},
            {"keyless": {"identities": [{"issuer": ISSUER, "subjectRegExp": "^a$"}]}, **PUBLIC},
        ),
        (
            {"keys": [{"provider": "vault", "name": "release", "version": "0" * 32}], "tLogVerify": False},
            {
                "keys": [
                    {
                        "kms": {
                            "azure": {"endpoint": "https://a.vault.azure.net", "key": "release", "keyVersion": "0" * 32}
                        }
                    }
                ]
            },
        ),
    ],
)
def test_what_cosign_accepts_is_carried_over(
    tmp_path: Path, policy: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    keys = [{"name": "release", "version": "0" * 32}, {"name": "other", "version": "1" * 32}]
    parameters = {"vaultURI": "https://a.vault.azure.net/", "keys": keys, "tenantID": "t", "clientID": "c"}
    vault = ratify("KeyManagementProvider", "vault", {"type": "azurekeyvault", "parameters": parameters})
    specs, _ = convert(tmp_path, cosign(policy), config_policy(), vault, *BESIDE, *GATEKEEPER)
    assert specs["Authenticator", "cosign.p0"] == {"cosign": expected}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, TRUSTED),
        (
            {"signatureVerification": {"level": "permissive"}},
            {**TRUSTED, "acceptExpired": True, "revocation": {"acceptUnknown": True}},
        ),
        (
            {"signatureVerification": {"level": "audit", "override": {"expiry": "enforce", "revocation": "enforce"}}},
            TRUSTED,
        ),
        (
            {"signatureVerification": {"level": "strict", "override": {"revocation": "skip", "authenticity": "log"}}},
            {**TRUSTED, "revocation": {"acceptUnknown": True}},
        ),
        (
            {
                "trustStores": ["ca:company", "tsa:company"],
                "signatureVerification": {"level": "strict", "verifyTimestamp": "afterCertExpiry"},
                "trustedIdentities": ["x509.subject: C=US, ST=WA, O=shop"],
            },
            {
                "trustStores": {"ca": [{"pem": CA}], "tsa": [{"pem": CA}]},
                "verifyTimestamp": "AfterCertExpiry",
                "trustedIdentities": ["x509.subject: C=US, ST=WA, O=shop"],
            },
        ),
    ],
)
def test_what_notation_accepts_is_carried_over(
    tmp_path: Path, policy: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    specs, _ = convert(tmp_path, notation(policy), config_policy(), *BESIDE, *GATEKEEPER)
    assert specs["Authenticator", "notation.p0"] == {"notation": expected}


def test_a_certificate_store_and_stores_without_types_are_read(tmp_path: Path) -> None:
    parameters = {"value": CA}
    stored = ratify("CertificateStore", "old", {"provider": "inline", "parameters": parameters}, "gatekeeper-system")
    source = notation(verificationCertStores={"company": ["gatekeeper-system/old"]})
    specs, _ = convert(tmp_path, source, config_policy(), stored, store(), *GATEKEEPER)
    assert specs["Authenticator", "notation.p0"] == {"notation": TRUSTED}


def test_the_name_of_certificate_stores_of_two_namespaces_is_not_carried_over(tmp_path: Path) -> None:
    spec = {"provider": "inline", "parameters": {"value": CA}}
    stores = [ratify("CertificateStore", "old", spec, space) for space in ("shop", "team")]
    source = notation(verificationCertStores={"company": ["old"]})
    specs, notes = convert(tmp_path, source, config_policy(), *stores, store(), *GATEKEEPER)
    assert specs == {}
    assert "old is not there, or twice" in notes


@pytest.mark.parametrize(
    ("given", "common"),
    [
        (constraint(), {}),
        (constraint(action="warn"), {"action": "Warn"}),
        (constraint(action="dryrun"), {"action": "Audit"}),
        (constraint(action="scoped"), {}),
        (
            constraint(namespaces=["shop"], excludedNamespaces=["old", "kube-*"]),
            {
                "namespaceSelector": {
                    "matchExpressions": [
                        {"key": SELECTED, "operator": "In", "values": ["shop"]},
                        {"key": SELECTED, "operator": "NotIn", "values": ["old"]},
                    ]
                }
            },
        ),
        (constraint(namespaces=["shop-*"], labelSelector={"matchLabels": {"a": "b"}}), {}),
        (
            constraint(namespaceSelector={"matchLabels": {"signed": "yes"}}),
            {"namespaceSelector": {"matchLabels": {"signed": "yes"}}},
        ),
    ],
)
def test_a_constraint_says_where_and_how(tmp_path: Path, given: Mapping[str, Any], common: Mapping[str, Any]) -> None:
    specs, notes = convert(tmp_path, cosign(), config_policy(), *BESIDE, template(), given)
    (found,) = policies(specs).values()
    assert found == {"images": [{"repository": "**"}], "require": {"authenticators": ["cosign.p0"]}, **common}
    lost = [word for word in ("kube-*", "shop-*", "scoped", "warn", "dryrun") if word in str(given)]
    assert not lost or "RatifyVerification trusted: " in notes


def test_without_a_constraint_the_policies_deny_and_a_note_says_so(tmp_path: Path) -> None:
    specs, notes = convert(tmp_path, cosign(), config_policy(), *BESIDE)
    (found,) = policies(specs).values()
    assert found == {"images": [{"repository": "**"}], "require": {"authenticators": ["cosign.p0"]}}
    assert "without a constraint of Gatekeeper nothing was enforced" in notes


def test_policies_leave_out_namespaces_with_objects_of_their_own(tmp_path: Path) -> None:
    own = ratify("NamespacedPolicy", "ratify-policy", {"type": "config-policy"}, "team")
    specs, notes = convert(tmp_path, cosign(), config_policy(), *BESIDE, template(), constraint(), own)
    (found,) = policies(specs).values()
    expression = {"key": SELECTED, "operator": "NotIn", "values": ["team"]}
    assert found["namespaceSelector"] == {"matchExpressions": [expression]}
    assert "NamespacedPolicy in team" in notes


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (config_policy(type="rego-policy"), "the type rego-policy has no equivalent"),
        (config_policy({"default": "none"}), "must have any or all"),
        (config_policy({"default": "all"}), f"write {COSIGN}: any into artifactVerificationPolicies"),
        (config_policy({}), "asks for all signatures"),
        (config_policy({"application/spdx+json": "any"}), "which no Verifier verifies"),
        (config_policy({"default": []}), "must have any or all"),
        (store(cosignEnabled=False), "no Store has cosignEnabled"),
        (store(localCachePath="a"), "Store store-oras: localCachePath has no equivalent"),
        (ratify("Store", "store-oras", {"name": "dynamic"}), "only those of the type oras"),
        (ratify("Verifier", "sbom", {"name": "sbom", "artifactTypes": "application/spdx+json"}), "the type sbom"),
        (cosign(artifactTypes="*"), f"artifactTypes must be {COSIGN}"),
        (cosign(parameters={"key": "/cosign.pub"}), "parameters.key has no equivalent"),
        (cosign(KEYED, {**KEYED, "scopes": ["ghcr.io/a*", "ghcr.io/a/b*"]}), "overlap"),
        (cosign({**KEYED, "scopes": ["*", "ghcr.io/a*"]}), "which Ratify does not load"),
        (cosign({**KEYED, "name": ""}), "must have a name"),
        (cosign(KEYED, {**KEYED, "name": "p0", "scopes": ["ghcr.io/*"]}), "two of its trust policies have one name"),
        (notation(trustPolicyDoc={"version": "2.0", "trustPolicies": [{}]}), "the version of trustPolicyDoc"),
        (template("violation[{}] { startswith(images[_], `ghcr.io`) }"), "may ask for more than success"),
        (template('violation[{}] { images[_] == "ghcr.io/a" }'), "may ask for more than success"),
    ],
)
def test_what_may_deny_every_image_there_denies_them_here(tmp_path: Path, changed: Mapping[str, Any], why: str) -> None:
    given = {
        (one["kind"], one["metadata"]["name"]): one
        for one in (cosign(), config_policy(), *BESIDE, *GATEKEEPER, changed)
    }
    specs, notes = convert(tmp_path, *given.values())
    assert policies(specs) == {}
    assert why in notes


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (cosign({"keyless": {"certificateIdentity": "a"}}), "needs an identity and an issuer"),
        (cosign({**KEYED, "rekorURL": "https://rekor.example.org", "tLogVerify": True}), "rekorURL must be"),
        (cosign({**KEYED, "keyless": {"certificateIdentity": "a"}}), "either keys or keyless"),
        (cosign({"keys": [{"file": "/cosign.pub"}]}), "keys.file has no equivalent"),
        (cosign({"keys": [{"provider": "other"}]}), "KeyManagementProvider other is not there"),
        (cosign({"keys": [{"provider": "ca"}]}), "the contentType of ca must be key"),
        (cosign({"keys": [{"provider": "key", "name": "a"}]}), "neither a name nor a version"),
        (cosign({**KEYED, "scopes": ["ghcr.io/web:v*"]}), "about tags or digests"),
        (cosign({**KEYED, "scopes": ["ghcr.io/web"]}), "matches no image"),
        (notation({"trustStores": ["ca:other"]}), "ca:other is not in verificationCertStores"),
        (notation({"trustStores": 1}), "does not accept its trustStores"),
        (notation({"signatureVerification": {"level": "loose"}}), "the level loose is not known"),
        (notation({"signatureVerification": {"level": []}}), "is not known"),
        (notation({"trustedIdentities": ["x509.subject: CN=a"]}), "does not accept its"),
        (notation(verificationCertStores={"ca": {"company": ["leaf"]}}), "neither that of a CA nor self-signed"),
    ],
)
def test_a_trust_policy_without_equivalent_denies_its_images(
    tmp_path: Path, source: Mapping[str, Any], why: str
) -> None:
    _, chain = Authority("notation").issue()
    leaf = provider("leaf", chain[0].public_bytes(Encoding.PEM).decode(), "certificate")
    specs, notes = convert(tmp_path, source, config_policy(), *BESIDE, leaf, *GATEKEEPER)
    assert policies(specs) == {}
    assert why in notes


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        ((cosign(), *BESIDE), "the Policy ratify-policy decides about all images"),
        ((cosign(), config_policy(), KEY), "a Store decides about all images"),
        ((config_policy(), *BESIDE), "a Verifier decides about all images"),
        ((cosign(), config_policy(), *BESIDE, constraint()), "convert the ConstraintTemplate of RatifyVerification"),
        ((cosign(), {**config_policy(), "apiVersion": "config.ratify.deislabs.io/v1alpha1"}, *BESIDE), "v1beta1"),
    ],
)
def test_what_decides_about_all_images_must_be_there(tmp_path: Path, sources: tuple[Any, ...], why: str) -> None:
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", *sources))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert why in ran.stderr


def test_other_constraints_are_left_out(tmp_path: Path) -> None:
    other = template()
    other["spec"]["crd"]["spec"]["names"]["kind"] = "Other"
    other["spec"]["targets"][0]["rego"] = "package other"
    given = ({**constraint(), "kind": "Other"}, other)
    specs, notes = convert(tmp_path, cosign(), config_policy(), *BESIDE, *GATEKEEPER, *given)
    assert list(policies(specs)) == ["trusted.0"]
    assert "Other trusted does not ask Ratify; left out" in notes


def test_the_example_is_converted(tmp_path: Path) -> None:
    specs, _ = convert(tmp_path, *yaml.safe_load_all(EXAMPLE.read_text()))
    assert list(policies(specs)) == ["only-trusted.1"]
