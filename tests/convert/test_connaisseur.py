"""Helm values of Connaisseur, converted by the command and read by `sealgate policy check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.convert.test_policy_controller import ARN, ISSUER, ROOT, WORKFLOW, convert
from tests.support.signers.notation import Authority
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = Path(__file__).parents[1] / "data" / "convert" / "connaisseur" / "values.yaml"
PEMS = [public_pem(new_key("ECDSA P-256", f"connaisseur-{number}")) for number in range(3)]
KEY = {"name": "default", "key": PEMS[0]}
ED25519 = public_pem(new_key("Ed25519", "connaisseur"))
KEYLESS = {"name": "default", "keyless": {"issuer": ISSUER, "subject": WORKFLOW}}
CA = Authority("notation").pem
PATTERN = "ghcr.io/shop/*:*"
UNLOGGED = {"verifyInTransparencyLog": False}


def values(validator: Mapping[str, Any], options: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return values with one rule, which uses one validator."""
    rule = {"pattern": PATTERN, "validator": "v", **({"with": options} if options else {})}
    static = {"name": "deny", "type": "static", "approve": False}
    policy = [{"pattern": "*:*", "validator": "deny"}, rule]
    return {"application": {"validators": [static, {"name": "v", **validator}], "policy": policy, **more}}


def cosign(*roots: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "cosign", "trustRoots": list(roots), **more}


def notaryv1(*roots: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "notaryv1", "trustRoots": list(roots), **more}


def signed_by(pem: str) -> dict[str, Any]:
    return {"cosign": {"keys": [{"pem": pem, "algorithm": "ECDSA_SHA_256"}]}}


def test_a_rule_asks_for_the_trust_root_of_its_validator(tmp_path: Path) -> None:
    specs, notes = convert(tmp_path, values(cosign(KEY), UNLOGGED))
    assert specs == {
        ("Authenticator", "v.default"): signed_by(PEMS[0]),
        ("VerificationPolicy", "connaisseur.rule-1"): {
            "images": [{"repository": "ghcr.io/shop/**"}],
            "require": {"authenticators": ["v.default"]},
        },
    }
    assert "unmatchedImages: deny" in notes


@pytest.mark.parametrize(
    ("validator", "options", "expected"),
    [
        (
            cosign(KEY),
            {},
            {
                "keys": [{"pem": PEMS[0], "algorithm": "ECDSA_SHA_256"}],
                "requireTransparencyLog": True,
                "trustedRoot": {"source": "PublicGood"},
            },
        ),
        (
            cosign({"name": "default", "key": f"awskms:///{ARN}"}),
            UNLOGGED,
            {"keys": [{"kms": {"aws": {"keyId": ARN, "region": "eu-central-1"}}}]},
        ),
        (
            cosign({"name": "default", "key": "k8s://connaisseur/k"}),
            UNLOGGED,
            {"keys": [{"secretRef": {"name": "connaisseur.k", "key": "cosign.pub"}}]},
        ),
        (
            cosign(KEYLESS, host={"fulcioCert": "PEM", "rekor": "rekor.example.org"}),
            {},
            {
                "keyless": {"identities": [{"issuer": ISSUER, "subject": WORKFLOW}]},
                "trustedRoot": {"secretRef": {"name": "v", "key": "trusted_root.json"}},
            },
        ),
    ],
)
def test_trust_roots_of_cosign_are_carried_over(
    tmp_path: Path, validator: Mapping[str, Any], options: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "v"}}
    more = write(tmp_path / "more.yaml", {**secret, "stringData": {"trusted_root.json": ROOT.read_text()}})
    specs, _ = convert(tmp_path, values(validator, options), files=(more,))
    assert specs["Authenticator", "v.default"] == {"cosign": expected}


def test_expressions_of_identities_match_anywhere(tmp_path: Path) -> None:
    keyless = {"issuer": ISSUER, "subjectRegex": "github.com/shop"}
    specs, notes = convert(tmp_path, values(cosign({"name": "default", "keyless": keyless})))
    identity = {"issuer": ISSUER, "subjectRegExp": "(?s:.*)(?:github.com/shop)(?s:.*)"}
    assert specs["Authenticator", "v.default"]["cosign"]["keyless"]["identities"] == [identity]
    assert "not anchored" in notes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [{"authenticators": ["v.a", "v.b", "v.c"]}]),
        ({"threshold": 2}, [{"authenticators": ["v.a", "v.b", "v.c"], "count": 2}]),
        ({"required": ["b"]}, [{"authenticators": ["v.b"]}]),
        ({"required": ["b", "c"], "threshold": 2}, [{"authenticators": ["v.b", "v.c"]}]),
        (
            {"required": ["b"], "threshold": 2},
            [{"authenticators": ["v.b"]}, {"authenticators": ["v.a", "v.b", "v.c"], "count": 2}],
        ),
    ],
)
def test_thresholds_and_required_trust_roots(
    tmp_path: Path, options: Mapping[str, Any], expected: list[Mapping[str, Any]]
) -> None:
    roots = [{"name": name, "key": pem} for name, pem in zip("abc", PEMS, strict=True)]
    specs, _ = convert(tmp_path, values(cosign(*roots), {**UNLOGGED, "trustRoot": "*", **options}))
    assert [spec["require"] for (kind, _), spec in specs.items() if kind == "VerificationPolicy"] == expected


def test_notation_is_carried_over(tmp_path: Path) -> None:
    validator = {"type": "notation", "trustRoots": [{"name": "default", "cert": CA, "tsCert": CA}]}
    options = {"verificationLevel": "permissive", "verifyTimestamp": "afterCertExpiry"}
    specs, _ = convert(tmp_path, values(validator, options))
    assert specs["Authenticator", "v.default"]["notation"] == {
        "trustStores": {"ca": [{"pem": CA}], "tsa": [{"pem": CA}]},
        "trustedIdentities": ["*"],
        "verifyTimestamp": "AfterCertExpiry",
        "acceptExpired": True,
        "revocation": {"acceptUnknown": True},
    }


def test_of_several_certificates_of_a_trust_root_the_first_is_trusted(tmp_path: Path) -> None:
    other = Authority("other").pem
    validator = {"type": "notation", "trustRoots": [{"name": "default", "cert": CA + other, "tsCert": other + CA}]}
    specs, notes = convert(tmp_path, values(validator))
    stores = specs["Authenticator", "v.default"]["notation"]["trustStores"]
    assert stores == {"ca": [{"pem": CA}], "tsa": [{"pem": other}]}
    assert "the first certificate alone" in notes


@pytest.mark.parametrize(
    ("validator", "options", "expected"),
    [
        (notaryv1(KEY), {}, {"server": "https://notary.docker.io", "releasesOnly": True}),
        (
            notaryv1(KEY, host="notary.example.org", cert=CA),
            {"delegations": ["a", "targets/b", "a"]},
            {
                "server": "https://notary.example.org",
                "ca": {"pem": CA},
                "roles": [{"name": f"targets/{name}", "anyPermittedKey": True} for name in "ab"],
            },
        ),
    ],
)
def test_root_keys_of_notary_are_pinned(
    tmp_path: Path, validator: Mapping[str, Any], options: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    specs, notes = convert(tmp_path, values(validator, options))
    pinned = {"root": {"pem": PEMS[0]}, "allowAnyTag": True}
    assert specs["Authenticator", "v.default"] == {"notary": {**expected, **pinned}}
    assert "registries.ca" not in notes


def test_every_trust_root_of_notary_must_have_signed(tmp_path: Path) -> None:
    roots = [{"name": name, "key": pem} for name, pem in zip("abc", PEMS, strict=True)]
    specs, _ = convert(tmp_path, values(notaryv1(*roots), {"trustRoot": "*"}))
    required = [spec["require"]["authenticators"] for (kind, _), spec in specs.items() if kind == "VerificationPolicy"]
    assert required == [["v.a"], ["v.b"], ["v.c"]]


def test_two_rules_with_other_options_have_authenticators_of_their_own(tmp_path: Path) -> None:
    source = values(cosign(KEY), UNLOGGED)
    source["application"]["policy"].append({"pattern": "ghcr.io/other/*:*", "validator": "v"})
    specs, _ = convert(tmp_path, source)
    assert "requireTransparencyLog" not in specs["Authenticator", "v.default"]["cosign"]
    assert specs["Authenticator", "v.default-2"]["cosign"]["requireTransparencyLog"] is True


@pytest.mark.parametrize(
    ("validator", "options", "why"),
    [
        ({"type": "static", "approve": False}, {}, ""),
        (notaryv1({"name": "default", "key": f"{PEMS[0]}\n"}), {}, "one public key"),
        (notaryv1({"name": "default", "key": ED25519}), {}, "not a key of ECDSA or RSA"),
        (notaryv1({"name": "default", "cert": CA}), {}, "trustRoots.cert has no equivalent"),
        (notaryv1(KEY), {"trustRoot": "other"}, "must be a trust root"),
        (notaryv1(KEY), {"delegations": ["a/b"]}, "not a delegation of targets"),
        (notaryv1(KEY), {"delegations": ["A"]}, "sealgate does not accept its roles"),
        (notaryv1(KEY), {"threshold": 2}, "with.threshold has no equivalent"),
        (notaryv1(KEY, host="https://u@n"), {}, "sealgate does not accept its server"),
        ({"type": "gpg"}, {}, "not known"),
        (cosign(), {}, "has no trustRoots"),
        (cosign(KEY), {"trustRoot": "other"}, "asks for more trust roots"),
        (cosign(KEY), {"trustRoot": ["default"]}, "must be a name"),
        ({"type": "notation", "trustRoots": [{"name": "default", "cert": f"# root\n{CA}"}]}, {}, "in PEM"),
        (cosign(KEY), {"trustRoot": "*", "threshold": 2}, "asks for more trust roots"),
        (cosign(KEY), {"required": ["other"]}, "needs trustRoot '*'"),
        (cosign(KEY), {"delegations": ["a"]}, "with.delegations has no equivalent"),
        (cosign(KEY, more=1), {}, "more has no equivalent"),
        (cosign({**KEY, "tsCert": "x"}), {}, "trustRoots.tsCert has no equivalent"),
        (cosign({"name": "default", "key": "x"}), {}, "cannot be carried over"),
        (cosign(KEYLESS), UNLOGGED, "while their certificate is valid"),
        ({"type": "notation", "trustRoots": [KEY]}, {}, "trustRoots.key has no equivalent"),
        ({"type": "notation", "trustRoots": [{"name": "default", "cert": CA}]}, {"verificationLevel": "skip"}, "known"),
    ],
)
def test_a_rule_that_cannot_be_met_here_denies_its_images(
    tmp_path: Path, validator: Mapping[str, Any], options: Mapping[str, Any], why: str
) -> None:
    source = values(validator, options)
    source["application"]["validators"].append({"name": "allow", "type": "static", "approve": True})
    source["application"]["policy"][0]["validator"] = "allow"
    specs, notes = convert(tmp_path, source)
    assert specs == {
        ("VerificationPolicy", "connaisseur.rule-0"): {
            "action": "Exempt",
            "images": [{"repository": "**"}],
            "excludeImages": [{"repository": "**ghcr.io/shop/**"}],
        }
    }
    assert why in notes


@pytest.mark.parametrize(("approve", "note"), [(True, "left out"), (False, "its repository are denied")])
def test_a_rule_about_a_digest_never_admits_more(tmp_path: Path, approve: bool, note: str) -> None:  # noqa: FBT001
    source = values(cosign(KEY), UNLOGGED)
    source["application"]["validators"].append({"name": "fixed", "type": "static", "approve": approve})
    pattern = f"ghcr.io/shop/redis@sha256:{'4a' * 32}"
    source["application"]["policy"].append({"pattern": pattern, "validator": "fixed"})
    specs, notes = convert(tmp_path, source)
    excluded = specs["VerificationPolicy", "connaisseur.rule-1"].get("excludeImages", [])
    assert excluded == ([] if approve else [{"repository": "**ghcr.io/shop/redis"}])
    assert note in notes


@pytest.mark.parametrize(
    ("feature", "note"), [({"detectionMode": True}, "action: Warn"), ({"namespacedValidation": {"mode": "x"}}, "label")]
)
def test_features_that_admit_more_are_named(tmp_path: Path, feature: Mapping[str, Any], note: str) -> None:
    _, notes = convert(tmp_path, values(cosign(KEY), UNLOGGED, features=feature))
    assert note in notes


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"pattern": "*nginx*", "validator": "v"}, "may also match a tag"),
        ({"pattern": "ghcr.io/*:1", "validator": "v"}, "may also match elsewhere"),
        ({"pattern": "ghcr.io/{a,b}/*", "validator": "v"}, "characters that neither"),
        ({"pattern": "gcr*.io/a/*", "validator": "v"}, "star inside the registry"),
        ({"pattern": "registry-1.docker.io/a/*", "validator": "v"}, "write docker.io"),
        ({"pattern": "docker.io/nginx:*", "validator": "v"}, "in library"),
        ({"pattern": "ghcr.io/a/*", "validator": "v", "more": 1}, "nothing besides"),
        ({"pattern": "ghcr.io/a/*", "validator": "w"}, "no validator w"),
        ({"pattern": "ghcr.io/a/*"}, "no validator default"),
        ({"validator": "v"}, "must have a pattern"),
    ],
)
def test_what_decides_about_the_images_must_have_an_equivalent(
    tmp_path: Path, rule: Mapping[str, Any], why: str
) -> None:
    source = values(cosign(KEY), UNLOGGED)
    source["application"]["policy"].append(rule)
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", source))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "application.policy[2]" in ran.stderr
    assert why in ran.stderr


def test_rules_whose_order_depends_on_the_image_are_refused(tmp_path: Path) -> None:
    source = values(cosign(KEY), UNLOGGED)
    source["application"]["policy"] += [{"pattern": pattern, "validator": "v"} for pattern in ("shop/a/*", "shop/b/*")]
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", source))
    assert ran.exit_code == 2
    assert "depends on the image" in ran.stderr


def test_values_are_converted_alone(tmp_path: Path) -> None:
    source = write(tmp_path / "source.yaml", values(cosign(KEY)), values(cosign(KEY)))
    ran = sealgate("policy", "convert", source)
    assert ran.exit_code == 2
    assert "alone" in ran.stderr


def test_the_example_is_converted(tmp_path: Path) -> None:
    specs, _ = convert(tmp_path, yaml.safe_load(EXAMPLE.read_text()))
    policies = {name.removeprefix("connaisseur."): spec for (kind, name), spec in specs.items() if "Policy" in kind}
    assert policies.keys() == {"rule-1", "rule-2", "rule-3", "rule-4"}
    assert policies["rule-3"]["require"] == {"authenticators": ["shop.default", "shop.release"]}
