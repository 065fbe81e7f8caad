"""verifyImages rules of Kyverno, converted by the command and read by `sealgate policy check`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.convert.files import convert_texts, to_yaml
from sealgate.errors import PolicyError
from sealgate.policies.matching import Namespace, PolicyIndex
from sealgate.references import parse_reference
from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.convert.test_policy_controller import SECRETS
from tests.support.builders.cluster_image_policies import PEM
from tests.support.builders.policy_files import load_policy_texts
from tests.support.examples import examples
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OTHER = public_pem(new_key("ECDSA P-256", "other"))
KEY = {"keys": {"publicKeys": PEM, "rekor": {"ignoreTlog": True}}}
SPEC = {"cosign": {"keys": [{"pem": PEM, "algorithm": "ECDSA_SHA_256"}]}}
ISSUER = "https://token.actions.githubusercontent.com"
ROOT = {"source": "PublicGood"}


def rule(*entries: Mapping[str, Any], count: int | None = None, **more: Any) -> dict[str, Any]:
    found = {"entries": list(entries), **({"count": count} if count else {})}
    return {"imageReferences": ["ghcr.io/shop/*"], "attestors": [found], "failureAction": "Enforce", **more}


def policy(*verify: Mapping[str, Any], match: Any = None, exclude: Any = None, **spec: Any) -> dict[str, Any]:
    one = {
        "name": "signed",
        "match": match or {"any": [{"resources": {"kinds": ["Pod"]}}]},
        "exclude": exclude or {},
        "verifyImages": list(verify),
    }
    return {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "shop"},
        "spec": {"rules": [one], **spec},
    }


def convert(folder: Path, *objects: Mapping[str, Any]) -> tuple[Any, str]:
    ran = sealgate("policy", "convert", write(folder / "source.yaml", *objects))
    assert ran.exit_code == 0, ran.stderr
    made = folder / "converted.yaml"
    made.write_text(ran.stdout)
    specs = {
        (one["kind"], one["metadata"]["name"]): one["spec"]
        for one in yaml.load_all(ran.stdout, yaml.CSafeLoader)
        if one
    }
    if specs:
        checked = sealgate("policy", "check", made, write(folder / "secrets.yaml", *SECRETS))
        assert checked.exit_code == 0, checked.stderr + checked.stdout
    return specs, ran.stderr


def test_an_attestor_set_becomes_a_policy(tmp_path: Path) -> None:
    both = {"keys": {"publicKeys": PEM + OTHER, "rekor": {"ignoreTlog": True}}}
    specs, notes = convert(tmp_path, policy(rule(both, count=1)))
    assert specs["Authenticator", "shop.signed.0"] == SPEC
    assert specs["VerificationPolicy", "shop.signed"] == {
        "images": [{"repository": "ghcr.io/shop/**"}],
        "require": {"authenticators": ["shop.signed.0", "shop.signed.1"], "count": 1},
    }
    assert "unmatchedImages: admit" in notes


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"keys": {"publicKeys": PEM}},
            {"keys": SPEC["cosign"]["keys"], "requireTransparencyLog": True, "trustedRoot": ROOT},
        ),
        (
            {"keys": {"secret": {"name": "k", "namespace": "kyverno"}, "rekor": {"ignoreTlog": True}}},
            {"keys": [{"secretRef": {"name": "kyverno.k", "key": "cosign.pub"}}]},
        ),
        (
            {"keys": {"publicKeys": "k8s://kyverno/k", "rekor": {"ignoreTlog": True}}},
            {"keys": [{"secretRef": {"name": "kyverno.k", "key": "cosign.pub"}}]},
        ),
        (
            {**KEY, "annotations": {"env": "prod"}, "repository": "ghcr.io/shop/signatures"},
            {
                "keys": SPEC["cosign"]["keys"],
                "signatureRepository": "ghcr.io/shop/signatures",
                "annotations": {"env": "prod"},
            },
        ),
        (
            {
                "keyless": {
                    "issuer": ISSUER,
                    "subject": "https://github.com/shop/*",
                    "rekor": {"url": "https://rekor.sigstore.dev"},
                    "additionalExtensions": {"githubWorkflowTrigger": "push"},
                }
            },
            {
                "keyless": {
                    "identities": [
                        {
                            "issuer": ISSUER,
                            "subjectRegExp": r"https://github\.com/shop/(?s:.*)",
                            "githubWorkflowTrigger": "push",
                        }
                    ]
                },
                "trustedRoot": ROOT,
            },
        ),
    ],
)
def test_what_an_entry_accepts_is_carried_over(
    tmp_path: Path, entry: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    specs, _ = convert(tmp_path, policy(rule(entry)))
    assert specs["Authenticator", "shop.signed.0"] == {"cosign": expected}


def test_signatures_and_attestations_must_both_be_met(tmp_path: Path) -> None:
    attestations = [{"type": "https://slsa.dev/provenance/v1", "attestors": [{"entries": [KEY]}]}]
    specs, _ = convert(tmp_path, policy(rule(KEY, attestations=attestations)))
    attested = {"attestations": [{"predicateType": "https://slsa.dev/provenance/v1"}], "signatures": "NotRequired"}
    assert specs["Authenticator", "shop.signed.set-0.0"] == SPEC
    assert specs["Authenticator", "shop.signed.set-1.0"] == {"cosign": {**SPEC["cosign"], **attested}}
    assert {name for kind, name in specs if kind == "VerificationPolicy"} == {
        "shop.signed.set-0",
        "shop.signed.set-1",
    }


@pytest.mark.parametrize(
    ("spec", "audits"),
    [
        ({}, True),
        ({"validationFailureAction": "Audit"}, True),
        ({"validationFailureAction": "enforce"}, False),
        ({"validationFailureActionOverrides": [{"action": "Enforce", "namespaces": ["shop"]}]}, False),
    ],
)
def test_only_what_is_audited_everywhere_stays_audited(tmp_path: Path, spec: Any, audits: bool) -> None:  # noqa: FBT001 - a case
    specs, _ = convert(tmp_path, policy(rule(KEY, failureAction=None), **spec))
    assert (specs["VerificationPolicy", "shop.signed"].get("action") == "Audit") == audits


def test_a_rule_of_which_any_part_enforces_enforces_whole(tmp_path: Path) -> None:
    other = rule(KEY, failureAction=None, imageReferences=["quay.io/shop/*"])
    specs, _ = convert(tmp_path, policy(other, rule(KEY)))
    assert [spec.get("action") for (kind, _), spec in specs.items() if kind == "VerificationPolicy"] == [None, None]


def test_of_several_keys_for_an_attestation_the_others_do_not_count(tmp_path: Path) -> None:
    two = {"keys": {**KEY["keys"], "publicKeys": PEM + OTHER}}
    attestations = [{"type": "https://a.example/b", "attestors": [{"count": 1, "entries": [two, KEY]}]}]
    specs, notes = convert(tmp_path, policy(rule(attestors=[], attestations=attestations)))
    assert [key for key in specs if key[0] == "Authenticator"] == [("Authenticator", "shop.signed.0")]
    assert specs["Authenticator", "shop.signed.0"]["cosign"]["keys"] == SPEC["cosign"]["keys"]
    assert "write an entry for each key" in notes


@pytest.mark.parametrize(
    ("selection", "expected", "note"),
    [
        ({"match": {"any": [{"resources": {"kinds": ["Pod"], "namespaces": ["shop"]}}]}}, [("In", ["shop"])], ""),
        ({"match": {"any": [{"resources": {"namespaces": ["shop-*"]}}]}}, [], "wildcards"),
        (
            {"match": {"any": [{"resources": {"namespaces": ["a"]}}, {"resources": {"kinds": ["Pod"]}}]}},
            [],
            "",
        ),
        ({"match": {"any": [{"resources": {"selector": {"matchLabels": {"a": "b"}}}}]}}, [], "part of match"),
        ({"exclude": {"any": [{"resources": {"namespaces": ["kube-system"]}}]}}, [("NotIn", ["kube-system"])], ""),
        ({"exclude": {"any": [{"resources": {"namespaces": ["a"], "names": ["b"]}}]}}, [], "part of exclude"),
        (
            {
                "exclude": {
                    "any": [{"resources": {"namespaces": ["a"]}}],
                    "all": [{"resources": {"namespaces": ["b"]}}],
                }
            },
            [("NotIn", ["a"])],
            "",
        ),
    ],
)
def test_namespaces_are_carried_over_and_what_else_narrows_is_left_out(
    tmp_path: Path, selection: Any, expected: list[Any], note: str
) -> None:
    specs, notes = convert(tmp_path, policy(rule(KEY), **selection))
    selector = specs["VerificationPolicy", "shop.signed"].get("namespaceSelector", {})
    found = [(one["operator"], one["values"]) for one in selector.get("matchExpressions", [])]
    assert found == expected
    assert note in notes


def test_secrets_of_two_namespaces_have_two_copies(tmp_path: Path) -> None:
    entries = [{"keys": {"secret": {"name": "k", "namespace": space}, "rekor": {"ignoreTlog": True}}} for space in "ab"]
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", policy(rule(*entries, count=1))))
    made = [one for one in yaml.load_all(ran.stdout, yaml.CSafeLoader) if one and one["kind"] == "Authenticator"]
    found = [one["spec"]["cosign"]["keys"][0]["secretRef"]["name"] for one in made]
    assert found == ["a.k", "b.k"]
    assert "copy the Secret k of b into sealgate's namespace as b.k" in ran.stderr


def test_objects_of_other_tools_are_named(tmp_path: Path) -> None:
    other = {"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": {"name": "tags"}}
    _, notes = convert(tmp_path, policy(rule(KEY)), other)
    assert "ValidatingPolicy tags of policies.kyverno.io/v1 is not converted; left out" in notes


def test_a_policy_of_a_namespace_holds_there(tmp_path: Path) -> None:
    source = policy(rule(KEY)) | {"kind": "Policy", "metadata": {"name": "own", "namespace": "shop"}}
    specs, _ = convert(tmp_path, source)
    expressions = specs["VerificationPolicy", "shop.own.signed"]["namespaceSelector"]["matchExpressions"]
    assert expressions == [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop"]}]


def test_only_exact_patterns_are_skipped(tmp_path: Path) -> None:
    specs, notes = convert(tmp_path, policy(rule(KEY, skipImageReferences=["ghcr.io/shop/base/*", "ghcr.io/shop/a*"])))
    assert specs["VerificationPolicy", "shop.signed"]["excludeImages"] == [{"repository": "ghcr.io/shop/base/**"}]
    assert "ghcr.io/shop/a* has no exact equivalent" in notes


def test_an_alternative_without_equivalent_is_left_out(tmp_path: Path) -> None:
    specs, notes = convert(tmp_path, policy(rule(KEY, {"certificates": {"cert": "x"}}, count=1)))
    assert specs["VerificationPolicy", "shop.signed"]["require"] == {"authenticators": ["shop.signed.0"]}
    assert "certificates has no equivalent" in notes


@pytest.mark.parametrize("more", [{"required": False}, {"failureAction": "Audit"}])
def test_a_rule_that_denies_nothing_is_left_out(tmp_path: Path, more: Mapping[str, Any]) -> None:
    specs, notes = convert(tmp_path, policy(rule(attestors=[], **more)))
    assert specs == {}
    assert "requires neither attestors nor attestations" in notes


@pytest.mark.parametrize(
    ("more", "noted"),
    [
        ({"mutateDigest": False}, True),
        ({}, False),
        ({"mutateDigest": False, "verifyDigest": False}, False),
        ({"mutateDigest": False, "failureAction": "Audit"}, False),
    ],
)
def test_a_rule_that_denies_tags_is_noted(tmp_path: Path, more: Mapping[str, Any], noted: bool) -> None:  # noqa: FBT001 - a case
    _, notes = convert(tmp_path, policy(rule(KEY, **more)))
    assert ("webhook.pinDigests" in notes) == noted


@pytest.mark.parametrize(
    ("verify", "why"),
    [
        (rule({"certificates": {"cert": "x"}}), "certificates has no equivalent"),
        (rule(KEY, {"attestor": {"entries": [KEY]}}), "attestor has no equivalent"),
        (rule({"keys": {"publicKeys": "{{ keys.data.key }}"}}), "variables"),
        (rule({"keys": {"publicKeys": PEM, "rekor": {"pubkey": "x"}}}), "rekor.pubkey"),
        (rule({"keys": {"publicKeys": f"# release\n{PEM}"}}), "has text besides keys"),
        (rule({"keyless": {"rekor": {"url": "x"}}}), "accepts anyone"),
        (rule({"keyless": {"subject": "a", "rekor": {"ignoreTlog": True}}}), "while their certificate is valid"),
        (rule({"keyless": {"subject": "a", "roots": "x"}}), "keyless.roots"),
        (rule({"keyless": {"subject": "a", "additionalExtensions": {"1.3": "x"}}}), "additionalExtensions"),
        (rule(KEY, count=2), "count is more"),
        (rule(attestors=[]), "denies its images as unverified"),
        (rule(KEY, type="Notary"), "write notation by hand"),
        (rule(KEY, validate={"deny": {}}), "validate"),
        (rule(KEY, imageReferences=["{{ x }}"]), "variables"),
        (rule(KEY, imageReferences=[]), "imageReferences"),
        (
            rule(KEY, attestations=[{"type": "a:b", "attestors": [{"entries": [KEY]}], "conditions": [{"all": []}]}]),
            "conditions",
        ),
        (rule(KEY, attestations=[{"type": "a:b"}]), "needs type and attestors"),
    ],
)
def test_a_requirement_without_equivalent_ends_the_conversion(
    tmp_path: Path, verify: Mapping[str, Any], why: str
) -> None:
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", policy(verify)))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert why in ran.stderr


PIECES = [
    *(
        "*",
        "*",
        "?",
        "/",
        "/",
        ":",
        "@",
        "docker.io/",
        "index.docker.io/",
        "ghcr.io/",
        "library/",
        "nginx",
        "shop/",
        "web",
    ),
    *("v1", "a", "io", ".", "r.example.org:5000/", "5000", "sha256", "4", "-", "ghcr", "team", "latest", "docker"),
]
PATTERNS = ["*", "*:*", "ghcr.io/*", "*/shop/*", "*.io/*", "docker.io/*", "ghcr.io/shop/web:v1*", "*:latest", "nginx*"]
PATTERNS += ["*e?ample.org:5000/shop/web:v1-a", "*docker.i*shop/web:4a", "localhos*", "docker.io/l*nginx:latest"]
NAMES = [
    *("docker.io/library/nginx", "docker.io/shop/web", "ghcr.io/shop/web", "ghcr.io/web", "ghcr.io/team/a/web-a"),
    *(
        "r.example.org:5000/shop/web",
        "ghcr.example.org/a",
        "localhost/web",
        "docker.example/nginx",
        "ghcr.io/a/docker.io/a",
    ),
]
ENDS = [":v1", ":latest", ":v1-a", ":4a", ":a", f"@sha256:{'4a' * 32}"]


def spellings(name: str, end: str) -> list[str]:
    """Every text that Kyverno compares with a pattern for an image: the pod's author chooses one."""
    names = [name]
    if name.startswith("docker.io/"):
        names += [f"{alias}.{name}" for alias in ("index", "registry-1")]
        names.append(name.replace("docker.io/library/", "docker.io/"))
    return [f"{one}{end}" for one in names]


@settings(max_examples=examples(800), deadline=None)
@given(
    pattern=st.one_of(
        st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join), st.sampled_from(PATTERNS)
    ),
    name=st.sampled_from(NAMES),
    end=st.sampled_from(ENDS),
)
def test_a_pattern_covers_at_least_what_it_covered(pattern: str, name: str, end: str) -> None:
    try:
        conversion = convert_texts([("source.yaml", yaml.safe_dump(policy(rule(KEY, imageReferences=[pattern]))))])
    except PolicyError:
        return
    expression = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."))
    index = PolicyIndex(load_policy_texts({"converted.yaml": to_yaml(conversion)}).policies)
    if any(expression.fullmatch(text) for text in spellings(name, end)):
        assert index.match(parse_reference(f"{name}{end}"), Namespace("shop"))


@settings(max_examples=examples(200), deadline=None)
@given(
    pattern=st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join).map(lambda text: f"{text}*"),
    name=st.sampled_from(NAMES),
    end=st.sampled_from(ENDS),
)
def test_a_skipped_pattern_skips_no_more(pattern: str, name: str, end: str) -> None:
    source = policy(rule(KEY, imageReferences=["*"], skipImageReferences=[pattern]))
    conversion = convert_texts([("source.yaml", yaml.safe_dump(source))])
    index = PolicyIndex(load_policy_texts({"converted.yaml": to_yaml(conversion)}).policies)
    expression = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."))
    if not index.match(parse_reference(f"{name}{end}"), Namespace("shop")):
        assert expression.fullmatch(f"{name}{end}")
