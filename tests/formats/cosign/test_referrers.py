"""OCI 1.1: classic layers in a manifest that refers to the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.reasons import Reason
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.support.environments.cosign import REPOSITORY
from tests.support.signers.cosign import (
    BUNDLE_TYPE,
    CLASSIC_REFERRER_TYPE,
    BundleOf,
    Classic,
    push_bundle,
    push_classic,
    push_referrer,
)
from tests.support.signers.private_keys import fingerprint, new_key
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from tests.support.environments.cosign import Stand

KEY = new_key("ECDSA P-256", "release")
OTHER = new_key("ECDSA P-256", "other")
STRANGER = new_key("ECDSA P-256", "stranger")
EMPTY = "application/vnd.oci.empty.v1+json"


def list_referrers(stand: Stand, *descriptors: dict[str, Any]) -> None:
    """Make the registry list these as the image's referrers, whatever they are."""
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(descriptors)}
    stand.registry.faults.clear()
    stand.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, encode(index))


def descriptor(digest: str, **members: Any) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": 10, **members}


def test_a_signature_in_a_referrer_verifies(either_stand: Stand) -> None:
    digest = push_referrer(either_stand.registry, REPOSITORY, Classic(either_stand.digest, KEY))
    found = either_stand.verify(KEY)
    assert found.fingerprints == (fingerprint(KEY),)
    assert [seen.source for seen in found.signatures] == [f"referrer {digest}, layer 1"]


def test_signatures_of_all_three_layouts_count_together(either_stand: Stand) -> None:
    keys = [new_key("ECDSA P-256", name) for name in ("one", "two", "three")]
    push_classic(either_stand.registry, REPOSITORY, Classic(either_stand.digest, keys[0]))
    push_referrer(either_stand.registry, REPOSITORY, Classic(either_stand.digest, keys[1]))
    push_bundle(either_stand.registry, REPOSITORY, BundleOf(either_stand.digest, keys[2]))
    assert either_stand.verify(*keys).fingerprints == tuple(map(fingerprint, keys))


def test_the_payload_of_a_referrer_must_say_what_that_of_a_tag_must(stand: Stand) -> None:
    push_referrer(stand.registry, REPOSITORY, Classic(stand.digest, KEY, optional={"env": "dev"}))
    stand.refused(Reason.ANNOTATION_MISMATCH, KEY, annotations={"env": "prod"})
    stand.refused(Reason.REPOSITORY_MISMATCH, KEY, matchRepository=True)
    stand.refused(Reason.INVALID_SIGNATURE, STRANGER)


@pytest.mark.parametrize("kind", [CLASSIC_REFERRER_TYPE, BUNDLE_TYPE, EMPTY, None, "text/something-else"])
def test_the_type_in_the_list_only_says_where_to_look(stand: Stand, kind: str | None) -> None:
    classic = push_referrer(stand.registry, REPOSITORY, Classic(stand.digest, KEY))
    bundle = push_bundle(stand.registry, REPOSITORY, BundleOf(stand.digest, OTHER))
    members = {} if kind is None else {"artifactType": kind}
    list_referrers(stand, descriptor(classic, **members), descriptor(bundle, **members))
    assert stand.verify(KEY, OTHER).fingerprints == (fingerprint(KEY), fingerprint(OTHER))


def test_a_manifest_without_an_artifact_type_has_that_of_its_config(stand: Stand) -> None:
    digest = push_referrer(stand.registry, REPOSITORY, Classic(stand.digest, KEY), artifactType=None)
    # null is not a type; without the member the config's counts.
    assert stand.refused(Reason.MALFORMED_EVIDENCE, KEY).signatures[0].source == f"referrer {digest}"
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": CLASSIC_REFERRER_TYPE},
        "layers": [Classic(stand.digest, KEY).push(stand.registry, REPOSITORY)],
        "subject": descriptor(stand.digest),
    }
    stand.registry.push_manifest(REPOSITORY, None, encode(document), OCI_MANIFEST)
    stand.verify(KEY)


@pytest.mark.parametrize("kind", [None, EMPTY, "application/spdx+json", "application/vnd.cncf.notary.signature"])
def test_referrers_of_other_kinds_are_no_signatures(stand: Stand, kind: str | None) -> None:
    layers: tuple[tuple[bytes, str, dict[str, str]], ...] = ((b"an SBOM", "application/spdx+json", {}),)
    stand.registry.push_artifact(REPOSITORY, None, layers, subject=stand.digest, artifact_type=kind)
    assert stand.refused(Reason.NO_SIGNATURE, KEY).signatures == ()
    push_referrer(stand.registry, REPOSITORY, Classic(stand.digest, KEY))
    assert len(stand.verify(KEY).signatures) == 1


def test_an_index_among_the_referrers_is_no_signature(stand: Stand) -> None:
    body = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": descriptor(stand.digest)})
    index = stand.registry.push_manifest(REPOSITORY, None, body, OCI_INDEX)
    stand.refused(Reason.NO_SIGNATURE, KEY)
    list_referrers(stand, descriptor(index))  # listed as what it is not
    stand.refused(Reason.NO_SIGNATURE, KEY)


@pytest.mark.parametrize("push", ["classic", "bundle"])
def test_a_manifest_that_refers_to_another_image_does_not_count(stand: Stand, push: str) -> None:
    other = stand.registry.push_image(REPOSITORY, "other")
    if push == "classic":
        digest = push_referrer(stand.registry, REPOSITORY, Classic(stand.digest, KEY), subject=other)
    else:
        digest = push_bundle(stand.registry, REPOSITORY, BundleOf(stand.digest, KEY), subject=other)
    stand.refused(Reason.NO_SIGNATURE, KEY)
    list_referrers(stand, descriptor(digest))
    error = stand.refused(Reason.DIGEST_MISMATCH, KEY)
    assert f"its subject is {other}" in error.message


def test_a_manifest_without_a_subject_does_not_count(stand: Stand) -> None:
    digest = push_classic(
        stand.registry, REPOSITORY, Classic(stand.digest, KEY), tag="v2", artifactType=CLASSIC_REFERRER_TYPE
    )
    list_referrers(stand, descriptor(digest))
    stand.refused(Reason.DIGEST_MISMATCH, KEY)


def test_a_malformed_list_is_refused(stand: Stand) -> None:
    stand.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, b'{"manifests": 5}')
    stand.refused(Reason.MALFORMED_EVIDENCE, KEY)


def test_a_signature_repository_has_its_own_referrers(either_stand: Stand) -> None:
    place = "signatures/of-all"
    push_bundle(either_stand.registry, place, BundleOf(either_stand.digest, KEY))
    either_stand.refused(Reason.NO_SIGNATURE, KEY)
    either_stand.verify(KEY, signatureRepository=f"{either_stand.registry.host}/{place}")
    either_stand.refused(Reason.NO_SIGNATURE, KEY, signatureRepository=f"{either_stand.registry.host}/not/there")
