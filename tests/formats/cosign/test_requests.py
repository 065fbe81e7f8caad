"""What a verification asks of the registry, and what comes of it when the registry does not answer."""

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
    from tests.support.environments.cosign import Stand

KEY = new_key("ECDSA P-256", "release")
OTHER = new_key("ECDSA P-256", "other")
STRANGER = new_key("ECDSA P-256", "stranger")
SPDX = "application/spdx+json"
SLSA = "https://slsa.dev/provenance/v1"


def test_a_classic_signature_by_the_only_key_costs_two_requests(stand: Stand) -> None:
    push_classic(stand.registry, REPOSITORY, Classic(stand.digest, KEY))
    push_bundle(stand.registry, REPOSITORY, BundleOf(stand.digest, KEY))
    stand.verify(KEY)
    tag, payload = stand.registry.paths
    assert tag == f"/v2/{REPOSITORY}/manifests/{signature_tag(stand.digest)}"
    assert payload.startswith(f"/v2/{REPOSITORY}/blobs/sha256:")


def test_a_payload_that_several_keys_signed_is_fetched_once(stand: Stand) -> None:
    push_classic(stand.registry, REPOSITORY, *(Classic(stand.digest, key) for key in (KEY, OTHER, STRANGER)))
    assert stand.verify(KEY, OTHER).fingerprints == (fingerprint(KEY), fingerprint(OTHER))
    assert len(stand.registry.paths) == 2


def test_referrers_are_asked_for_only_while_a_key_has_not_verified(stand: Stand) -> None:
    push_classic(stand.registry, REPOSITORY, Classic(stand.digest, KEY))
    push_bundle(stand.registry, REPOSITORY, BundleOf(stand.digest, OTHER))
    assert stand.verify(KEY, OTHER).fingerprints == (fingerprint(KEY), fingerprint(OTHER))
    assert len(stand.registry.paths) == 5


def test_an_attestation_that_the_list_tells_from_a_signature_is_not_fetched(stand: Stand) -> None:
    for number in range(3):
        push_bundle(stand.registry, REPOSITORY, BundleOf(stand.digest, KEY, predicate_type=f"{SLSA}?{number}"))
    push_bundle(stand.registry, REPOSITORY, BundleOf(stand.digest, KEY))
    stand.verify(KEY)
    assert len(stand.registry.paths) == 4  # the tag, the list, the bundle's manifest, the bundle


def test_a_layer_that_cannot_count_is_not_fetched(stand: Stand) -> None:
    wrong = [Classic(stand.digest, KEY, media_type="text/plain"), Classic(stand.digest, KEY, annotation="%")]
    push_classic(stand.registry, REPOSITORY, *wrong)
    stand.refused(Reason.MALFORMED_EVIDENCE, KEY)
    assert not [path for path in stand.registry.paths if "/blobs/" in path]


# What cannot be fetched ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [r"\.sig$", "/blobs/", "/referrers/"])
def test_without_a_valid_signature_what_cannot_be_fetched_means_unavailable(stand: Stand, path: str) -> None:
    push_classic(stand.registry, REPOSITORY, Classic(stand.digest, STRANGER))
    stand.registry.faults.status(path, 503)
    error = stand.unavailable(KEY)
    assert error.reason is Reason.REGISTRY_UNAVAILABLE
    assert not isinstance(error, NotFoundError)


def test_beside_a_valid_signature_what_cannot_be_fetched_is_only_told(stand: Stand) -> None:
    good, gone = Classic(stand.digest, KEY), Classic(stand.digest, OTHER, optional={"other": "payload"})
    push_classic(stand.registry, REPOSITORY, gone, good)
    missing = gone.push(stand.registry, "elsewhere")["digest"]
    stand.registry.faults.status(f"/blobs/{missing}", 503)
    stand.registry.faults.status("/referrers/", 500)
    found = stand.verify(KEY, OTHER)
    assert found.fingerprints == (fingerprint(KEY),)
    assert [seen.reason for seen in found.signatures] == [
        Reason.REGISTRY_UNAVAILABLE,
        Reason.VERIFIED,
        Reason.REGISTRY_UNAVAILABLE,
    ]


def test_a_valid_bundle_counts_although_the_tag_cannot_be_fetched(stand: Stand) -> None:
    push_bundle(stand.registry, REPOSITORY, BundleOf(stand.digest, KEY))
    stand.registry.faults.status(r"\.sig$", 500)
    found = stand.verify(KEY)
    assert [seen.reason for seen in found.signatures] == [Reason.REGISTRY_UNAVAILABLE, Reason.VERIFIED]


def test_what_is_listed_and_then_withheld_means_unavailable_and_not_unsigned(stand: Stand) -> None:
    layer = Classic(stand.digest, KEY, optional={"env": "prod"}).push(stand.registry, "elsewhere")
    push_classic(stand.registry, REPOSITORY, Classic(stand.digest, STRANGER), layers=[layer])
    error = stand.unavailable(KEY)
    assert error.reason is Reason.NOT_FOUND
    assert not isinstance(error, NotFoundError)
    assert f"lists the blob {layer['digest']} and does not have it" in error.message


def test_a_referrer_that_is_listed_and_gone_means_unavailable(stand: Stand) -> None:
    digest = push_referrer(stand.registry, REPOSITORY, Classic(stand.digest, KEY))
    stand.registry.faults.status(f"/manifests/{digest}", 404)
    assert f"lists the manifest {digest}" in stand.unavailable(KEY).message


@pytest.mark.parametrize("status", [401, 403])
def test_missing_rights_stay_what_they_are(stand: Stand, status: int) -> None:
    stand.registry.faults.status("/v2/", status)
    assert isinstance(stand.unavailable(KEY), UnauthorizedError)


def test_a_registry_that_asks_to_come_back_later_is_quoted(stand: Stand) -> None:
    stand.registry.faults.rate_limit("/v2/", "120", times=None)
    error = stand.unavailable(KEY)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after > PATIENCE


def test_a_deadline_that_has_passed_means_unavailable(stand: Stand) -> None:
    push_classic(stand.registry, REPOSITORY, Classic(stand.digest, KEY))
    stand.deadline = 0
    assert isinstance(stand.unavailable(KEY), DeadlineError)


def test_other_bytes_than_the_digest_promises_do_not_count(stand: Stand) -> None:
    push_classic(stand.registry, REPOSITORY, Classic(stand.digest, KEY))
    stand.registry.faults.body("/blobs/", encode(Classic(stand.digest, KEY, optional={"x": "y"}).document()))
    stand.refused(Reason.DIGEST_MISMATCH, KEY)


# Bounds ----------------------------------------------------------------------------------------------------------


def test_as_many_signatures_as_may_be_are_looked_at(stand: Stand) -> None:
    strangers = [Classic(stand.digest, STRANGER, signature=b"x")] * (MAX_SIGNATURES - 1)
    push_classic(stand.registry, REPOSITORY, *strangers, Classic(stand.digest, KEY))
    assert len(stand.verify(KEY).signatures) == MAX_SIGNATURES


def test_one_signature_more_is_refused_although_a_valid_one_is_among_them(stand: Stand) -> None:
    strangers = [Classic(stand.digest, STRANGER, signature=b"x")] * MAX_SIGNATURES
    push_classic(stand.registry, REPOSITORY, Classic(stand.digest, KEY), *strangers)
    stand.refused(Reason.EVIDENCE_TOO_LARGE, KEY)


def test_the_bound_is_over_all_places_together(stand: Stand) -> None:
    strangers = [Classic(stand.digest, STRANGER, signature=b"x")] * (MAX_SIGNATURES // 2)
    push_classic(stand.registry, REPOSITORY, *strangers)
    push_referrer(stand.registry, REPOSITORY, *strangers, Classic(stand.digest, KEY))
    stand.refused(Reason.EVIDENCE_TOO_LARGE, KEY)


def test_the_signatures_of_an_envelope_count_one_by_one(stand: Stand) -> None:
    bundle = BundleOf(stand.digest, KEY)
    bundle.signatures = [bundle.signature(KEY)] + [{"sig": "AAAA"}] * MAX_SIGNATURES
    push_bundle(stand.registry, REPOSITORY, bundle)
    stand.refused(Reason.EVIDENCE_TOO_LARGE, KEY)


def test_too_many_referrers_are_only_told_once_a_valid_signature_is_in_hand(stand: Stand) -> None:
    push_classic(stand.registry, REPOSITORY, Classic(stand.digest, KEY))
    stand.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, many_referrers(MAX_SIGNATURES + 1))
    found = stand.verify(KEY, OTHER)
    assert [seen.reason for seen in found.signatures] == [Reason.VERIFIED, Reason.EVIDENCE_TOO_LARGE]
    stand.refused(Reason.EVIDENCE_TOO_LARGE, OTHER)
    stand.registry.faults.clear()
    stand.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, many_referrers(1025))
    stand.refused(Reason.EVIDENCE_TOO_LARGE, OTHER)


def test_many_referrers_of_other_kinds_do_not_hide_a_signature(stand: Stand) -> None:
    for number in range(MAX_SIGNATURES + 1):
        push_sbom(stand, b"%d" % number)
    push_bundle(stand.registry, REPOSITORY, BundleOf(stand.digest, KEY))
    stand.verify(KEY)


@pytest.mark.parametrize("size", [MAX_SIGNATURE_BYTES + 1, 5])
def test_a_payload_that_is_too_large_is_refused_whatever_its_descriptor_says(stand: Stand, size: int) -> None:
    layer = Classic(stand.digest, KEY, payload=b" " * (MAX_SIGNATURE_BYTES + 1)).push(stand.registry, REPOSITORY)
    push_classic(stand.registry, REPOSITORY, Classic(stand.digest, KEY), layers=[{**layer, "size": size}])
    stand.refused(Reason.EVIDENCE_TOO_LARGE, KEY)


def test_a_large_payload_is_fetched_for_each_layer_and_not_kept(stand: Stand) -> None:
    payload = b" " * (1 << 17) + encode(Classic(stand.digest, KEY).document())
    push_classic(stand.registry, REPOSITORY, *(Classic(stand.digest, key, payload=payload) for key in (OTHER, KEY)))
    stand.verify(KEY)
    assert len(stand.registry.paths) == 3


def many_referrers(number: int) -> bytes:
    entries = [{"mediaType": OCI_MANIFEST, "digest": f"sha256:{n:064x}", "size": 1} for n in range(number)]
    return encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def push_sbom(stand: Stand, content: bytes) -> None:
    layers: tuple[tuple[bytes, str, dict[str, str]], ...] = ((content, SPDX, {}),)
    stand.registry.push_artifact(REPOSITORY, None, layers, subject=stand.digest, artifact_type=SPDX)
