"""Attestations that an authenticator requires, in every layout that holds them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import PolicyError
from sealgate.reasons import Reason
from tests.support.environments.cosign import REPOSITORY, cosign_check
from tests.support.signers.cosign import (
    ENVELOPE_TYPE,
    SIGN_PREDICATE,
    BundleOf,
    Classic,
    push_attestations,
    push_bundle,
    push_classic,
)
from tests.support.signers.private_keys import fingerprint, new_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.environments.cosign import CosignEnvironment

KEY = new_key("ECDSA P-256", "release")
OTHER = new_key("ECDSA P-256", "other")
STRANGER = new_key("ECDSA P-256", "stranger")
SLSA = "https://slsa.dev/provenance/v1"
SLSA_0_2 = "https://slsa.dev/provenance/v0.2"
VULN = "https://cosign.sigstore.dev/attestation/vuln/v1"
BUILDER = "https://builder.example.org"
PROVENANCE = {"runDetails": {"builder": {"id": BUILDER}}}
BUILT = {"predicateType": SLSA, "conditions": [f"predicate.runDetails.builder.id == '{BUILDER}'"]}
#: An authenticator that asks for that provenance and for no signature.
ONLY_BUILT: dict[str, Any] = {"attestations": [BUILT], "signatures": "NotRequired"}


def provenance(environment: CosignEnvironment, **fields: Any) -> BundleOf:
    return BundleOf(
        **{"digest": environment.digest, "key": KEY, "predicate_type": SLSA, "predicate": PROVENANCE, **fields}
    )


def as_tag(environment: CosignEnvironment, *attestations: BundleOf) -> None:
    push_attestations(environment.registry, REPOSITORY, *attestations)


def as_referrers(environment: CosignEnvironment, *attestations: BundleOf) -> None:
    push_attestations(environment.registry, REPOSITORY, *attestations, subject=environment.digest)


def as_bundles(environment: CosignEnvironment, *attestations: BundleOf) -> None:
    for each in attestations:
        push_bundle(environment.registry, REPOSITORY, each, subject=environment.digest)


LAYOUTS = [as_tag, as_referrers, as_bundles]
every_layout = pytest.mark.parametrize("push", LAYOUTS, ids=lambda push: push.__name__)


@every_layout
def test_attestation_is_required_beside_the_signature(
    environment: CosignEnvironment, push: Callable[..., None]
) -> None:
    push(environment, provenance(environment))
    environment.refused(Reason.NO_SIGNATURE, KEY, attestations=[BUILT])
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    found = environment.verify(KEY, attestations=[BUILT])
    assert found.fingerprints == (fingerprint(KEY),)
    assert [seen.reason for seen in found.signatures].count(Reason.VERIFIED) == 2


def test_signature_without_the_attestation_is_refused(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    error = environment.refused(Reason.NO_ATTESTATION, KEY, attestations=[BUILT])
    assert f"no attestation {SLSA}" in error.message
    assert [seen.reason for seen in error.signatures] == [Reason.VERIFIED]


def test_refusal_says_what_to_write_for_a_short_name(environment: CosignEnvironment) -> None:
    only = {**ONLY_BUILT, "attestations": [{"predicateType": "slsaprovenance1"}]}
    error = environment.refused(Reason.NO_ATTESTATION, KEY, **only)
    assert f"no attestation slsaprovenance1; write predicateType: {SLSA}" in error.message


@every_layout
def test_attestation_is_enough_where_no_signature_is_required(
    either_environment: CosignEnvironment, push: Callable[..., None]
) -> None:
    push(either_environment, provenance(either_environment))
    assert either_environment.verify(KEY, **ONLY_BUILT).fingerprints == (fingerprint(KEY),)


@every_layout
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"key": STRANGER}, Reason.INVALID_SIGNATURE),
        ({"digest": f"sha256:{'0' * 64}"}, Reason.DIGEST_MISMATCH),
        ({"subjects": []}, Reason.DIGEST_MISMATCH),
        ({"payload_type": "text/plain"}, Reason.TYPE_MISMATCH),
        ({"shown_type": "application/vnd.in-toto+json ", "payload_type": "x"}, Reason.INVALID_SIGNATURE),
        ({"statement_type": "https://in-toto.io/Statement/v2"}, Reason.TYPE_MISMATCH),
        ({"predicate": {"runDetails": {"builder": {"id": f"{BUILDER}.evil"}}}}, Reason.PREDICATE_MISMATCH),
        ({"predicate": None}, Reason.PREDICATE_MISMATCH),
        ({"payload": b'{"_type":"https://in-toto.io/Statement/v1"}'}, Reason.MALFORMED_EVIDENCE),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_attestation_is_refused(
    environment: CosignEnvironment, push: Callable[..., None], wrong: dict[str, Any], reason: Reason
) -> None:
    made = provenance(environment, **wrong)
    if made.digest != environment.digest:
        # Stored for this image, and about another one.
        made = replace(made, digest=environment.digest, subjects=made.statement()["subject"])
    push(environment, made)
    if push is as_bundles and made.key is STRANGER:
        reason = Reason.UNKNOWN_KEY
    error = environment.refused(reason, KEY, **ONLY_BUILT)
    assert error.message.startswith(f"attestation {SLSA}: ")


def test_predicate_type_of_the_statement_counts_not_that_of_its_layer(environment: CosignEnvironment) -> None:
    push_attestations(environment.registry, REPOSITORY, provenance(environment, predicate_type=VULN), stated=SLSA)
    environment.refused(Reason.TYPE_MISMATCH, KEY, **ONLY_BUILT)


@pytest.mark.parametrize("stated", ["", SLSA])
def test_layer_need_not_state_its_predicate_type(environment: CosignEnvironment, stated: str) -> None:
    push_attestations(environment.registry, REPOSITORY, provenance(environment), stated=stated)
    environment.verify(KEY, **ONLY_BUILT)


def test_other_attestations_are_neither_fetched_nor_counted(environment: CosignEnvironment) -> None:
    others = [provenance(environment, predicate_type=VULN, predicate={"n": number}) for number in range(130)]
    as_tag(environment, *others, provenance(environment))
    found = environment.verify(KEY, **ONLY_BUILT)
    assert len(found.signatures) == 1


def test_one_good_attestation_counts_beside_bad_ones(environment: CosignEnvironment) -> None:
    as_tag(environment, provenance(environment, predicate={}), provenance(environment))
    as_bundles(environment, provenance(environment, key=STRANGER))
    found = environment.verify(KEY, attestations=[BUILT], signatures="NotRequired")
    assert [seen.reason for seen in found.signatures] == [Reason.PREDICATE_MISMATCH, Reason.VERIFIED]


def test_conditions_must_all_be_true_of_one_attestation(environment: CosignEnvironment) -> None:
    as_tag(environment, provenance(environment, predicate={"a": 1}), provenance(environment, predicate={"b": 1}))
    both = {"predicateType": SLSA, "conditions": ["has(predicate.a)", "has(predicate.b)"]}
    environment.refused(Reason.PREDICATE_MISMATCH, KEY, attestations=[both], signatures="NotRequired")
    as_tag(environment, provenance(environment, predicate={"a": 1, "b": 1}))
    environment.verify(KEY, attestations=[both], signatures="NotRequired")


def test_every_requirement_must_be_met(environment: CosignEnvironment) -> None:
    scanned = {"predicateType": VULN, "conditions": ["predicate.critical == 0"]}
    as_tag(environment, provenance(environment))
    both: dict[str, Any] = {"attestations": [BUILT, scanned], "signatures": "NotRequired"}
    assert VULN in environment.refused(Reason.NO_ATTESTATION, KEY, **both).message
    as_bundles(environment, provenance(environment, predicate_type=VULN, predicate={"critical": 1}))
    assert "condition 1 is false" in environment.refused(Reason.PREDICATE_MISMATCH, KEY, **both).message
    as_bundles(environment, provenance(environment, predicate_type=VULN, predicate={"critical": 0}, key=OTHER))
    # The signers of the finding are those of the first attestation.
    assert environment.verify(KEY, OTHER, **both).fingerprints == (fingerprint(KEY),)


def test_every_signer_of_the_first_attestation_is_found(environment: CosignEnvironment) -> None:
    as_tag(environment, provenance(environment), provenance(environment, key=OTHER))
    found = environment.verify(KEY, OTHER, **ONLY_BUILT)
    assert found.fingerprints == (fingerprint(KEY), fingerprint(OTHER))


def test_repository_of_the_subject_is_compared_where_it_must_match(environment: CosignEnvironment) -> None:
    named = {"name": environment.repository, "digest": {"sha256": environment.digest.removeprefix("sha256:")}}
    as_bundles(environment, provenance(environment))
    environment.refused(Reason.REPOSITORY_MISMATCH, KEY, matchRepository=True, **ONLY_BUILT)
    as_bundles(environment, provenance(environment, subjects=[named]))
    environment.verify(KEY, matchRepository=True, **ONLY_BUILT)


def test_annotations_are_asked_of_signatures_only(environment: CosignEnvironment) -> None:
    as_tag(environment, provenance(environment))
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY, optional={"env": "prod"}))
    environment.verify(KEY, attestations=[BUILT], annotations={"env": "prod"})


def test_signature_is_not_an_attestation_of_another_type(environment: CosignEnvironment) -> None:
    as_bundles(environment, provenance(environment, predicate_type=SIGN_PREDICATE))
    environment.refused(Reason.NO_ATTESTATION, KEY, **ONLY_BUILT)


def test_attestation_that_is_listed_and_missing_is_unavailable(environment: CosignEnvironment) -> None:
    made = provenance(environment)
    push_bundle(environment.registry, REPOSITORY, made, subject=environment.digest)
    (blob,) = [
        digest
        for digest, data in environment.registry.repositories[REPOSITORY].blobs.items()
        if b"dsseEnvelope" in data
    ]
    del environment.registry.repositories[REPOSITORY].blobs[blob]
    assert environment.unavailable(KEY, **ONLY_BUILT).reason is Reason.NOT_FOUND


def test_wrong_layer_type_is_refused(environment: CosignEnvironment) -> None:
    digest = push_attestations(environment.registry, REPOSITORY, provenance(environment))
    body = environment.registry.manifest(REPOSITORY, digest)[1].replace(ENVELOPE_TYPE.encode(), b"text/plain")
    tag = environment.digest.replace(":", "-") + ".att"
    environment.registry.push_manifest(REPOSITORY, tag, body)
    environment.refused(Reason.TYPE_MISMATCH, KEY, **ONLY_BUILT)


GITHUB = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/container.yml@refs/tags/v2.1.0"
SOURCE = "https://github.com/shop/web"
WORDS = {"builder": GITHUB, "source": SOURCE, "tag": "v1.4.0"}


def slsa_1(**workflow: Any) -> dict[str, Any]:
    return {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {"repository": SOURCE, "ref": "refs/tags/v1.4.0", **workflow}},
            # The attacker's dependency on a good source is not the source.
            "resolvedDependencies": [{"uri": f"git+{SOURCE}@refs/tags/v1.4.0"}],
        },
        "runDetails": {"builder": {"id": GITHUB}},
    }


def slsa_0_2(uri: str = f"git+{SOURCE}@refs/tags/v1.4.0", builder: str = GITHUB) -> dict[str, Any]:
    return {"builder": {"id": builder}, "invocation": {"configSource": {"uri": uri}}}


@pytest.mark.parametrize("words", [("builder",), ("builder", "source"), ("builder", "source", "tag")], ids="-".join)
@pytest.mark.parametrize(("kind", "predicate"), [(SLSA, slsa_1()), (SLSA_0_2, slsa_0_2())], ids=["v1", "v0.2"])
def test_slsa_rules_in_words_are_met(
    environment: CosignEnvironment, kind: str, predicate: dict[str, Any], words: tuple[str, ...]
) -> None:
    as_tag(environment, provenance(environment, predicate_type=kind, predicate=predicate))
    asked = {"predicateType": kind, "slsa": {word: WORDS[word] for word in words}}
    environment.verify(KEY, attestations=[asked], signatures="NotRequired")


@pytest.mark.parametrize(
    ("kind", "predicate", "name"),
    [
        (SLSA, slsa_1(repository=f"{SOURCE}2"), "slsa.source"),
        (SLSA, slsa_1(repository="https://github.com/evil/web"), "slsa.source"),
        (SLSA, slsa_1(ref="refs/heads/v1.4.0"), "slsa.tag"),
        (SLSA, slsa_1(ref="refs/tags/v1.4.0-rc"), "slsa.tag"),
        (SLSA, {**slsa_1(), "runDetails": {"builder": {"id": f"{GITHUB}x"}}}, "slsa.builder"),
        (SLSA, {**slsa_1(), "buildDefinition": {**slsa_1()["buildDefinition"], "buildType": "x"}}, "slsa.buildType"),
        (SLSA_0_2, slsa_0_2(f"git+{SOURCE}-evil@refs/tags/v1.4.0"), "slsa.source"),
        (SLSA_0_2, slsa_0_2(f"git+{SOURCE}@refs/heads/main"), "slsa.tag"),
        (SLSA_0_2, slsa_0_2(builder="https://builder.example.org"), "slsa.builder"),
    ],
)
def test_slsa_rules_in_words_are_not_met(
    environment: CosignEnvironment, kind: str, predicate: dict[str, Any], name: str
) -> None:
    as_tag(environment, provenance(environment, predicate_type=kind, predicate=predicate))
    asked = {"predicateType": kind, "slsa": WORDS}
    error = environment.refused(Reason.PREDICATE_MISMATCH, KEY, attestations=[asked], signatures="NotRequired")
    assert f"{name} is false: predicate." in error.message


@pytest.mark.parametrize(
    "fields",
    [
        {"attestations": [{"predicateType": SLSA, "conditions": ["predicate.a =="]}]},
        {"attestations": [BUILT, {"predicateType": SLSA, "conditions": ["1"]}]},
    ],
)
def test_condition_that_does_not_compile_makes_no_check(fields: dict[str, Any]) -> None:
    with pytest.raises(PolicyError) as caught:
        cosign_check(KEY, **fields)
    assert caught.value.message.startswith(f"cosign.attestations[{len(fields['attestations']) - 1}]: ")


def test_content_depends_on_every_rule_about_attestations() -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"attestations": [BUILT]},
        ONLY_BUILT,
        {"attestations": [{"predicateType": SLSA}]},
        {"attestations": [{"predicateType": SLSA_0_2}]},
        {"attestations": [{"predicateType": SLSA, "conditions": ["true"]}]},
        {"attestations": [{"predicateType": SLSA, "slsa": {"builder": GITHUB}}]},
        {"attestations": [{"predicateType": SLSA, "slsa": {"builder": GITHUB, "source": SOURCE}}]},
        {"attestations": [{"predicateType": SLSA}, {"predicateType": SLSA_0_2}]},
    ]
    assert len({cosign_check(KEY, **fields).content for fields in variants}) == len(variants)
