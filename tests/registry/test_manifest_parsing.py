"""Parsing of manifests that carry signatures; contradictory manifests are refused."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import SealgateError, VerificationError
from sealgate.reasons import Reason
from sealgate.references import Digest
from sealgate.registry.interface import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from sealgate.registry.manifests import parse_artifact_manifest
from tests.support.examples import examples

DIGEST = Digest("sha256:" + "4a" * 32)
LAYER = {"mediaType": "text/plain", "digest": DIGEST, "size": 3, "annotations": {"a": "b", "c": 1}}


def document(**changes: Any) -> dict[str, Any]:
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 2}
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [LAYER], **changes}


def parse(body: object, media_type: str = OCI_MANIFEST) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    digest = Digest("sha256:" + hashlib.sha256(data).hexdigest())
    return parse_artifact_manifest(Manifest(digest, media_type, data), "the manifest")


def test_manifest_is_parsed() -> None:
    subject = {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 3}
    found = parse(document(subject=subject, artifactType="text/x", annotations={"a": "b", "c": None}))
    (layer,) = found.layers
    assert (layer.digest, layer.media_type, layer.size, layer.annotations) == (DIGEST, "text/plain", 3, {"a": "b"})
    assert (found.artifact_type, found.subject, found.annotations) == ("text/x", DIGEST, {"a": "b"})


def test_artifact_type_defaults_to_the_config_media_type() -> None:
    found = parse(document(annotations=None))
    assert found.artifact_type == "application/vnd.oci.image.config.v1+json"
    assert (found.subject, found.annotations) == (None, {})


def test_docker_and_untyped_manifests_are_read() -> None:
    assert parse(document(mediaType=DOCKER_MANIFEST), DOCKER_MANIFEST).layers
    untyped = document()
    del untyped["mediaType"]
    assert parse(untyped).layers


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST, "", "application/vnd.docker.distribution.manifest.v1"])
def test_other_kinds_of_manifests_carry_no_signatures(media_type: str) -> None:
    with pytest.raises(VerificationError, match="not an image manifest") as caught:
        parse(document(mediaType=media_type), media_type)
    assert caught.value.reason is Reason.TYPE_MISMATCH


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (document(mediaType=OCI_INDEX), "was served as .* and says it is"),
        (document(mediaType=DOCKER_MANIFEST), "was served as .* and says it is"),
        (document(mediaType=None), "mediaType should be a string"),
        (document(manifests=[]), "both layers and manifests"),
        ({"schemaVersion": 2, "manifests": []}, "it is an index"),
        (document(schemaVersion=1), "schemaVersion"),
        (document(schemaVersion="2"), "schemaVersion"),
        (document(schemaVersion=None), "schemaVersion"),
        ([], "should be an object"),
        (document(config=None), "config"),
        (document(config={}), "mediaType is missing"),
        (document(layers={}), "layers should be a list"),
        (document(layers=[1]), "a layer of the manifest"),
        (document(layers=[{**LAYER, "size": -1}]), "size of a layer"),
        (document(layers=[{**LAYER, "size": True}]), "size of a layer"),
        (document(layers=[{**LAYER, "size": "3"}]), "size of a layer"),
        (document(layers=[{**LAYER, "digest": "sha256:1"}]), "sha256:1 is not a digest"),
        (document(layers=[{**LAYER, "digest": "../../secret"}]), "not a digest"),
        (document(layers=[{**LAYER, "annotations": []}]), "annotations"),
        (document(subject=None), "subject"),
        (document(subject={"digest": "SHA256:" + "4A" * 32}), "not a digest"),
        (document(artifactType=1), "artifactType"),
    ],
)
def test_malformed_manifests_are_refused(body: object, why: str) -> None:
    with pytest.raises(VerificationError, match=why) as caught:
        parse(body)
    assert caught.value.reason is Reason.MALFORMED_EVIDENCE


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(DIGEST),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(LAYER)), inner),
    max_leaves=6,
)


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from([*document(), "subject", "annotations", "artifactType"]), ANYTHING)
def test_no_member_raises_a_foreign_exception(name: str, value: object) -> None:
    try:
        parse(document(**{name: value}))
    except SealgateError as error:
        assert error.message.isprintable()  # noqa: PT017 - some of them are right
