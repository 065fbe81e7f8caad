"""ClusterImagePolicies of policy-controller, converted by the command and read by `sealgate policy check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.cluster_image_policies import KEY, PEM
from tests.support.builders.cluster_image_policies import cluster_image_policy as policy

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1] / "data" / "sigstore" / "trusted_root.json"
ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/shop/web/.github/workflows/release.yml@refs/heads/main"
KEYLESS = {"identities": [{"issuer": ISSUER, "subject": WORKFLOW}]}
SECRETS = [
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}}
    for name, key, value in [
        *((name, "cosign.pub", PEM) for name in ("k", "kyverno.k", "connaisseur.k")),
        ("own", "trusted_root.json", ROOT.read_text()),
    ]
]
ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def convert(
    folder: Path, *objects: Mapping[str, Any], options: tuple[Any, ...] = (), files: tuple[Path, ...] = ()
) -> tuple[Any, str]:
    """Convert objects, check the result beside further files; return the specs by kind and name, and the notes."""
    ran = sealgate("policy", "convert", write(folder / "source.yaml", *objects), *options)
    assert ran.exit_code == 0, ran.stderr
    made = folder / "converted.yaml"
    made.write_text(ran.stdout)
    specs = {
        (one["kind"], one["metadata"]["name"]): one["spec"]
        for one in yaml.load_all(ran.stdout, yaml.CSafeLoader)
        if one
    }
    if specs:
        checked = sealgate("policy", "check", made, write(folder / "secrets.yaml", *SECRETS), *files)
        assert checked.exit_code == 0, checked.stderr + checked.stdout
    return specs, ran.stderr


def test_any_one_authority_is_enough(tmp_path: Path) -> None:
    specs, notes = convert(tmp_path, policy({"name": "ci", **KEY}, KEY))
    signed = {"cosign": {"keys": [{"pem": PEM, "algorithm": "ECDSA_SHA_256"}]}}
    assert specs == {
        ("Authenticator", "shop.ci"): signed,
        ("Authenticator", "shop.authority-1"): signed,
        ("VerificationPolicy", "shop"): {
            "images": [{"repository": "ghcr.io/shop/**"}],
            "require": {"authenticators": ["shop.ci", "shop.authority-1"], "count": 1},
        },
    }
    assert "unmatchedImages: deny" in notes


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        (
            {"key": {"secretRef": {"name": "k", "namespace": "ignored"}}},
            {"keys": [{"secretRef": {"name": "k", "key": "cosign.pub"}}]},
        ),
        (
            {"key": {"kms": f"awskms:///{ARN}"}},
            {"keys": [{"kms": {"aws": {"keyId": ARN, "region": "eu-central-1"}}}]},
        ),
        (
            {"key": {"data": PEM, "hashAlgorithm": "SHA512"}},
            {"keys": [{"pem": PEM, "algorithm": "ECDSA_SHA_512"}]},
        ),
        (
            {**KEY, "ctlog": {"url": "https://rekor.sigstore.dev"}},
            {
                "keys": [{"pem": PEM, "algorithm": "ECDSA_SHA_256"}],
                "requireTransparencyLog": True,
                "trustedRoot": {"source": "PublicGood"},
            },
        ),
        (
            {**KEY, "source": [{"oci": "ghcr.io/shop/signatures"}], "ctlog": {}},
            {
                "keys": [{"pem": PEM, "algorithm": "ECDSA_SHA_256"}],
                "signatureRepository": "ghcr.io/shop/signatures",
            },
        ),
        (
            {**KEY, "attestations": [{"name": "a", "predicateType": "slsaprovenance"}]},
            {
                "keys": [{"pem": PEM, "algorithm": "ECDSA_SHA_256"}],
                "attestations": [{"predicateType": "https://slsa.dev/provenance/v0.2"}],
                "signatures": "NotRequired",
            },
        ),
        (
            {"keyless": {**KEYLESS, "trustRootRef": "own"}, "ctlog": {"url": "https://r", "trustRootRef": "own"}},
            {"keyless": KEYLESS, "trustedRoot": {"secretRef": {"name": "own", "key": "trusted_root.json"}}},
        ),
    ],
)
def test_what_an_authority_accepts_is_carried_over(
    tmp_path: Path, authority: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    specs, _ = convert(tmp_path, policy(authority))
    assert specs["Authenticator", "shop.authority-0"] == {"cosign": expected}


def test_the_trusted_root_of_the_public_services_is_written_if_it_is_given(tmp_path: Path) -> None:
    specs, _ = convert(tmp_path, policy({"keyless": KEYLESS}), options=("--trusted-root", ROOT))
    assert specs["Authenticator", "shop.authority-0"]["cosign"]["trustedRoot"] == {"inline": ROOT.read_text()}


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"issuer": ISSUER}, {"issuer": ISSUER, "subjectRegExp": "(?s:.*)"}),
        (
            {"issuer": ISSUER, "subjectRegExp": "^https://github.com/shop/.*$"},
            {"issuer": ISSUER, "subjectRegExp": "^https://github.com/shop/.*$"},
        ),
        (
            {"issuer": ISSUER, "subjectRegExp": "^https://github.com/shop/"},
            {"issuer": ISSUER, "subjectRegExp": "(?:^https://github.com/shop/)(?s:.*)"},
        ),
        (
            {"issuer": ISSUER, "subjectRegExp": "^a$|^b$"},
            {"issuer": ISSUER, "subjectRegExp": "(?s:.*)(?:^a$|^b$)(?s:.*)"},
        ),
    ],
)
def test_identities_match_what_they_matched(
    tmp_path: Path, identity: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    specs, notes = convert(tmp_path, policy({"keyless": {"identities": [identity]}}))
    assert specs["Authenticator", "shop.authority-0"]["cosign"]["keyless"]["identities"] == [expected]
    assert ("not anchored" in notes or "accepts every subject" in notes) == (identity != expected)


@pytest.mark.parametrize(
    ("authority", "why"),
    [
        ({"keyless": {"identities": []}}, "accepts anyone"),
        ({"keyless": {"identities": [{"issuer": ISSUER, "subjectRegExp": "a)|(?:b"}]}}, "not a regular expression"),
        ({"keyless": KEYLESS, "ctlog": {}}, "while their certificate is valid"),
        ({"keyless": KEYLESS, "ctlog": {"url": "https://r", "trustRootRef": "own"}}, "different trust roots"),
        ({"keyless": {**KEYLESS, "trustRootRef": "own"}, "ctlog": {"trustRootRef": "own"}}, "ignores a ctlog without"),
        ({"keyless": {**KEYLESS, "ca-cert": {"data": "x"}}}, "ca-cert has no equivalent"),
        ({**KEY, "rfc3161timestamp": {"trustRootRef": "own"}}, "rfc3161timestamp has no equivalent"),
        ({**KEY, "requiresMore": True}, "requiresMore has no equivalent"),
        ({**KEY, "source": [{"oci": "ghcr.io/a/b"}, {"oci": "ghcr.io/a/c"}]}, "several sources"),
        ({**KEY, "source": [{"oci": "ghcr.io/a/b", "tagPrefix": "x"}]}, "tagPrefix"),
        ({"key": {"kms": "hashivault://k"}}, "cannot be carried over"),
        ({"key": {"kms": f"awskms:///{ARN}", "hashAlgorithm": "sha512"}}, "hashAlgorithm sha512"),
        ({"key": {"data": "-----BEGIN PUBLIC KEY-----"}}, "its key cannot be accepted"),
        (
            {**KEY, "attestations": [{"name": "a", "predicateType": "vuln", "policy": {"type": "cue", "data": "x"}}]},
            "CUE or Rego",
        ),
        ({**KEY, "attestations": [{"name": "a", "predicateType": "unknown"}]}, "is not known"),
        ({"static": {"action": "fail"}}, ""),
    ],
)
def test_a_policy_that_cannot_be_met_here_denies_its_images(
    tmp_path: Path, authority: Mapping[str, Any], why: str
) -> None:
    everything = policy(KEY, name="all", glob="**")
    specs, notes = convert(tmp_path, policy(authority), everything)
    assert ("VerificationPolicy", "shop") not in specs
    assert specs["VerificationPolicy", "all"]["excludeImages"] == [{"repository": "ghcr.io/shop/**"}]
    assert why in notes
    assert "its images are denied" in notes


def test_a_policy_in_cue_over_all_authorities_denies_its_images(tmp_path: Path) -> None:
    specs, notes = convert(tmp_path, policy(KEY, policy={"type": "cue", "data": "x"}))
    assert not [name for kind, name in specs if kind == "VerificationPolicy"]
    assert "spec.policy in CUE or Rego has no equivalent" in notes


def test_warnings_stay_warnings(tmp_path: Path) -> None:
    specs, _ = convert(tmp_path, policy(KEY, mode="warn"))
    images = [{"repository": "ghcr.io/shop/**"}]
    assert specs["VerificationPolicy", "shop.admitted"] == {"action": "Exempt", "images": images}
    assert specs["VerificationPolicy", "shop"]["action"] == "Warn"


def test_static_pass_exempts(tmp_path: Path) -> None:
    specs, _ = convert(tmp_path, policy(KEY, {"static": {"action": "pass"}}))
    exempt = {"action": "Exempt", "images": [{"repository": "ghcr.io/shop/**"}]}
    assert specs == {("VerificationPolicy", "shop"): exempt}


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (policy(KEY, match=[{"resource": "pods", "version": "v1"}]), "spec.match"),
        (policy(KEY, more=1), "spec.more"),
        (policy(KEY, mode="audit"), "spec.mode"),
        (policy(), "spec.authorities"),
        (policy(KEY, images=[]), "spec.images"),
        (policy(KEY, images=[{"glob": "ghcr.io/**", "regex": "x"}]), "spec.images[0].glob"),
        (policy(KEY, glob="ghcr.io**"), "has no equivalent"),
        (policy(KEY, glob="ghcr.io/*a*"), "matches inside digests"),
        (policy({"static": {"action": "maybe"}}), "static"),
    ],
)
def test_what_decides_about_the_images_must_have_an_equivalent(
    tmp_path: Path, source: Mapping[str, Any], why: str
) -> None:
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", source))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert why in ran.stderr


def test_two_policies_of_one_name_are_refused(tmp_path: Path) -> None:
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", policy(KEY), policy(KEY)))
    assert ran.exit_code == 2
    assert "taken" in ran.stderr


def test_two_tools_are_converted_in_separate_runs(tmp_path: Path) -> None:
    kritis = {"apiVersion": "kritis.grafeas.io/v1beta1", "kind": "AdmissionAllowlist", "metadata": {"name": "a"}}
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", policy(KEY), {**kritis, "spec": {}}))
    assert ran.exit_code == 2
    assert "separate runs" in ran.stderr
