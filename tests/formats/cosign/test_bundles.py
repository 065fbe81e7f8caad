"""Key-based bundles, as cosign 3 writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.reasons import Reason
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.support.environments.cosign import REPOSITORY
from tests.support.signers.cosign import BUNDLE_TYPE, SIGN_PREDICATE, BundleOf, push_bundle
from tests.support.signers.private_keys import fingerprint, new_key, public_pem
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from tests.support.environments.cosign import CosignEnvironment

KEY = new_key("ECDSA P-256", "release")
OTHER = new_key("ECDSA P-256", "other")
STRANGER = new_key("ECDSA P-256", "stranger")
ANOTHER_DIGEST = "0" * 64
SLSA = "https://slsa.dev/provenance/v1"


@pytest.mark.parametrize("kind", ["ECDSA P-256", "ECDSA P-384", "ECDSA P-521", "RSA 2048", "Ed25519"])
def test_a_bundle_by_the_key_verifies(either_environment: CosignEnvironment, kind: str) -> None:
    key = new_key(kind)
    digest = push_bundle(either_environment.registry, REPOSITORY, BundleOf(either_environment.digest, key))
    found = either_environment.verify(key)
    assert found.fingerprints == (fingerprint(key),)
    assert [(seen.source, seen.reason) for seen in found.signatures] == [(f"referrer {digest}", Reason.VERIFIED)]


def test_the_authenticator_fixes_the_algorithm(environment: CosignEnvironment) -> None:
    key = new_key("RSA 2048")
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, key, "RSA_PSS_SHA_256"))
    environment.verify({"pem": public_pem(key), "algorithm": "RSA_PSS_SHA_256"})
    environment.refused(Reason.INVALID_SIGNATURE, key)


def test_a_strangers_bundle_is_refused_with_the_key_it_names(environment: CosignEnvironment) -> None:
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, STRANGER))
    error = environment.refused(Reason.UNKNOWN_KEY, KEY)
    assert "which this authenticator does not accept" in error.message


def test_a_hint_adds_no_trust_and_takes_none_away(environment: CosignEnvironment) -> None:
    digest = push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, STRANGER, hint=hint_of(KEY)))
    environment.refused(Reason.INVALID_SIGNATURE, KEY)
    environment.registry.delete(REPOSITORY, digest)
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY, hint=hint_of(STRANGER)))
    environment.verify(KEY)


@pytest.mark.parametrize("material", [{}, {"publicKey": {}}, {"publicKey": {"hint": ""}}, {"tlogEntries": [{}]}])
def test_a_bundle_needs_no_hint(environment: CosignEnvironment, material: dict[str, Any]) -> None:
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY, material=material))
    environment.verify(KEY)
    assert "made it" in environment.refused(Reason.INVALID_SIGNATURE, OTHER).message


def test_a_certificate_in_a_bundle_adds_no_trust(environment: CosignEnvironment) -> None:
    material = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": []}
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, STRANGER, material=material))
    error = environment.refused(Reason.UNKNOWN_KEY, KEY)
    assert "made with a certificate (keyless)" in error.message


@pytest.mark.parametrize("kind", ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"])
def test_both_versions_of_the_statement_are_read(environment: CosignEnvironment, kind: str) -> None:
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY, statement_type=kind))
    environment.verify(KEY)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"digest": f"sha256:{ANOTHER_DIGEST}"}, Reason.DIGEST_MISMATCH),
        ({"subjects": []}, Reason.DIGEST_MISMATCH),
        ({"subjects": [{"digest": {"sha512": "{hex}"}}]}, Reason.DIGEST_MISMATCH),
        ({"subjects": [{"digest": {"sha256": "sha256:{hex}"}}]}, Reason.DIGEST_MISMATCH),
        ({"subjects": [{"digest": {"sha256": None}}]}, Reason.DIGEST_MISMATCH),
        ({"subjects": [{"digest": "{hex}"}]}, Reason.MALFORMED_EVIDENCE),
        ({"subjects": ["{hex}"]}, Reason.MALFORMED_EVIDENCE),
        ({"subjects": [{"name": "{hex}"}]}, Reason.MALFORMED_EVIDENCE),
        ({"predicate_type": SLSA}, Reason.TYPE_MISMATCH),
        ({"predicate_type": "https://sigstore.dev/cosign/sign/v2"}, Reason.TYPE_MISMATCH),
        ({"predicate_type": None}, Reason.MALFORMED_EVIDENCE),
        ({"statement_type": "https://in-toto.io/Statement/v2"}, Reason.TYPE_MISMATCH),
        ({"payload_type": "application/json"}, Reason.TYPE_MISMATCH),
        ({"payload_type": ""}, Reason.TYPE_MISMATCH),
        ({"shown_type": "application/json"}, Reason.INVALID_SIGNATURE),
        ({"payload": b""}, Reason.MALFORMED_EVIDENCE),
        ({"payload": b"[]"}, Reason.MALFORMED_EVIDENCE),
        ({"signatures": []}, Reason.MALFORMED_EVIDENCE),
        ({"signatures": [{"sig": "AAAA"}]}, Reason.INVALID_SIGNATURE),
        ({"signatures": [{"sig": "AAA"}]}, Reason.MALFORMED_EVIDENCE),
        ({"signatures": [{"keyid": "x"}]}, Reason.MALFORMED_EVIDENCE),
        ({"material": {"publicKey": {"hint": 5}}}, Reason.MALFORMED_EVIDENCE),
        ({"material": {"publicKey": None}}, Reason.MALFORMED_EVIDENCE),
        ({"members": {"verificationMaterial": None}}, Reason.MALFORMED_EVIDENCE),
        ({"members": {"dsseEnvelope": None}}, Reason.MALFORMED_EVIDENCE),
        ({"members": {"mediaType": None}}, Reason.MALFORMED_EVIDENCE),
        ({"members": {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.4"}}, Reason.TYPE_MISMATCH),
        ({"members": {"messageSignature": {"signature": "AAAA"}}}, Reason.TYPE_MISMATCH),
    ],
)
def test_a_bundle_that_is_wrong_in_one_way_does_not_count(
    environment: CosignEnvironment, wrong: dict[str, Any], reason: Reason
) -> None:
    text = json.dumps(wrong.get("subjects"))
    if "{hex}" in text:
        wrong = {"subjects": json.loads(text.replace("{hex}", environment.digest.removeprefix("sha256:")))}
    bundle = BundleOf(**{"digest": environment.digest, "key": KEY, **wrong})
    push_bundle(environment.registry, REPOSITORY, bundle, subject=environment.digest, annotations={})
    environment.refused(reason, KEY)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"{}", b'{"mediaType":1}'])
def test_document_that_is_not_a_bundle_does_not_count(environment: CosignEnvironment, data: bytes) -> None:
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY), data=data)
    environment.refused(Reason.MALFORMED_EVIDENCE, KEY)


@pytest.mark.parametrize("layers", [0, 2])
def test_a_bundle_has_exactly_one_layer(environment: CosignEnvironment, layers: int) -> None:
    layer = environment.registry.descriptor(
        REPOSITORY, encode(BundleOf(environment.digest, KEY).document()), BUNDLE_TYPE
    )
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY), layers=[layer] * layers)
    environment.refused(Reason.MALFORMED_EVIDENCE, KEY)


def test_bundle_layer_with_another_media_type_is_refused(environment: CosignEnvironment) -> None:
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY), layer_type="application/json")
    environment.refused(Reason.MALFORMED_EVIDENCE, KEY)


def test_one_valid_envelope_signature_suffices_and_each_is_reported(environment: CosignEnvironment) -> None:
    bundle = BundleOf(environment.digest, KEY)
    bundle.signatures = [bundle.signature(key) for key in (STRANGER, KEY, OTHER)]
    digest = push_bundle(environment.registry, REPOSITORY, bundle)
    found = environment.verify(KEY, OTHER)
    assert found.fingerprints == (fingerprint(KEY), fingerprint(OTHER))
    assert [seen.source for seen in found.signatures] == [f"referrer {digest}, signature {n}" for n in (1, 2, 3)]
    assert [seen.reason for seen in found.signatures] == [Reason.INVALID_SIGNATURE, Reason.VERIFIED, Reason.VERIFIED]


# Requirements on the statement beside the digest -----------------------------------------------------------------


def test_attestations_by_the_key_are_no_signatures(either_environment: CosignEnvironment) -> None:
    push_bundle(either_environment.registry, REPOSITORY, BundleOf(either_environment.digest, KEY, predicate_type=SLSA))
    either_environment.refused(Reason.NO_SIGNATURE, KEY)
    push_bundle(either_environment.registry, REPOSITORY, BundleOf(either_environment.digest, KEY))
    either_environment.verify(KEY)


@pytest.mark.parametrize("annotations", [None, {}, {"dev.sigstore.bundle.predicateType": SIGN_PREDICATE}])
def test_attestations_without_outer_type_are_not_signatures(
    environment: CosignEnvironment, annotations: dict[str, str] | None
) -> None:
    attestation = BundleOf(environment.digest, KEY, predicate_type=SLSA)
    digest = push_bundle(environment.registry, REPOSITORY, attestation, annotations=annotations)
    # As docker-registry's clients list it: without annotations.
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 10, "artifactType": BUNDLE_TYPE}
    index = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})
    environment.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, index)
    environment.refused(Reason.TYPE_MISMATCH, KEY)


@pytest.mark.parametrize(
    ("annotations", "verifies"),
    [
        ({"env": "prod", "team": "pay"}, True),
        ({"env": "prod", "team": "pay", "more": 1}, True),
        ({"env": "prod"}, False),
        ({"env": "prod", "team": "payments"}, False),
        ({"env": "prod", "team": ["pay"]}, False),
        ({}, False),
        (None, False),
    ],
)
def test_required_annotations_must_be_those_of_the_subject(
    environment: CosignEnvironment,
    annotations: dict[str, Any] | None,
    verifies: bool,  # noqa: FBT001 - a table of cases
) -> None:
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY, annotations=annotations))
    environment.verify(KEY)
    if verifies:
        environment.verify(KEY, annotations={"env": "prod", "team": "pay"})
    else:
        environment.refused(Reason.ANNOTATION_MISMATCH, KEY, annotations={"env": "prod", "team": "pay"})


def test_only_annotations_of_the_subject_count(environment: CosignEnvironment) -> None:
    own = {"digest": {"sha256": environment.digest.removeprefix("sha256:")}}
    other = {"digest": {"sha256": ANOTHER_DIGEST}, "annotations": {"env": "prod"}}
    bundle = BundleOf(environment.digest, KEY, subjects=[other, own], predicate={"env": "prod"})
    push_bundle(environment.registry, REPOSITORY, bundle)
    environment.verify(KEY)
    environment.refused(Reason.ANNOTATION_MISMATCH, KEY, annotations={"env": "prod"})


def test_null_annotations_are_none_and_a_list_is_malformed(environment: CosignEnvironment) -> None:
    subject = {"digest": {"sha256": environment.digest.removeprefix("sha256:")}, "annotations": None}
    digest = push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY, subjects=[subject]))
    environment.verify(KEY)
    environment.registry.delete(REPOSITORY, digest)
    push_bundle(
        environment.registry, REPOSITORY, BundleOf(environment.digest, KEY, subjects=[{**subject, "annotations": []}])
    )
    environment.refused(Reason.MALFORMED_EVIDENCE, KEY)


def test_repository_is_the_subject_name_if_required(environment: CosignEnvironment) -> None:
    own = {"digest": {"sha256": environment.digest.removeprefix("sha256:")}}
    digest = push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY, subjects=[own]))
    error = environment.refused(Reason.REPOSITORY_MISMATCH, KEY, matchRepository=True)
    assert "it names no repository" in error.message
    environment.registry.delete(REPOSITORY, digest)
    push_bundle(
        environment.registry,
        REPOSITORY,
        BundleOf(environment.digest, KEY, subjects=[{**own, "name": environment.repository}]),
    )
    environment.verify(KEY, matchRepository=True)


def hint_of(key: Any) -> str:
    hint = BundleOf("sha256:", key).document()["verificationMaterial"]["publicKey"]["hint"]
    assert isinstance(hint, str)
    return hint
