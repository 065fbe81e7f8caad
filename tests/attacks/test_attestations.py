"""Attacks on attestations: of another image, type or signer; predicates and conditions that deceive or cost much."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.formats.cosign.conditions import Condition
from sealgate.manifests.policies import object_problems
from sealgate.policies.decisions import Verdict
from sealgate.reasons import Reason
from tests.support.builders.objects import authenticator, authenticator_model, policy_model
from tests.support.environments.verifier import KEY, RELEASE, REPOSITORY, STRANGER, VerifierEnvironment, policy_set
from tests.support.signers.cosign import BundleOf, Classic, push_attestations, push_bundle, push_classic
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from sealgate.policies.decisions import ImageVerdict
    from sealgate.references import Digest
    from sealgate.verification.policy_sets import PolicySet

OTHER = new_key("ECDSA P-256", "scanner")
SLSA = "https://slsa.dev/provenance/v1"
VULN = "https://cosign.sigstore.dev/attestation/vuln/v1"
BUILDER = "https://builder.example.org"
GOOD = {"runDetails": {"builder": {"id": BUILDER}}}
CONDITION = f"predicate.runDetails.builder.id == '{BUILDER}'"


def requiring(*conditions: str, **fields: Any) -> PolicySet:
    """Every image must have provenance that meets the conditions, and no signature."""
    required = {"predicateType": SLSA, "conditions": list(conditions)}
    return policy_set(
        [authenticator_model("release", KEY, attestations=[required], signatures="NotRequired", **fields)],
        [policy_model("production")],
    )


BUILT = requiring(CONDITION)


@pytest.fixture
def environment() -> Iterator[VerifierEnvironment]:
    with VerifierEnvironment() as made:
        yield made


def provenance(digest: Digest, **fields: Any) -> BundleOf:
    return BundleOf(**{"digest": digest, "key": KEY, "predicate_type": SLSA, "predicate": GOOD, **fields})


def verdict(environment: VerifierEnvironment, policies: PolicySet = BUILT) -> ImageVerdict:
    (found,) = environment.verify(environment.image(), policies=policies)
    return found


def denied(environment: VerifierEnvironment, policies: PolicySet = BUILT) -> Reason:
    found = verdict(environment, policies)
    assert found.verdict is Verdict.DENY
    ((finding,),) = (result.findings for result in found.policies)
    return finding.reason


# 140: one kind of evidence taken for another --------------------------------------------------------------------------


def test_attack_140_signature_is_no_attestation_and_the_reverse(environment: VerifierEnvironment) -> None:
    environment.push_signed("v1")
    assert denied(environment) is Reason.NO_ATTESTATION
    both = policy_set(
        [authenticator_model("release", KEY, attestations=[{"predicateType": SLSA}])], [policy_model("production")]
    )
    assert denied(environment, both) is Reason.NO_ATTESTATION
    bare = environment.registry.push_image(REPOSITORY, "v2")
    push_attestations(environment.registry, REPOSITORY, provenance(bare))
    push_bundle(environment.registry, REPOSITORY, provenance(bare))
    for policies in (RELEASE, both):
        (found,) = environment.verify(environment.image("v2"), policies=policies)
        assert found.verdict is Verdict.DENY
        assert found.policies[0].findings[0].reason is Reason.NO_SIGNATURE


@pytest.mark.parametrize(
    "wrong",
    [
        {"predicate_type": VULN},
        {"predicate_type": f"{SLSA}/"},
        {"payload_type": "application/vnd.in-toto+json; x=1"},
        {"statement_type": "https://in-toto.io/Link/v1"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_attack_140_attestation_of_another_type_is_refused(
    environment: VerifierEnvironment, wrong: dict[str, Any]
) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_attestations(environment.registry, REPOSITORY, provenance(digest, **wrong), stated=SLSA)
    assert denied(environment) is Reason.TYPE_MISMATCH


# 141: of another image ------------------------------------------------------------------------------------------------


def test_attack_141_attestation_of_another_image_is_refused(environment: VerifierEnvironment) -> None:
    genuine = environment.registry.push_image(REPOSITORY, "genuine")
    target = environment.registry.push_image(REPOSITORY, "v1")
    push_attestations(environment.registry, REPOSITORY, provenance(genuine))
    media_type, body = environment.registry.manifest(REPOSITORY, genuine.replace(":", "-") + ".att")
    environment.registry.push_manifest(REPOSITORY, target.replace(":", "-") + ".att", body, media_type)
    push_bundle(environment.registry, REPOSITORY, provenance(genuine), subject=target)
    assert denied(environment) is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize("algorithm", ["sha512", "SHA256", "sha1"])
def test_attack_141_subject_by_another_hash_is_refused(environment: VerifierEnvironment, algorithm: str) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    subjects = [{"digest": {algorithm: digest.removeprefix("sha256:")}}]
    push_attestations(environment.registry, REPOSITORY, provenance(digest, subjects=subjects))
    assert denied(environment) is Reason.DIGEST_MISMATCH


# 142: discovery stands in for verification ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": STRANGER},
        {"signatures": []},
        {"signatures": [{"keyid": "release", "sig": "AAAA"}]},
        {"key": STRANGER, "hint": ""},
    ],
    ids=["stranger", "unsigned", "key id", "no hint"],
)
def test_attack_142_attestation_that_no_accepted_key_signed_is_refused(
    environment: VerifierEnvironment, wrong: dict[str, Any]
) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_attestations(environment.registry, REPOSITORY, provenance(digest, **wrong))
    push_bundle(environment.registry, REPOSITORY, provenance(digest, **wrong))
    assert denied(environment, requiring()) in {
        Reason.INVALID_SIGNATURE,
        Reason.UNKNOWN_KEY,
        Reason.MALFORMED_EVIDENCE,
    }


# 143: predicates that deceive the condition ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predicate", "condition"),
    [
        ({}, CONDITION),
        ({}, "predicate.critical == 0"),
        ({"critical": "0"}, "predicate.critical == 0"),
        ({"critical": None}, "predicate.critical < 1"),
        ({"passed": "true"}, "predicate.passed"),
        ({"passed": 1}, "predicate.passed"),
        ({"critical": []}, "predicate.critical == 0"),
        ([], "predicate.critical == 0"),
        ("predicate", "predicate.critical == 0"),
    ],
)
def test_attack_143_predicate_that_breaks_the_condition_is_refused(
    environment: VerifierEnvironment, predicate: object, condition: str
) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_attestations(environment.registry, REPOSITORY, provenance(digest, predicate=predicate))
    assert denied(environment, requiring(condition)) is Reason.PREDICATE_MISMATCH


@pytest.mark.parametrize(
    "predicate",
    [
        '{"critical\\u0000x":0}',
        '{"critical":9,"critical":0}',
        '{"critical":' + "[" * 40 + "]" * 40 + "}",
        '{"critical":NaN}',
        '{"critical":"\\ud800"}',
        '{"critical":1' + "0" * 60 + "}",
    ],
    ids=["NUL", "duplicate", "deep", "NaN", "surrogate", "huge number"],
)
def test_attack_143_ambiguous_predicate_is_not_read(environment: VerifierEnvironment, predicate: str) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    statement = json.dumps(provenance(digest, predicate="HERE").statement()).replace('"HERE"', predicate)
    push_attestations(environment.registry, REPOSITORY, provenance(digest, payload=statement.encode()))
    assert denied(environment, requiring("predicate.critical == 0")) is Reason.MALFORMED_EVIDENCE


# 144: predicates that are dear to evaluate ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predicate", "condition"),
    [
        ({"all": [1] * 200_000}, "predicate.all.all(a, a == 1)"),
        ({"all": [1] * 7_000}, "predicate.all.all(a, predicate.all.all(b, a == b))"),
        ({"text": "a" * 500_000}, "predicate.text.matches('(a*)*b')"),
    ],
    ids=["loop", "nested loops", "regular expression"],
)
def test_attack_144_dear_predicate_is_refused_at_a_bounded_cost(
    environment: VerifierEnvironment, predicate: object, condition: str
) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_attestations(environment.registry, REPOSITORY, provenance(digest, predicate=predicate))
    # Without the bounds it would not end before the test's own timeout.
    assert denied(environment, requiring(condition)) is Reason.PREDICATE_MISMATCH


@pytest.mark.parametrize(
    "condition",
    [
        "predicate.list.all(m, m in predicate.text)",
        "predicate.list.all(m, [predicate.text].exists(t, t.contains('a')))",
        "[predicate].all(p, p.list.exists(m, m in p.text))",
        "predicate.list.all(m, m.a.contains(m.b))",
        "predicate.text.contains(predicate.list[0])",
        "matches(predicate.text, predicate.list[0])",
        "predicate.text.contains('a' + predicate.list[0])",
    ],
)
def test_attack_144_large_predicate_is_not_compared_with_itself(
    environment: VerifierEnvironment, condition: str
) -> None:
    """A signer whose identity is accepted writes a predicate that holds the interpreter's lock for many seconds."""
    digest = environment.registry.push_image(REPOSITORY, "v1")
    large = {"text": "a" * 20_000, "list": ["a"] * 4_000}
    push_attestations(environment.registry, REPOSITORY, provenance(digest, predicate=large))
    assert denied(environment, requiring(condition)) is Reason.EVIDENCE_TOO_LARGE


@pytest.mark.parametrize(
    "condition",
    [
        "has(predicate.list) && predicate.list.all(m, m == 'a')",
        "predicate.list.exists(m, m.contains('a') || m.matches(r'^b$'))",
        "predicate.text.startsWith('a') && predicate.list[0] in ['a', 'b']",
    ],
)
def test_large_predicate_is_evaluated_part_by_part(environment: VerifierEnvironment, condition: str) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    large = {"text": "a" * 20_000, "list": ["a"] * 4_000}
    push_attestations(environment.registry, REPOSITORY, provenance(digest, predicate=large))
    assert verdict(environment, requiring(condition)).verdict is Verdict.ADMIT


def test_attack_144_attestation_larger_than_the_limit_is_refused(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_attestations(environment.registry, REPOSITORY, provenance(digest, predicate={"text": "a" * (1 << 20)}))
    assert denied(environment) is Reason.EVIDENCE_TOO_LARGE


# 145: conditions that are dear ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition",
    [
        "true" + " || true" * 200,
        "[predicate]" + ".map(a, a + a)" * 8 + " == []",
        "'a'" + " + 'a'" * 9 + " == ''",
        "predicate.all(a, a.all(b, b.all(c, c.all(d, d))))",
        "(" * 500 + "true" + ")" * 500,
        "cel.bind(a, predicate + predicate, a + a == a)",
        "predicate.transformList(a, b, [b, b]).size() == 1",
        "predicate.a.matches(",
        "1",
        "true // comment\n && false",
    ],
)
def test_attack_145_dear_or_broken_condition_is_refused_when_it_is_applied(condition: str) -> None:
    required = {"predicateType": SLSA, "conditions": [condition]}
    assert object_problems(authenticator("release", public_pem(KEY), attestations=[required]))


# 146: the source of provenance ----------------------------------------------------------------------------------------


def test_attack_146_dependency_does_not_pass_for_the_source(environment: VerifierEnvironment) -> None:
    source = "https://github.com/shop/web"
    predicate = {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {"repository": "https://github.com/evil/web", "ref": "refs/tags/v1"}},
            "resolvedDependencies": [{"uri": f"git+{source}@refs/tags/v1"}],
        },
        "runDetails": {"builder": {"id": BUILDER}},
    }
    required = {"predicateType": SLSA, "slsa": {"builder": BUILDER, "source": source, "tag": "v1"}}
    policies = policy_set(
        [authenticator_model("release", KEY, attestations=[required], signatures="NotRequired")],
        [policy_model("production")],
    )
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_attestations(environment.registry, REPOSITORY, provenance(digest, predicate=predicate))
    assert denied(environment, policies) is Reason.PREDICATE_MISMATCH


@pytest.mark.parametrize(
    "words",
    [
        {"builder": "https://b.example.org/' || true || '"},
        {"builder": 'https://b.example.org/" || true || "'},
        {"builder": "https://b.example.org/\\"},
        {"builder": BUILDER, "source": "https://github.com/shop/web@refs"},
        {"builder": BUILDER, "source": "https://github.com/shop/"},
        {"builder": BUILDER, "tag": "v1"},
        {"source": "https://github.com/shop/web"},
    ],
)
def test_attack_146_words_that_could_change_their_condition_are_refused(words: dict[str, str]) -> None:
    required = {"predicateType": SLSA, "slsa": words}
    assert object_problems(authenticator("release", public_pem(KEY), attestations=[required]))


# 147: signers and numbers ---------------------------------------------------------------------------------------------


def test_attack_147_key_of_a_further_attestation_is_no_second_signer(environment: VerifierEnvironment) -> None:
    required = [{"predicateType": SLSA}, {"predicateType": VULN}]
    both = authenticator_model("built", KEY, OTHER, attestations=required, signatures="NotRequired")
    policies = policy_set(
        [authenticator_model("release", KEY), both], [policy_model("production", authenticators=["release", "built"])]
    )
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY))
    scan = provenance(digest, key=OTHER, predicate_type=VULN)
    push_attestations(environment.registry, REPOSITORY, provenance(digest), scan)
    assert verdict(environment, policies).verdict is Verdict.DENY
    signed_twice = environment.registry.push_image(REPOSITORY, "v2")
    push_classic(environment.registry, REPOSITORY, Classic(signed_twice, KEY))
    both_keys = (provenance(signed_twice), provenance(signed_twice, key=OTHER))
    scan = provenance(signed_twice, key=OTHER, predicate_type=VULN)
    push_attestations(environment.registry, REPOSITORY, *both_keys, scan)
    (found,) = environment.verify(environment.image("v2"), policies=policies)
    assert found.verdict is Verdict.ADMIT


def test_attack_147_flood_of_attestations_is_refused(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    junk = provenance(digest, key=STRANGER)
    push_attestations(environment.registry, REPOSITORY, *[junk] * 129, provenance(digest))
    assert denied(environment) is Reason.EVIDENCE_TOO_LARGE


def test_attack_147_repeated_attestation_is_evaluated_once(
    environment: VerifierEnvironment,
) -> None:
    """A writer repeats a large attestation that is signed and does not do, to have one image cost minutes."""
    evaluated: list[object] = []

    def observe(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is Condition.check.__code__:
            evaluated.append(frame.f_locals["self"])

    digest = environment.registry.push_image(REPOSITORY, "v1")
    poor = provenance(digest, predicate={"runDetails": {"builder": {"id": "other"}}})
    (signature,) = poor.document()["dsseEnvelope"]["signatures"]
    repeated = replace(poor, signatures=[signature] * 20)
    push_attestations(environment.registry, REPOSITORY, *[repeated] * 3)
    push_bundle(environment.registry, REPOSITORY, repeated)
    threading.setprofile(observe)
    try:
        assert denied(environment) is Reason.PREDICATE_MISMATCH
    finally:
        threading.setprofile(None)
    assert len(evaluated) == 1


@pytest.mark.parametrize("fields", [{}, {"attestations": []}])
def test_attack_147_nothing_required_is_refused(fields: dict[str, Any]) -> None:
    assert object_problems(authenticator("release", public_pem(KEY), signatures="NotRequired", **fields))
