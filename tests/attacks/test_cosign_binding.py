"""Attacks with genuine signatures: on another image, of another kind, for another purpose; through the verifier."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.policies.decisions import Verdict
from sealgate.reasons import Reason
from sealgate.registry.interface import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.environments.verifier import KEY, RELEASE, REPOSITORY, STRANGER, VerifierEnvironment, policy_set
from tests.support.signers.cosign import (
    BUNDLE_TYPE,
    CLASSIC_REFERRER_TYPE,
    BundleOf,
    Classic,
    push_bundle,
    push_classic,
    push_referrer,
    signature_tag,
)
from tests.support.signers.private_keys import sign
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.references import Digest
    from sealgate.verification.policy_sets import PolicySet

SLSA = "https://slsa.dev/provenance/v1"


@pytest.fixture
def environment() -> Iterator[VerifierEnvironment]:
    with VerifierEnvironment() as made:
        yield made


def denied(environment: VerifierEnvironment, image: str | None = None, policies: PolicySet = RELEASE) -> Reason:
    """Verify an image, expect that it is denied, and return the one finding's reason."""
    (verdict,) = environment.verify(image or environment.image(), policies=policies)
    assert verdict.verdict is Verdict.DENY
    ((finding,),) = (result.findings for result in verdict.policies)
    return finding.reason


def admitted(environment: VerifierEnvironment, image: str | None = None, policies: PolicySet = RELEASE) -> bool:
    (verdict,) = environment.verify(image or environment.image(), policies=policies)
    return verdict.verdict is Verdict.ADMIT


def requiring(**fields: Any) -> PolicySet:
    """One policy that needs one authenticator with KEY and these fields."""
    return policy_set([authenticator_model("release", KEY, **fields)], [policy_model("production")])


def by_digest(environment: VerifierEnvironment, digest: Digest) -> str:
    return f"{environment.registry.host}/{REPOSITORY}@{digest}"


# 3: what was signed is not what runs ----------------------------------------------------------------------------------


def test_attack_03_classic_signature_of_another_image_is_refused(environment: VerifierEnvironment) -> None:
    genuine = environment.push_signed("genuine")
    target = environment.registry.push_image(REPOSITORY, "v1")
    media_type, body = environment.registry.manifest(REPOSITORY, signature_tag(genuine))
    environment.registry.push_manifest(REPOSITORY, signature_tag(target), body, media_type)
    assert denied(environment) is Reason.DIGEST_MISMATCH


def test_attack_03_classic_signature_in_a_referrer_is_refused(environment: VerifierEnvironment) -> None:
    genuine = environment.registry.push_image(REPOSITORY, "genuine")
    target = environment.registry.push_image(REPOSITORY, "v1")
    push_referrer(environment.registry, REPOSITORY, Classic(genuine, KEY), subject=target)
    assert denied(environment) is Reason.DIGEST_MISMATCH


def test_attack_03_a_bundle_copied_from_another_image_is_refused(environment: VerifierEnvironment) -> None:
    genuine = environment.registry.push_image(REPOSITORY, "genuine")
    target = environment.registry.push_image(REPOSITORY, "v1")
    push_bundle(environment.registry, REPOSITORY, BundleOf(genuine, KEY), subject=target)
    assert denied(environment) is Reason.DIGEST_MISMATCH


def test_attack_03_referrer_of_another_image_is_refused(environment: VerifierEnvironment) -> None:
    genuine = environment.registry.push_image(REPOSITORY, "genuine")
    target = environment.registry.push_image(REPOSITORY, "v1")
    # Signed for the target, but attached to another image: its author may not write signatures of the target.
    digest = push_bundle(environment.registry, REPOSITORY, BundleOf(target, KEY), subject=genuine)
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "artifactType": BUNDLE_TYPE}
    index = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})
    environment.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, index)
    assert denied(environment) is Reason.DIGEST_MISMATCH


def test_attack_03_signature_of_another_repository_is_refused(
    environment: VerifierEnvironment,
) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1", content=b"the same bytes")
    reference = f"{environment.registry.host}/other/app"
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY, reference=reference))
    assert denied(environment, policies=requiring(matchRepository=True)) is Reason.REPOSITORY_MISMATCH


def test_attack_03_payload_swapped_under_a_signature_is_refused(environment: VerifierEnvironment) -> None:
    genuine = environment.registry.push_image(REPOSITORY, "genuine")
    target = environment.registry.push_image(REPOSITORY, "v1")
    signature = sign(KEY, encode(Classic(genuine, KEY).document()))
    push_classic(environment.registry, REPOSITORY, Classic(target, KEY, signature=signature))
    assert denied(environment) is Reason.INVALID_SIGNATURE


def test_attack_03_payload_with_another_digest_is_refused(
    environment: VerifierEnvironment,
) -> None:
    environment.push_signed()
    environment.registry.faults.body("/blobs/", encode({"critical": {}, "optional": None}))
    assert denied(environment) is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize(
    "written", ["", "{hex}", "{digest} ", "{upper}", "sha512:{hex}", "{digest}0", "sha256:", "sha256:{hex}@{digest}"]
)
def test_attack_03_a_digest_written_otherwise_matches_nothing(environment: VerifierEnvironment, written: str) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    said = written.format(digest=digest, hex=digest.removeprefix("sha256:"), upper=digest.upper())
    push_classic(environment.registry, REPOSITORY, Classic(said, KEY), tag=signature_tag(digest))
    assert denied(environment) is Reason.DIGEST_MISMATCH


# 5: index and platform, and what is what ------------------------------------------------------------------------------


def test_attack_05_signed_platform_does_not_admit_the_index(environment: VerifierEnvironment) -> None:
    platform = environment.push_signed("amd64")
    other = environment.registry.push_image(REPOSITORY, "arm64")
    index = environment.registry.push_index(REPOSITORY, "v1", (platform, other))
    assert denied(environment) is Reason.NO_SIGNATURE
    assert denied(environment, by_digest(environment, index)) is Reason.NO_SIGNATURE
    assert admitted(environment, by_digest(environment, platform))


def test_attack_05_signed_index_does_not_admit_a_platform(
    environment: VerifierEnvironment,
) -> None:
    platform = environment.registry.push_image(REPOSITORY, "amd64")
    index = environment.registry.push_index(REPOSITORY, "v1", (platform,))
    push_classic(environment.registry, REPOSITORY, Classic(index, KEY))
    assert admitted(environment)
    assert denied(environment, by_digest(environment, platform)) is Reason.NO_SIGNATURE


def test_attack_05_signed_inner_index_does_not_admit_the_outer(
    environment: VerifierEnvironment,
) -> None:
    inner = environment.registry.push_index(
        REPOSITORY, "inner", (environment.registry.push_image(REPOSITORY, "amd64"),)
    )
    push_classic(environment.registry, REPOSITORY, Classic(inner, KEY))
    environment.registry.push_index(REPOSITORY, "v1", (inner,))
    assert denied(environment) is Reason.NO_SIGNATURE


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST, DOCKER_MANIFEST])
def test_attack_05_manifest_with_a_wrong_media_type_is_refused(
    environment: VerifierEnvironment, media_type: str
) -> None:
    digest = environment.push_signed()
    body = environment.registry.manifest(REPOSITORY, signature_tag(digest))[1]
    environment.registry.push_manifest(REPOSITORY, signature_tag(digest), body, media_type)
    assert denied(environment) in (Reason.MALFORMED_EVIDENCE, Reason.TYPE_MISMATCH)


def test_attack_05_a_manifest_that_is_an_index_too_is_refused(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY), manifests=[])
    assert denied(environment) is Reason.MALFORMED_EVIDENCE


def test_attack_05_schema_1_under_the_signature_tag_is_refused(environment: VerifierEnvironment) -> None:
    digest = environment.push_signed()
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    body = environment.registry.manifest(REPOSITORY, signature_tag(digest))[1]
    environment.registry.push_manifest(REPOSITORY, signature_tag(digest), body, kind)
    assert denied(environment) is Reason.UNSUPPORTED_IMAGE


# 6: attestations are not signatures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "predicate", [SLSA, "https://sigstore.dev/cosign/sign/v1 ", "https://SIGSTORE.dev/cosign/sign/v1"]
)
@pytest.mark.parametrize(
    "annotations", [None, {}, {"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"}]
)
def test_attack_06_attestation_manifest_is_not_a_signature(
    environment: VerifierEnvironment, predicate: str, annotations: dict[str, str] | None
) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    attestation = BundleOf(digest, KEY, predicate_type=predicate)
    push_bundle(environment.registry, REPOSITORY, attestation, annotations=annotations)
    assert denied(environment) in (Reason.NO_SIGNATURE, Reason.TYPE_MISMATCH)


def test_attack_06_attestation_under_the_tag_is_not_a_signature(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    envelope = encode(BundleOf(digest, KEY, predicate_type=SLSA).document()["dsseEnvelope"])
    layer = Classic(digest, KEY, payload=envelope, media_type="application/vnd.dsse.envelope.v1+json")
    push_classic(environment.registry, REPOSITORY, layer)
    assert denied(environment) is Reason.TYPE_MISMATCH


def test_attack_06_signature_under_the_attestation_tag_is_unread(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_classic(
        environment.registry, REPOSITORY, Classic(digest, KEY), tag=signature_tag(digest).replace(".sig", ".att")
    )
    push_classic(
        environment.registry, REPOSITORY, Classic(digest, KEY), tag=signature_tag(digest).replace(".sig", ".sbom")
    )
    assert denied(environment) is Reason.NO_SIGNATURE


def test_attack_06_statement_signed_as_payload_does_not_count(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_classic(
        environment.registry, REPOSITORY, Classic(digest, KEY, payload=encode(BundleOf(digest, KEY).statement()))
    )
    assert denied(environment) is Reason.MALFORMED_EVIDENCE


def test_attack_06_payload_signed_as_statement_does_not_count(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    payload = encode(Classic(digest, KEY).document())
    push_bundle(environment.registry, REPOSITORY, BundleOf(digest, KEY, payload=payload))
    assert denied(environment) is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize("signed_as", ["application/json", "application/vnd.in-toto+json; x", "text/plain"])
def test_attack_06_statement_signed_as_another_type_is_refused(
    environment: VerifierEnvironment, signed_as: str
) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    shown = push_bundle(environment.registry, REPOSITORY, BundleOf(digest, KEY, payload_type=signed_as))
    assert denied(environment) is Reason.TYPE_MISMATCH
    environment.registry.delete(REPOSITORY, shown)
    disguised = BundleOf(digest, KEY, payload_type=signed_as, shown_type="application/vnd.in-toto+json")
    push_bundle(environment.registry, REPOSITORY, disguised)
    with VerifierEnvironment(registry=environment.registry) as fresh:
        assert denied(fresh) is Reason.INVALID_SIGNATURE


@pytest.mark.parametrize("kind", ["atomic container signature", "cosign container image signature ", "Cosign", ""])
def test_attack_06_payload_for_another_purpose_is_refused(environment: VerifierEnvironment, kind: str) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY, type=kind))
    assert denied(environment) is Reason.TYPE_MISMATCH


# 7: finding something is not verifying it -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [CLASSIC_REFERRER_TYPE, BUNDLE_TYPE])
def test_attack_07_referrer_of_the_right_type_proves_nothing(environment: VerifierEnvironment, kind: str) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    environment.registry.push_artifact(REPOSITORY, None, (), subject=digest, artifact_type=kind)
    (verdict,) = environment.verify(environment.image())
    assert verdict.verdict is Verdict.DENY


def test_attack_07_an_empty_signature_manifest_proves_nothing(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY), layers=[])
    assert denied(environment) is Reason.NO_SIGNATURE


def test_attack_07_certificate_and_log_entry_prove_nothing(
    environment: VerifierEnvironment,
) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    bundle = json.dumps({"SignedEntryTimestamp": "AAAA", "Payload": {"body": "AAAA", "logIndex": 1}})
    beside = {
        "dev.sigstore.cosign/certificate": "-----BEGIN CERTIFICATE-----",
        "dev.sigstore.cosign/chain": "-----BEGIN CERTIFICATE-----",
        "dev.sigstore.cosign/bundle": bundle,
    }
    push_classic(environment.registry, REPOSITORY, Classic(digest, STRANGER, annotations=beside))
    material = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": [{"logIndex": "1"}]}
    push_bundle(environment.registry, REPOSITORY, BundleOf(digest, STRANGER, material=material))
    assert denied(environment) is Reason.INVALID_SIGNATURE


def test_attack_07_a_hint_at_the_right_key_proves_nothing(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    hint = BundleOf(digest, KEY).document()["verificationMaterial"]["publicKey"]["hint"]
    push_bundle(environment.registry, REPOSITORY, BundleOf(digest, STRANGER, hint=hint))
    assert denied(environment) is Reason.INVALID_SIGNATURE


def test_attack_07_key_ids_in_an_envelope_prove_nothing(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    bundle = BundleOf(digest, STRANGER)
    bundle.signatures = [{**bundle.signature(STRANGER), "keyid": "release"}]
    push_bundle(environment.registry, REPOSITORY, bundle)
    assert denied(environment) is Reason.UNKNOWN_KEY


# 11: what must be signed is compared whole, and only where it is signed -----------------------------------------------


@pytest.mark.parametrize("value", ["prod.evil", "evil-prod", "PROD", "prod ", "", "p.*", None, ["prod"], {"prod": 1}])
@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_attack_11_a_required_annotation_is_compared_whole(
    environment: VerifierEnvironment, layout: str, value: object
) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    if layout == "classic":
        push_classic(environment.registry, REPOSITORY, Classic(digest, KEY, optional={"env": value}))
    else:
        push_bundle(environment.registry, REPOSITORY, BundleOf(digest, KEY, annotations={"env": value}))
    assert denied(environment, policies=requiring(annotations={"env": "prod"})) is Reason.ANNOTATION_MISMATCH


@pytest.mark.parametrize("required", ["p*", "prod|dev", "^prod$", ".*", "", "**"])
def test_attack_11_a_required_annotation_is_no_pattern(environment: VerifierEnvironment, required: str) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY, optional={"env": "prod"}))
    assert denied(environment, policies=requiring(annotations={"env": required})) is Reason.ANNOTATION_MISMATCH


def test_attack_11_unsigned_annotations_do_not_count(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_classic(
        environment.registry, REPOSITORY, Classic(digest, KEY, annotations={"env": "prod"}), annotations={"env": "prod"}
    )
    push_bundle(
        environment.registry, REPOSITORY, BundleOf(digest, KEY, predicate={"env": "prod"}), annotations={"env": "prod"}
    )
    assert denied(environment, policies=requiring(annotations={"env": "prod"})) is Reason.ANNOTATION_MISMATCH


@pytest.mark.parametrize(
    "reference",
    [
        "{host}/{path}.evil",
        "{host}/{path}/evil",
        "{host}/evil/{path}",
        "evil.example.org/{host}/{path}",
        "{host}.evil.example.org/{path}",
        "{path}",
        "{host}/{path}:v1:v2",
        "{host}/{path} ",
        "{host}/*",
        "**",
    ],
)
def test_attack_11_the_signed_repository_is_compared_whole(environment: VerifierEnvironment, reference: str) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    written = reference.format(host=environment.registry.host, path=REPOSITORY)
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY, reference=written))
    assert denied(environment, policies=requiring(matchRepository=True)) is Reason.REPOSITORY_MISMATCH
