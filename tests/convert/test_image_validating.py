"""ImageValidatingPolicies of Kyverno, converted by the command and read by `sealgate policy check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.convert.test_policy_controller import ARN, ISSUER, ROOT, WORKFLOW, convert
from tests.support.builders.cluster_image_policies import PEM
from tests.support.signers.notation import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = Path(__file__).parents[1] / "data" / "convert" / "kyverno" / "image-validating-policy.yaml"
KEY = {"key": {"data": PEM}, "ctlog": {"insecureIgnoreTlog": True}}
KEYLESS = {"keyless": {"identities": [{"issuer": ISSUER, "subject": WORKFLOW}]}}
SIGNED = {"keys": [{"pem": PEM, "algorithm": "ECDSA_SHA_256"}]}
IMAGES = [{"repository": "ghcr.io/shop/**"}]
CA = Authority("notation").pem


def signatures(*attestors: str, above: str = "> 0", images: str = "containers") -> dict[str, str]:
    """Return a validation that so many of the attestors have signed."""
    names = ", ".join(f"attestors.{name}" for name in attestors)
    return {
        "expression": f"images.{images}.map(image, verifyImageSignatures(image, [{names}])).all(e, e {above})",
        "message": "not signed",
    }


def policy(*attestors: Mapping[str, Any], namespace: str | None = None, **spec: Any) -> dict[str, Any]:
    """Return a policy with attestors that are named a, b and so on, of which one must have signed."""
    named = [{"name": name, **attestor} for name, attestor in zip("abc", attestors, strict=False)]
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "ImageValidatingPolicy" if namespace is None else "NamespacedImageValidatingPolicy",
        "metadata": {"name": "p", **({} if namespace is None else {"namespace": namespace})},
        "spec": {
            "matchImageReferences": [{"glob": "ghcr.io/shop/*"}],
            "attestors": named,
            "validations": [signatures(*(one["name"] for one in named))],
            **spec,
        },
    }


def test_a_validation_asks_for_its_attestors(tmp_path: Path) -> None:
    specs, notes = convert(tmp_path, policy({"cosign": KEY}, {"cosign": KEY}))
    assert specs == {
        ("Authenticator", "p.a"): {"cosign": SIGNED},
        ("Authenticator", "p.b"): {"cosign": SIGNED},
        ("VerificationPolicy", "p"): {"images": IMAGES, "require": {"authenticators": ["p.a", "p.b"], "count": 1}},
    }
    assert "unmatchedImages: admit" in notes


@pytest.mark.parametrize(
    ("attestor", "expected"),
    [
        (
            {"cosign": {"key": {"data": PEM, "hashAlgorithm": "sha512"}}},
            {
                "cosign": {
                    "keys": [{"pem": PEM, "algorithm": "ECDSA_SHA_512"}],
                    "requireTransparencyLog": True,
                    "trustedRoot": {"source": "PublicGood"},
                }
            },
        ),
        (
            {"cosign": {**KEY, "key": {"kms": f"awskms:///{ARN}"}, "annotations": {"env": "prod"}}},
            {
                "cosign": {
                    "keys": [{"kms": {"aws": {"keyId": ARN, "region": "eu-central-1"}}}],
                    "annotations": {"env": "prod"},
                }
            },
        ),
        (
            {
                "cosign": {
                    **KEYLESS,
                    "trustedRoot": {"value": ROOT.read_text()},
                    "source": {"repository": "ghcr.io/shop/signatures"},
                }
            },
            {
                "cosign": {
                    **KEYLESS,
                    "trustedRoot": {"inline": ROOT.read_text()},
                    "signatureRepository": "ghcr.io/shop/signatures",
                }
            },
        ),
        (
            {"notary": {"certs": {"value": CA}, "tsaCerts": {"value": CA}}},
            {
                "notation": {
                    "trustStores": {"ca": [{"pem": CA}], "tsa": [{"pem": CA}]},
                    "trustedIdentities": ["*"],
                }
            },
        ),
    ],
)
def test_what_an_attestor_accepts_is_carried_over(
    tmp_path: Path, attestor: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    specs, _ = convert(tmp_path, policy(attestor))
    assert specs["Authenticator", "p.a"] == expected


@pytest.mark.parametrize(
    ("validation", "require"),
    [
        (signatures("a", "b", above=">= 2"), {"authenticators": ["p.a", "p.b"]}),
        (signatures("b", images="initContainers"), {"authenticators": ["p.b"]}),
        (
            {
                "expression": "images.containers.map(i,\n  verifyImageSignatures(i, [attestors.a , attestors.b]) > 0)\n"
                "  .all(x, x)"
            },
            {"authenticators": ["p.a", "p.b"], "count": 1},
        ),
    ],
)
def test_forms_of_validations(tmp_path: Path, validation: Mapping[str, str], require: Mapping[str, Any]) -> None:
    specs, _ = convert(tmp_path, policy({"cosign": KEY}, {"cosign": KEY}, validations=[validation]))
    assert specs["VerificationPolicy", "p"]["require"] == require


def test_every_validation_is_a_policy_and_attestations_need_no_signature(tmp_path: Path) -> None:
    attested = {
        "expression": "images.containers.map(image, verifyAttestationSignatures(image, attestations.sbom, "
        "[attestors.a])).all(e, e > 0)"
    }
    sbom = [{"name": "sbom", "intoto": {"type": "https://cyclonedx.org/bom"}}]
    validations = [signatures("a"), attested, signatures("a", images="initContainers")]
    specs, _ = convert(tmp_path, policy({"cosign": KEY}, attestations=sbom, validations=validations))
    assert specs["Authenticator", "p.sbom.a"]["cosign"] == {
        **SIGNED,
        "attestations": [{"predicateType": "https://cyclonedx.org/bom"}],
        "signatures": "NotRequired",
    }
    policies = {name: spec["require"] for (kind, name), spec in specs.items() if kind == "VerificationPolicy"}
    assert policies == {"p": {"authenticators": ["p.a"]}, "p.1": {"authenticators": ["p.sbom.a"]}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"validationActions": ["Audit", "Warn"]}, {"action": "Warn"}),
        ({"validationActions": ["Audit"]}, {"action": "Audit"}),
        ({"validationActions": ["Audit", "Deny"]}, {}),
        ({"matchImageReferences": []}, {"images": [{"repository": "**"}]}),
        (
            {"namespace": "team"},
            {
                "namespaceSelector": {
                    "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team"]}]
                }
            },
        ),
    ],
)
def test_where_and_how_a_policy_holds(tmp_path: Path, spec: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    specs, _ = convert(tmp_path, policy({"cosign": KEY}, **spec))
    found = next(one for (kind, _), one in specs.items() if kind == "VerificationPolicy")
    del found["require"]
    assert found == {"images": IMAGES, **expected}


@pytest.mark.parametrize(
    ("spec", "note"),
    [
        ({"matchConditions": [{"name": "a", "expression": "true"}]}, "matchConditions has no equivalent"),
        ({"validationConfigurations": {"mutateDigest": False}}, "denies images that a pod names by tag"),
        ({"matchConstraints": {"objectSelector": {"matchLabels": {"a": "b"}}}}, "objectSelector has no equivalent"),
    ],
)
def test_what_narrows_a_policy_down_is_left_out(tmp_path: Path, spec: Mapping[str, Any], note: str) -> None:
    specs, notes = convert(tmp_path, policy({"cosign": KEY}, **spec))
    assert ("VerificationPolicy", "p") in specs
    assert note in notes


@pytest.mark.parametrize("evaluation", [{"admission": {"enabled": False}}, {"mode": "HTTP"}])
def test_a_policy_that_admission_does_not_use_is_left_out(tmp_path: Path, evaluation: Mapping[str, Any]) -> None:
    specs, notes = convert(tmp_path, policy({"cosign": KEY}, evaluation=evaluation))
    assert specs == {}
    assert "left out" in notes


@pytest.mark.parametrize("spec", [{"validationConfigurations": {"required": False}}, {"validationActions": ["Warn"]}])
def test_a_policy_that_denies_nothing_is_left_out(tmp_path: Path, spec: Mapping[str, Any]) -> None:
    specs, notes = convert(tmp_path, policy({"cosign": KEY}, validations=[], **spec))
    assert specs == {}
    assert "has no validations" in notes


def test_an_attestor_without_equivalent_is_left_out_where_others_are_enough(tmp_path: Path) -> None:
    specs, notes = convert(tmp_path, policy({"cosign": KEY}, {"cosign": {"certificate": {"cert": {"value": "x"}}}}))
    assert specs["VerificationPolicy", "p"]["require"] == {"authenticators": ["p.a"]}
    assert "attestor b cannot be carried over: cosign.certificate has no equivalent" in notes


@pytest.mark.parametrize(
    ("attestor", "spec", "why"),
    [
        ({"cosign": {**KEYLESS, "ctlog": {"insecureIgnoreTlog": True}}}, {}, "0 can be carried over"),
        ({"cosign": {**KEY, "tuf": {"mirror": "x"}}}, {}, "0 can be carried over"),
        ({"cosign": {"keyless": {"identities": [{"subjectExpression": "x"}]}}}, {}, "0 can be carried over"),
        ({"notary": {"certs": {"expression": "x"}}}, {}, "0 can be carried over"),
        ({}, {}, "0 can be carried over"),
        ({"cosign": KEY}, {"validations": [signatures("b")]}, "0 can be carried over"),
        ({"cosign": KEY}, {"validations": []}, "denies images that no other policy has verified"),
        ({"cosign": KEY}, {"validations": "x"}, "conditions on attestations by hand"),
        ({"cosign": KEY}, {"validations": [signatures("a", "a", above=">= 2")]}, "conditions on attestations by hand"),
        ({"cosign": KEY}, {"validations": [signatures("a", above=">= 0")]}, "conditions on attestations by hand"),
        ({"cosign": KEY}, {"validations": [signatures("a", images="own")]}, "conditions on attestations by hand"),
        ({"cosign": KEY}, {"validations": [{"expression": "true"}]}, "conditions on attestations by hand"),
        ({"cosign": KEY}, {"matchImageReferences": [{"expression": "true"}]}, "expressions have no equivalent"),
        ({"cosign": KEY}, {"matchImageReferences": [{"glob": "ghcr.io/[ab]/*"}]}, "without brackets"),
        ({"cosign": KEY}, {"images": [{"name": "own", "expression": "[]"}]}, "spec.images"),
        ({"cosign": KEY}, {"namespace": ""}, "its namespace"),
    ],
)
def test_what_is_required_must_have_an_equivalent(
    tmp_path: Path, attestor: Mapping[str, Any], spec: Mapping[str, Any], why: str
) -> None:
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", policy(attestor, **spec)))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert why in ran.stderr


def test_the_example_is_converted(tmp_path: Path) -> None:
    specs, _ = convert(tmp_path, yaml.safe_load(EXAMPLE.read_text()))
    assert specs["VerificationPolicy", "shop"]["require"] == {
        "authenticators": ["shop.release", "shop.github"],
        "count": 1,
    }
    assert specs["VerificationPolicy", "shop.1"]["require"] == {"authenticators": ["shop.sbom.release"]}
