"""Classic signatures: one per layer of the manifest behind the `.sig` tag."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.reasons import Reason
from sealgate.registry.interface import DOCKER_MANIFEST, OCI_INDEX
from tests.support.environments.cosign import REPOSITORY
from tests.support.signers.cosign import SIGNATURE_ANNOTATION, Classic, push_classic, signature_tag
from tests.support.signers.private_keys import fingerprint, new_key, public_pem, sign
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from tests.support.environments.cosign import CosignEnvironment

KEY = new_key("ECDSA P-256", "release")
OTHER = new_key("ECDSA P-256", "other")
STRANGER = new_key("ECDSA P-256", "stranger")
KINDS = ["ECDSA P-256", "ECDSA P-384", "ECDSA P-521", "RSA 2048", "Ed25519"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_by_the_key_verifies(environment: CosignEnvironment, kind: str) -> None:
    key = new_key(kind)
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, key))
    found = environment.verify(key)
    assert found.fingerprints == (fingerprint(key),)
    (seen,) = found.signatures
    assert (seen.reason, seen.fingerprint) == (Reason.VERIFIED, fingerprint(key))
    assert seen.source == f"tag {signature_tag(environment.digest)}, layer 1"
    assert kind in seen.message


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("ECDSA P-384", "ECDSA_SHA_256"), ("RSA 2048", "RSA_PSS_SHA_384"), ("RSA 2048", "RSA_PKCS1_SHA_512")],
)
def test_the_authenticator_fixes_the_algorithm(environment: CosignEnvironment, kind: str, algorithm: str) -> None:
    key = new_key(kind)
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, key, algorithm))
    environment.verify({"pem": public_pem(key), "algorithm": algorithm})
    environment.refused(Reason.INVALID_SIGNATURE, key)


def test_an_unsigned_image_is_refused_as_unsigned(environment: CosignEnvironment) -> None:
    error = environment.refused(Reason.NO_SIGNATURE, KEY)
    assert f"{environment.repository} holds no cosign signature of {environment.digest}" in error.message
    assert error.signatures == ()


def test_a_strangers_signature_is_refused_and_seen(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, STRANGER))
    error = environment.refused(Reason.INVALID_SIGNATURE, KEY, OTHER)
    (seen,) = error.signatures
    assert (seen.reason, seen.fingerprint) == (Reason.INVALID_SIGNATURE, None)
    assert error.message == f"{seen.source}: {seen.message}"
    assert "none of the authenticator's keys made it" in seen.message


def test_an_ed25519_refusal_hints_at_the_algorithm_of_cosign_3(environment: CosignEnvironment) -> None:
    key = new_key("Ed25519")
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, key, signature=b"\1" * 64))
    assert "cosign 3 signs with ED25519_PH" in environment.refused(Reason.INVALID_SIGNATURE, key).message


def test_one_valid_layer_suffices_and_the_others_are_reported(environment: CosignEnvironment) -> None:
    push_classic(
        environment.registry,
        REPOSITORY,
        Classic(environment.digest, STRANGER),
        Classic("sha256:" + "0" * 64, KEY),
        Classic(environment.digest, KEY),
        Classic(environment.digest, KEY, annotation="%"),
    )
    found = environment.verify(KEY)
    assert found.fingerprints == (fingerprint(KEY),)
    assert [seen.reason for seen in found.signatures] == [
        Reason.INVALID_SIGNATURE,
        Reason.DIGEST_MISMATCH,
        Reason.VERIFIED,
        Reason.MALFORMED_EVIDENCE,
    ]
    # The payload for another digest is signed by an accepted key.
    assert [seen.fingerprint for seen in found.signatures] == [None, fingerprint(KEY), fingerprint(KEY), None]


def test_most_informative_refusal_is_the_reason(environment: CosignEnvironment) -> None:
    push_classic(
        environment.registry,
        REPOSITORY,
        Classic(environment.digest, KEY, annotation="%"),
        Classic(environment.digest, STRANGER),
        Classic("sha256:" + "0" * 64, KEY),
    )
    error = environment.refused(Reason.DIGEST_MISMATCH, KEY)
    assert error.message.endswith("it belongs to another image (and 2 more that do not count)")
    assert len(error.signatures) == 3


def test_every_distinct_key_that_verified_is_named(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, *(Classic(environment.digest, key) for key in (OTHER, KEY, OTHER)))
    assert environment.verify(KEY, OTHER).fingerprints == (fingerprint(OTHER), fingerprint(KEY))


@pytest.mark.parametrize("suffix", [".sig", ""])
def test_tag_that_resolves_to_the_image_is_not_a_signature(environment: CosignEnvironment, suffix: str) -> None:
    environment.registry.referrers_api = False
    environment.registry.tag(REPOSITORY, environment.digest.replace(":", "-") + suffix, environment.digest)
    environment.refused(Reason.NO_SIGNATURE, KEY)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"digest": "sha256:" + "0" * 64}, Reason.DIGEST_MISMATCH),
        ({"digest": ""}, Reason.DIGEST_MISMATCH),
        ({"type": "atomic container signature"}, Reason.TYPE_MISMATCH),
        ({"type": ""}, Reason.TYPE_MISMATCH),
        ({"payload": b""}, Reason.MALFORMED_EVIDENCE),
        ({"payload": b"[]"}, Reason.MALFORMED_EVIDENCE),
        ({"payload": b"\xff"}, Reason.MALFORMED_EVIDENCE),
        ({"signature": b""}, Reason.INVALID_SIGNATURE),
        ({"signature": b"\0" * 70}, Reason.INVALID_SIGNATURE),
        ({"annotation": ""}, Reason.INVALID_SIGNATURE),
        ({"annotation": "AA=\n="}, Reason.MALFORMED_EVIDENCE),
        ({"annotations": {SIGNATURE_ANNOTATION: None}}, Reason.MALFORMED_EVIDENCE),
        ({"annotations": {SIGNATURE_ANNOTATION: 5}}, Reason.MALFORMED_EVIDENCE),
        ({"media_type": "application/vnd.dsse.envelope.v1+json"}, Reason.TYPE_MISMATCH),
        ({"media_type": "application/vnd.oci.image.layer.v1.tar"}, Reason.TYPE_MISMATCH),
    ],
)
def test_a_layer_that_is_wrong_in_one_way_does_not_count(
    environment: CosignEnvironment, wrong: dict[str, Any], reason: Reason
) -> None:
    tag = signature_tag(environment.digest)
    push_classic(
        environment.registry, REPOSITORY, Classic(**{"digest": environment.digest, "key": KEY, **wrong}), tag=tag
    )
    environment.refused(reason, KEY)


def test_ambiguous_payload_does_not_count(environment: CosignEnvironment) -> None:
    right = encode(Classic(environment.digest, KEY).document())
    image = json.dumps({"docker-manifest-digest": environment.digest}).encode()
    ambiguous = [
        right.replace(b'"optional":null', b'"optional":null,"optional":null'),
        right.replace(b'"image":', b'"image":' + image + b',"image":'),
        right.replace(b'"optional":null', b'"optional":{"a":NaN}'),
        right + b"{}",
        right.replace(b'"type":', b'"unknown":1,"type":'),
    ]
    for payload in ambiguous:
        assert payload != right
        push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY, payload=payload))
        environment.refused(Reason.MALFORMED_EVIDENCE, KEY)


def test_white_space_around_a_payload_is_accepted(environment: CosignEnvironment) -> None:
    payload = b" \n" + encode(Classic(environment.digest, KEY).document()) + b"\n"
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY, payload=payload))
    environment.verify(KEY)


def test_docker_media_types_are_read(environment: CosignEnvironment) -> None:
    layer = Classic(environment.digest, KEY).push(environment.registry, REPOSITORY)
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json"},
        "layers": [layer],
    }
    environment.registry.push_manifest(REPOSITORY, signature_tag(environment.digest), encode(manifest), DOCKER_MANIFEST)
    environment.verify(KEY)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"mediaType": OCI_INDEX}, Reason.MALFORMED_EVIDENCE),
        ({"manifests": []}, Reason.MALFORMED_EVIDENCE),
        ({"layers": None}, Reason.MALFORMED_EVIDENCE),
        ({"layers": []}, Reason.NO_SIGNATURE),
        ({"schemaVersion": 1}, Reason.MALFORMED_EVIDENCE),
    ],
)
def test_a_malformed_manifest_holds_no_signature(
    environment: CosignEnvironment, members: dict[str, Any], reason: Reason
) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY), **members)
    environment.refused(reason, KEY)


def test_an_index_under_the_tag_holds_no_signature(environment: CosignEnvironment) -> None:
    digest = push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY), tag="elsewhere")
    environment.registry.push_index(REPOSITORY, signature_tag(environment.digest), (digest,))
    environment.refused(Reason.TYPE_MISMATCH, KEY)


# Requirements on the payload beside the digest -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optional", "verifies"),
    [
        ({"env": "prod", "team": "pay"}, True),
        ({"env": "prod", "team": "pay", "more": [1]}, True),
        ({"env": "prod"}, False),
        ({"env": "dev", "team": "pay"}, False),
        ({"env": "production", "team": "pay"}, False),
        ({"env": ["prod"], "team": "pay"}, False),
        ({"env": {"prod": "prod"}, "team": "pay"}, False),
        ({"Env": "prod", "team": "pay"}, False),
        (None, False),
    ],
)
def test_required_annotations_must_be_signed_with_equal_values(
    environment: CosignEnvironment,
    optional: dict[str, Any] | None,
    verifies: bool,  # noqa: FBT001 - a table of cases
) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY, optional=optional))
    if verifies:
        environment.verify(KEY, annotations={"env": "prod", "team": "pay"})
    else:
        error = environment.refused(Reason.ANNOTATION_MISMATCH, KEY, annotations={"env": "prod", "team": "pay"})
        assert error.signatures[0].fingerprint == fingerprint(KEY)


@pytest.mark.parametrize("value", [1, 1.0, True, None, [], "1 "])
def test_an_annotation_is_compared_as_text_and_only_with_text(environment: CosignEnvironment, value: object) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY, optional={"build": value}))
    environment.refused(Reason.ANNOTATION_MISMATCH, KEY, annotations={"build": "1"})


def test_annotations_of_the_layer_are_not_signed_and_do_not_count(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY, annotations={"env": "prod"}))
    environment.refused(Reason.ANNOTATION_MISMATCH, KEY, annotations={"env": "prod"})


@pytest.mark.parametrize(
    ("reference", "matches"),
    [
        ("{repository}", True),
        ("{repository}:v1", True),
        ("{repository}@{digest}", True),
        ("{host}/team/api", False),
        ("{host}/team/app/app", False),
        ("registry.example.org/team/app", False),
        ("team/app", False),
        ("", False),
        ("{repository} ", False),
        ("not a reference", False),
    ],
)
def test_repository_must_match_if_required(
    environment: CosignEnvironment,
    reference: str,
    matches: bool,  # noqa: FBT001 - a table of cases
) -> None:
    written = reference.format(
        repository=environment.repository, host=environment.registry.host, digest=environment.digest
    )
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY, reference=written))
    environment.verify(KEY)
    if matches:
        environment.verify(KEY, matchRepository=True)
    else:
        environment.refused(Reason.REPOSITORY_MISMATCH, KEY, matchRepository=True)


def test_signature_repository_replaces_the_image_repository(environment: CosignEnvironment) -> None:
    push_classic(
        environment.registry, "signatures/of-all", Classic(environment.digest, KEY, reference=environment.repository)
    )
    environment.refused(Reason.NO_SIGNATURE, KEY)
    repository = f"{environment.registry.host}/signatures/of-all"
    environment.verify(KEY, signatureRepository=repository, matchRepository=True)
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, OTHER))
    environment.refused(Reason.INVALID_SIGNATURE, OTHER, signatureRepository=repository)


def test_the_signature_of_an_index_is_not_one_of_its_platforms(environment: CosignEnvironment) -> None:
    index = environment.registry.push_index(REPOSITORY, "multi", (environment.digest,))
    push_classic(environment.registry, REPOSITORY, Classic(index, KEY))
    environment.verify(KEY, image=environment.image(index))
    environment.refused(Reason.NO_SIGNATURE, KEY)


def test_a_signature_is_over_the_exact_bytes_of_the_payload(environment: CosignEnvironment) -> None:
    payload = encode(Classic(environment.digest, KEY).document())
    signature = base64.b64encode(sign(KEY, payload)).decode()
    push_classic(
        environment.registry, REPOSITORY, Classic(environment.digest, KEY, payload=payload + b" ", annotation=signature)
    )
    environment.refused(Reason.INVALID_SIGNATURE, KEY)
