"""OCI 1.1 referrers: classic layers in a manifest that refers to the image."""

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
    from tests.support.environments.cosign import CosignEnvironment

KEY = new_key("ECDSA P-256", "release")
OTHER = new_key("ECDSA P-256", "other")
STRANGER = new_key("ECDSA P-256", "stranger")
EMPTY = "application/vnd.oci.empty.v1+json"


def list_referrers(environment: CosignEnvironment, *descriptors: dict[str, Any]) -> None:
    """Make the registry list these as the image's referrers, unchecked."""
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(descriptors)}
    environment.registry.faults.clear()
    environment.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, encode(index))


def descriptor(digest: str, **members: Any) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": 10, **members}


def test_a_signature_in_a_referrer_verifies(either_environment: CosignEnvironment) -> None:
    digest = push_referrer(either_environment.registry, REPOSITORY, Classic(either_environment.digest, KEY))
    found = either_environment.verify(KEY)
    assert found.fingerprints == (fingerprint(KEY),)
    assert [seen.source for seen in found.signatures] == [f"referrer {digest}, layer 1"]


def test_signatures_of_all_three_layouts_count_together(either_environment: CosignEnvironment) -> None:
    keys = [new_key("ECDSA P-256", name) for name in ("one", "two", "three")]
    push_classic(either_environment.registry, REPOSITORY, Classic(either_environment.digest, keys[0]))
    push_referrer(either_environment.registry, REPOSITORY, Classic(either_environment.digest, keys[1]))
    push_bundle(either_environment.registry, REPOSITORY, BundleOf(either_environment.digest, keys[2]))
    assert either_environment.verify(*keys).fingerprints == tuple(map(fingerprint, keys))


def test_referrer_payload_has_the_same_requirements_as_a_tag(environment: CosignEnvironment) -> None:
    push_referrer(environment.registry, REPOSITORY, Classic(environment.digest, KEY, optional={"env": "dev"}))
    environment.refused(Reason.ANNOTATION_MISMATCH, KEY, annotations={"env": "prod"})
    environment.refused(Reason.REPOSITORY_MISMATCH, KEY, matchRepository=True)
    environment.refused(Reason.INVALID_SIGNATURE, STRANGER)


@pytest.mark.parametrize("kind", [CLASSIC_REFERRER_TYPE, BUNDLE_TYPE, EMPTY, None, "text/something-else"])
def test_type_in_the_list_is_only_a_hint(environment: CosignEnvironment, kind: str | None) -> None:
    classic = push_referrer(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    bundle = push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, OTHER))
    members = {} if kind is None else {"artifactType": kind}
    list_referrers(environment, descriptor(classic, **members), descriptor(bundle, **members))
    assert environment.verify(KEY, OTHER).fingerprints == (fingerprint(KEY), fingerprint(OTHER))


def test_a_manifest_without_an_artifact_type_has_that_of_its_config(environment: CosignEnvironment) -> None:
    digest = push_referrer(environment.registry, REPOSITORY, Classic(environment.digest, KEY), artifactType=None)
    # null is not a type; without the member the config's counts.
    assert environment.refused(Reason.MALFORMED_EVIDENCE, KEY).signatures[0].source == f"referrer {digest}"
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": CLASSIC_REFERRER_TYPE},
        "layers": [Classic(environment.digest, KEY).push(environment.registry, REPOSITORY)],
        "subject": descriptor(environment.digest),
    }
    environment.registry.push_manifest(REPOSITORY, None, encode(document), OCI_MANIFEST)
    environment.verify(KEY)


@pytest.mark.parametrize("kind", [None, EMPTY, "application/spdx+json", "application/vnd.cncf.notary.signature"])
def test_referrers_of_other_kinds_are_no_signatures(environment: CosignEnvironment, kind: str | None) -> None:
    layers: tuple[tuple[bytes, str, dict[str, str]], ...] = ((b"an SBOM", "application/spdx+json", {}),)
    environment.registry.push_artifact(REPOSITORY, None, layers, subject=environment.digest, artifact_type=kind)
    assert environment.refused(Reason.NO_SIGNATURE, KEY).signatures == ()
    push_referrer(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    assert len(environment.verify(KEY).signatures) == 1


def test_index_among_the_referrers_is_not_a_signature(environment: CosignEnvironment) -> None:
    body = encode(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": descriptor(environment.digest)}
    )
    index = environment.registry.push_manifest(REPOSITORY, None, body, OCI_INDEX)
    environment.refused(Reason.NO_SIGNATURE, KEY)
    list_referrers(environment, descriptor(index))  # listed as what it is not
    environment.refused(Reason.NO_SIGNATURE, KEY)


@pytest.mark.parametrize("push", ["classic", "bundle"])
def test_a_manifest_that_refers_to_another_image_does_not_count(environment: CosignEnvironment, push: str) -> None:
    other = environment.registry.push_image(REPOSITORY, "other")
    if push == "classic":
        digest = push_referrer(environment.registry, REPOSITORY, Classic(environment.digest, KEY), subject=other)
    else:
        digest = push_bundle(environment.registry, REPOSITORY, BundleOf(environment.digest, KEY), subject=other)
    environment.refused(Reason.NO_SIGNATURE, KEY)
    list_referrers(environment, descriptor(digest))
    error = environment.refused(Reason.DIGEST_MISMATCH, KEY)
    assert f"its subject is {other}" in error.message


def test_a_manifest_without_a_subject_does_not_count(environment: CosignEnvironment) -> None:
    digest = push_classic(
        environment.registry, REPOSITORY, Classic(environment.digest, KEY), tag="v2", artifactType=CLASSIC_REFERRER_TYPE
    )
    list_referrers(environment, descriptor(digest))
    environment.refused(Reason.DIGEST_MISMATCH, KEY)


def test_a_malformed_list_is_refused(environment: CosignEnvironment) -> None:
    environment.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, b'{"manifests": 5}')
    environment.refused(Reason.MALFORMED_EVIDENCE, KEY)


def test_a_signature_repository_has_its_own_referrers(either_environment: CosignEnvironment) -> None:
    repository = "signatures/of-all"
    push_bundle(either_environment.registry, repository, BundleOf(either_environment.digest, KEY))
    either_environment.refused(Reason.NO_SIGNATURE, KEY)
    either_environment.verify(KEY, signatureRepository=f"{either_environment.registry.host}/{repository}")
    either_environment.refused(
        Reason.NO_SIGNATURE, KEY, signatureRepository=f"{either_environment.registry.host}/not/there"
    )
