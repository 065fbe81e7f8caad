"""Recorded signatures of the real cosign 3.1.3, so that they are checked without it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.keys.public_keys import load_public_key
from sealgate.reasons import Reason
from tests.support.builders.cosign_layouts import DATA, DEMO, RECORDED, entries, load_layout, public_key, read_blob
from tests.support.environments.cosign import CosignEnvironment
from tests.support.signers.cosign import BundleOf as Bundle
from tests.support.signers.cosign import Classic, push_bundle, push_classic, push_referrer, signature_tag
from tests.support.signers.private_keys import new_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.findings import Verified
    from sealgate.formats.interface import Image

ALGORITHMS = {"ed25519": "ED25519_PH"}
KINDS = ["p256", "p384", "p521", "rsa2048", "ed25519"]


@pytest.fixture(scope="module")
def recorded() -> Iterator[CosignEnvironment]:
    """A registry like the one they were recorded from: without the referrers API."""
    with CosignEnvironment(referrers_api=False) as made:
        load_layout(RECORDED, made.registry)
        load_layout(DEMO, made.registry)
        yield made


def entry(kind: str) -> dict[str, str]:
    algorithm = {"algorithm": ALGORITHMS[kind]} if kind in ALGORITHMS else {}
    return {"pem": public_key(kind), **algorithm}


def image(environment: CosignEnvironment, repository: str, tag: str = "1") -> Image:
    digest = {**entries(RECORDED), **entries(DEMO)}[f"{repository}:{tag}"]["digest"]
    return environment.image(digest, f"{environment.registry.host}/{repository}")


def verify(environment: CosignEnvironment, repository: str, *kinds: str, **fields: object) -> Verified:
    return environment.verify(*map(entry, kinds), image=image(environment, repository), **fields)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_cosign_signature_verifies_only_with_its_key(recorded: CosignEnvironment, layout: str, kind: str) -> None:
    found = verify(recorded, f"{layout}/{kind}", kind)
    assert found.fingerprints == (load_public_key(public_key(kind)).fingerprint,)
    (seen,) = found.signatures
    assert seen.reason is Reason.VERIFIED
    others = [entry(other) for other in KINDS if other != kind]
    reason = Reason.UNKNOWN_KEY if layout == "bundle" else Reason.INVALID_SIGNATURE
    recorded.refused(reason, *others, image=image(recorded, f"{layout}/{kind}"))


@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_cosign_3_signs_ed25519_with_its_prehashed_form(recorded: CosignEnvironment, layout: str) -> None:
    plain = {"pem": public_key("ed25519"), "algorithm": "ED25519"}
    error = recorded.refused(Reason.INVALID_SIGNATURE, plain, image=image(recorded, f"{layout}/ed25519"))
    assert "ED25519_PH" in error.message


def test_a_signature_as_a_referrer_verifies(recorded: CosignEnvironment) -> None:
    assert verify(recorded, "referrer/p256", "p256").signatures[0].source.startswith("referrer sha256:")


def test_a_signature_in_docker_media_types_verifies(recorded: CosignEnvironment) -> None:
    verify(recorded, "classic/docker-media-types", "p256")


@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_annotations_that_cosign_signed_are_found(recorded: CosignEnvironment, layout: str) -> None:
    repository = f"{layout}/annotated"
    verify(recorded, repository, "p256", annotations={"env": "prod", "team": "payments"})
    wrong = {"env": "prod", "team": "pay"}
    recorded.refused(Reason.ANNOTATION_MISMATCH, entry("p256"), image=image(recorded, repository), annotations=wrong)
    unannotated = image(recorded, f"{layout}/p256")
    recorded.refused(Reason.ANNOTATION_MISMATCH, entry("p256"), image=unannotated, annotations={"env": "prod"})


@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_two_keys_that_signed_are_both_named(recorded: CosignEnvironment, layout: str) -> None:
    fingerprints = {load_public_key(public_key(kind)).fingerprint for kind in ("p256", "p384")}
    assert set(verify(recorded, f"{layout}/two-keys", "p384", "p256").fingerprints) == fingerprints
    assert len(verify(recorded, f"{layout}/two-keys", "p384").fingerprints) == 1


@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_the_signature_of_an_index_is_the_indexs_alone(recorded: CosignEnvironment, layout: str) -> None:
    verify(recorded, f"{layout}/index", "p256")
    for platform in ("amd64", "arm64"):
        recorded.refused(Reason.NO_SIGNATURE, entry("p256"), image=image(recorded, f"{layout}/index", platform))


def test_attestation_is_not_a_signature_and_hides_none(recorded: CosignEnvironment) -> None:
    error = recorded.refused(Reason.TYPE_MISMATCH, entry("p256"), image=image(recorded, "attestation/p256"))
    assert "https://slsa.dev/provenance/v1" in error.message
    seen = verify(recorded, "bundle/attested", "p256").signatures
    assert {signature.reason for signature in seen} == {Reason.TYPE_MISMATCH, Reason.VERIFIED}


def test_repository_passed_to_cosign_is_compared(recorded: CosignEnvironment) -> None:
    # Recorded under another registry's name, so it never matches the one that serves it here.
    p256 = image(recorded, "classic/p256")
    error = recorded.refused(Reason.REPOSITORY_MISMATCH, entry("p256"), image=p256, matchRepository=True)
    assert "made for registry.example.org/classic/p256" in error.message


def test_the_demo_holds_one_good_image_and_three_bad_ones(recorded: CosignEnvironment) -> None:
    verify(recorded, "demo/signed", "release")
    for name, reason in {
        "unsigned": Reason.NO_SIGNATURE,
        "stranger": Reason.INVALID_SIGNATURE,
        "copied": Reason.DIGEST_MISMATCH,
    }.items():
        recorded.refused(reason, entry("release"), image=image(recorded, f"demo/{name}"))
    verify(recorded, "demo/stranger", "stranger")


@pytest.mark.parametrize("layout", [DEMO, RECORDED, DATA / "signed_by_sealgate" / "layout"])
def test_recorded_layouts_are_complete_without_leftovers(layout: Path) -> None:
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    waiting = [listed["digest"] for listed in entries(layout).values()]
    needed = set(waiting)
    while waiting:
        document = json.loads(read_blob(layout, waiting.pop()))
        for child in document.get("manifests", ()):
            waiting.append(child["digest"])
            needed.add(child["digest"])
        needed |= {blob["digest"] for blob in document.get("layers", ())}
        needed |= {document["config"]["digest"]} if "config" in document else set()
    names = {f"sha256:{path.name}" for path in (layout / "blobs" / "sha256").iterdir()}
    assert names == needed
    for digest in names:
        assert f"sha256:{hashlib.sha256(read_blob(layout, digest)).hexdigest()}" == digest


# The support module signs as cosign does, so that what the other tests show holds for cosign.


def test_our_own_signatures_have_the_shape_of_cosigns() -> None:
    key = new_key("ECDSA P-256")
    with CosignEnvironment() as environment:
        registry = environment.registry
        push_classic(registry, "classic/p256", Classic(environment.digest, key))
        push_referrer(registry, "referrer/p256", Classic(environment.digest, key))
        push_bundle(registry, "bundle/p256", Bundle(environment.digest, key))
        ours = {"classic/p256": json.loads(registry.manifest("classic/p256", signature_tag(environment.digest))[1])}
        for repository in ("referrer/p256", "bundle/p256"):
            (listed,) = registry.referrers(repository, environment.digest)
            ours[repository] = json.loads(registry.manifest(repository, listed["digest"])[1])
        for repository, manifest in ours.items():
            recorded_manifest = signature_manifest(repository)
            assert shape(manifest) == shape(recorded_manifest)
            blob = registry.repositories[repository].blobs[manifest["layers"][0]["digest"]]
            recorded_blob = read_blob(RECORDED, recorded_manifest["layers"][0]["digest"])
            assert shape(json.loads(blob)) == shape(json.loads(recorded_blob))


def signature_manifest(repository: str) -> dict[str, Any]:
    (name,) = [name for name in entries(RECORDED) if name.startswith(f"{repository}:sha256-")]
    document = json.loads(read_blob(RECORDED, entries(RECORDED)[name]["digest"]))
    while "manifests" in document:
        document = json.loads(read_blob(RECORDED, document["manifests"][0]["digest"]))
    assert isinstance(document, dict)
    return document


def shape(value: object) -> object:
    """Reduce a document to its member names and the kinds of its values; types stay."""
    if isinstance(value, dict):
        return {name: member if name.endswith("Type") else shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__
