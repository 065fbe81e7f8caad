"""Requests of a verification to the registry, and outcomes when the registry does not respond."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import DeadlineError, NotFoundError, RateLimitedError, UnauthorizedError
from sealgate.formats.interface import MAX_SIGNATURE_BYTES, MAX_SIGNATURES
from sealgate.reasons import Reason
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.support.environments.cosign import PATIENCE, REPOSITORY
from tests.support.signers.cosign import BundleOf, Classic, push_bundle, push_classic, push_referrer, signature_tag
from tests.support.signers.private_keys import fingerprint, new_key
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from tests.support.environments.cosign import CosignEnvironment

KEY = new_key("ECDSA P-256", "release")
OTHER = new_key("ECDSA P-256", "other")
STRANGER = new_key("ECDSA P-256", "stranger")
SPDX = "application/spdx+json"
SLSA = "https://slsa.dev/provenance/v1"


def test_a_classic_signature_by_the_only_key_costs_two_requests(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY))
    environment.verify(KEY)
    tag, payload = environment.registry.paths
    assert tag == f"/v2/{REPOSITORY}/manifests/{signature_tag(environment.digest)}"
    assert payload.startswith(f"/v2/{REPOSITORY}/blobs/sha256:")


def test_payload_of_several_signatures_is_fetched_once(environment: CosignEnvironment) -> None:
    push_classic(
        environment.registry, REPOSITORY, *(Classic(environment.digest, key) for key in (KEY, OTHER, STRANGER))
    )
    assert environment.verify(KEY, OTHER).fingerprints == (fingerprint(KEY), fingerprint(OTHER))
    assert len(environment.registry.paths) == 2


def test_referrers_are_fetched_only_while_a_key_is_unverified(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, OTHER))
    assert environment.verify(KEY, OTHER).fingerprints == (fingerprint(KEY), fingerprint(OTHER))
    assert len(environment.registry.paths) == 5


def test_listed_attestation_is_not_fetched(environment: CosignEnvironment) -> None:
    for number in range(3):
        push_bundle(
            environment.registry, REPOSITORY, BundleOf(environment.digest, KEY, predicate_type=f"{SLSA}?{number}")
        )
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY))
    environment.verify(KEY)
    assert len(environment.registry.paths) == 4  # the tag, the list, the bundle's manifest, the bundle


def test_a_layer_that_cannot_count_is_not_fetched(environment: CosignEnvironment) -> None:
    wrong = [
        Classic(environment.digest, KEY, media_type="text/plain"),
        Classic(environment.digest, KEY, annotation="%"),
    ]
    push_classic(environment.registry, REPOSITORY, *wrong)
    environment.refused(Reason.MALFORMED_EVIDENCE, KEY)
    assert not [path for path in environment.registry.paths if "/blobs/" in path]


# What cannot be fetched ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [r"\.sig$", "/blobs/", "/referrers/"])
def test_unfetchable_evidence_without_a_signature_is_unavailable(environment: CosignEnvironment, path: str) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, STRANGER))
    environment.registry.faults.status(path, 503)
    error = environment.unavailable(KEY)
    assert error.reason is Reason.REGISTRY_UNAVAILABLE
    assert not isinstance(error, NotFoundError)


def test_unfetchable_evidence_beside_a_valid_signature_is_reported(environment: CosignEnvironment) -> None:
    good, gone = Classic(environment.digest, KEY), Classic(environment.digest, OTHER, optional={"other": "payload"})
    push_classic(environment.registry, REPOSITORY, gone, good)
    missing = gone.push(environment.registry, "elsewhere")["digest"]
    environment.registry.faults.status(f"/blobs/{missing}", 503)
    environment.registry.faults.status("/referrers/", 500)
    found = environment.verify(KEY, OTHER)
    assert found.fingerprints == (fingerprint(KEY),)
    assert [seen.reason for seen in found.signatures] == [
        Reason.REGISTRY_UNAVAILABLE,
        Reason.VERIFIED,
        Reason.REGISTRY_UNAVAILABLE,
    ]


def test_a_valid_bundle_counts_although_the_tag_cannot_be_fetched(environment: CosignEnvironment) -> None:
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY))
    environment.registry.faults.status(r"\.sig$", 500)
    found = environment.verify(KEY)
    assert [seen.reason for seen in found.signatures] == [Reason.REGISTRY_UNAVAILABLE, Reason.VERIFIED]


def test_listed_but_withheld_evidence_is_unavailable_not_unsigned(environment: CosignEnvironment) -> None:
    layer = Classic(environment.digest, KEY, optional={"env": "prod"}).push(environment.registry, "elsewhere")
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, STRANGER), layers=[layer])
    error = environment.unavailable(KEY)
    assert error.reason is Reason.NOT_FOUND
    assert not isinstance(error, NotFoundError)
    assert f"lists the blob {layer['digest']} and does not have it" in error.message


def test_listed_but_missing_referrer_is_unavailable(environment: CosignEnvironment) -> None:
    digest = push_referrer(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    environment.registry.faults.status(f"/manifests/{digest}", 404)
    assert f"lists the manifest {digest}" in environment.unavailable(KEY).message


@pytest.mark.parametrize("status", [401, 403])
def test_missing_rights_are_unauthorized(environment: CosignEnvironment, status: int) -> None:
    environment.registry.faults.status("/v2/", status)
    assert isinstance(environment.unavailable(KEY), UnauthorizedError)


def test_retry_after_of_the_registry_is_reported(environment: CosignEnvironment) -> None:
    environment.registry.faults.rate_limit("/v2/", "120", times=None)
    error = environment.unavailable(KEY)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after > PATIENCE


def test_passed_deadline_means_unavailable(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    environment.deadline = 0
    assert isinstance(environment.unavailable(KEY), DeadlineError)


def test_other_bytes_than_the_digest_promises_do_not_count(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    environment.registry.faults.body(
        "/blobs/", encode(Classic(environment.digest, KEY, optional={"x": "y"}).document())
    )
    environment.refused(Reason.DIGEST_MISMATCH, KEY)


# Bounds ----------------------------------------------------------------------------------------------------------


def test_signatures_up_to_the_limit_are_checked(environment: CosignEnvironment) -> None:
    strangers = [Classic(environment.digest, STRANGER, signature=b"x")] * (MAX_SIGNATURES - 1)
    push_classic(environment.registry, REPOSITORY, *strangers, Classic(environment.digest, KEY))
    assert len(environment.verify(KEY).signatures) == MAX_SIGNATURES


def test_signatures_beyond_the_limit_are_refused_despite_a_valid_one(environment: CosignEnvironment) -> None:
    strangers = [Classic(environment.digest, STRANGER, signature=b"x")] * MAX_SIGNATURES
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY), *strangers)
    environment.refused(Reason.EVIDENCE_TOO_LARGE, KEY)


def test_limit_covers_all_sources_together(environment: CosignEnvironment) -> None:
    strangers = [Classic(environment.digest, STRANGER, signature=b"x")] * (MAX_SIGNATURES // 2)
    push_classic(environment.registry, REPOSITORY, *strangers)
    push_referrer(environment.registry, REPOSITORY, *strangers, Classic(environment.digest, KEY))
    environment.refused(Reason.EVIDENCE_TOO_LARGE, KEY)


def test_the_signatures_of_an_envelope_count_one_by_one(environment: CosignEnvironment) -> None:
    bundle = BundleOf(environment.digest, KEY)
    bundle.signatures = [bundle.signature(KEY)] + [{"sig": "AAAA"}] * MAX_SIGNATURES
    push_bundle(environment.registry, REPOSITORY, bundle)
    environment.refused(Reason.EVIDENCE_TOO_LARGE, KEY)


def test_too_many_referrers_beside_a_valid_signature_are_reported(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    environment.registry.faults.answer(
        "/referrers/", 200, {"Content-Type": OCI_INDEX}, many_referrers(MAX_SIGNATURES + 1)
    )
    found = environment.verify(KEY, OTHER)
    assert [seen.reason for seen in found.signatures] == [Reason.VERIFIED, Reason.EVIDENCE_TOO_LARGE]
    environment.refused(Reason.EVIDENCE_TOO_LARGE, OTHER)
    environment.registry.faults.clear()
    environment.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, many_referrers(1025))
    environment.refused(Reason.EVIDENCE_TOO_LARGE, OTHER)


def test_many_referrers_of_other_kinds_do_not_hide_a_signature(environment: CosignEnvironment) -> None:
    for number in range(MAX_SIGNATURES + 1):
        push_sbom(environment, b"%d" % number)
    push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY))
    environment.verify(KEY)


@pytest.mark.parametrize("size", [MAX_SIGNATURE_BYTES + 1, 5])
def test_oversized_payload_is_refused_regardless_of_its_descriptor(environment: CosignEnvironment, size: int) -> None:
    layer = Classic(environment.digest, KEY, payload=b" " * (MAX_SIGNATURE_BYTES + 1)).push(
        environment.registry, REPOSITORY
    )
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY), layers=[{**layer, "size": size}])
    environment.refused(Reason.EVIDENCE_TOO_LARGE, KEY)


def test_a_large_payload_is_fetched_for_each_layer_and_not_kept(environment: CosignEnvironment) -> None:
    payload = b" " * (1 << 17) + encode(Classic(environment.digest, KEY).document())
    push_classic(
        environment.registry, REPOSITORY, *(Classic(environment.digest, key, payload=payload) for key in (OTHER, KEY))
    )
    environment.verify(KEY)
    assert len(environment.registry.paths) == 3


def many_referrers(number: int) -> bytes:
    entries = [{"mediaType": OCI_MANIFEST, "digest": f"sha256:{n:064x}", "size": 1} for n in range(number)]
    return encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def push_sbom(environment: CosignEnvironment, content: bytes) -> None:
    layers: tuple[tuple[bytes, str, dict[str, str]], ...] = ((content, SPDX, {}),)
    environment.registry.push_artifact(REPOSITORY, None, layers, subject=environment.digest, artifact_type=SPDX)
