"""Manifests that hold cosign's signatures: built anew, extended by a signature, or without some of them.

What others stored is kept byte for byte where it is a layer or an entry, and member for member elsewhere.
"""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import compress
from typing import TYPE_CHECKING, Any

from sealgate.errors import SigningError, VerificationError
from sealgate.formats.cosign.wire import (
    BUNDLE_TYPE,
    CLASSIC_REFERRER_TYPE,
    CREATED_ANNOTATION,
    ENVELOPE_ANNOTATION,
    ENVELOPE_TYPE,
    PAYLOAD_TYPE,
    PREDICATE_ANNOTATION,
    SIGN_PREDICATE,
    SIGNATURE_ANNOTATION,
)
from sealgate.formats.referrers import EMPTY, EMPTY_TYPE, describe
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.parsing import evidence, strict_json
from sealgate.registry.interface import OCI_MANIFEST
from sealgate.registry.manifests import parse_artifact_manifest
from sealgate.registry.names import digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.registry.interface import Manifest

_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_CONTENT_ANNOTATION = "dev.sigstore.bundle.content"
_NO_TIME = "0001-01-01T00:00:00Z"


def signature_layer(payload: bytes, signature: bytes) -> dict[str, Any]:
    """Return the layer of a classic signature: a descriptor of its payload."""
    annotations = {SIGNATURE_ANNOTATION: b64encode(signature).decode("ascii")}
    return describe(PAYLOAD_TYPE, payload, annotations=annotations)


def attestation_layer(envelope: bytes, predicate_type: str) -> dict[str, Any]:
    """Return the layer of a classic attestation: a descriptor of its envelope."""
    annotations = {SIGNATURE_ANNOTATION: "", ENVELOPE_ANNOTATION: predicate_type}
    return describe(ENVELOPE_TYPE, envelope, annotations=annotations)


def classic_config(layers: list[dict[str, Any]]) -> bytes:
    """Return the config of a manifest of classic signatures, as cosign writes it."""
    return _json(
        {
            "architecture": "",
            "created": _NO_TIME,
            "history": [{"created": _NO_TIME} for _ in layers],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
            "config": {},
        }
    )


def extend_config(config: bytes, layer: dict[str, Any]) -> bytes | None:
    """Return a config with one more layer; None if it is not one that describes layers, and has to stay as it is."""
    described = _described_layers(config)
    if described is None:
        return None
    document, digests, history = described
    return _with_layers(document, [*digests, layer["digest"]], [*history, {"created": _NO_TIME}])


def shrink_config(config: bytes, kept: Sequence[bool]) -> bytes | None:
    """Return a config with some of its layers; None if it does not describe just these, and has to stay as it is.

    Args:
        config: as fetched.
        kept: for each layer of the manifest, whether it stays.
    """
    described = _described_layers(config)
    if described is None:
        return None
    document, digests, history = described
    if {len(digests), len(history)} != {len(kept)}:
        return None
    return _with_layers(document, list(compress(digests, kept)), list(compress(history, kept)))


def _described_layers(config: bytes) -> tuple[dict[str, Any], list[Any], list[Any]] | None:
    """Return a config with the digests and the history of its layers; None if it does not have them."""
    try:
        document = dict(strict_json.parse_object(config, "the config"))
    except strict_json.MalformedError:
        return None
    rootfs, history = document.get("rootfs"), document.get("history")
    if not isinstance(rootfs, dict) or not isinstance(rootfs.get("diff_ids"), list) or not isinstance(history, list):
        return None
    return document, rootfs["diff_ids"], history


def _with_layers(document: dict[str, Any], digests: list[Any], history: list[Any]) -> bytes:
    return _json({**document, "history": history, "rootfs": {**document["rootfs"], "diff_ids": digests}})


def classic_manifest(layer: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return a manifest with one classic signature, and its config."""
    config = classic_config([layer])
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": describe(_CONFIG_TYPE, config),
        "layers": [layer],
    }
    return _json(document), config


def classic_referrer(
    layer: dict[str, Any], subject: Manifest, kind: str = CLASSIC_REFERRER_TYPE
) -> tuple[bytes, bytes]:
    """Return a manifest with one layer that refers to the image (OCI 1.1), and its config.

    Args:
        layer: a classic signature or attestation.
        subject: the image's manifest.
        kind: the artifact type.
    """
    config = classic_config([layer])
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": describe(kind, config),
        "layers": [layer],
        "subject": describe(subject.media_type, subject.body),
        "artifactType": kind,
    }
    return _json(document), config


def bundle_referrer(bundle: bytes, subject: Manifest, created: str, predicate_type: str = SIGN_PREDICATE) -> bytes:
    """Return a manifest with one bundle that refers to the image; its config is `EMPTY`.

    Args:
        bundle: the bundle.
        subject: the image's manifest.
        created: the time, as RFC 3339 writes it.
        predicate_type: of the statement in the bundle.
    """
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": describe(EMPTY_TYPE, EMPTY, artifactType=BUNDLE_TYPE),
            "layers": [describe(BUNDLE_TYPE, bundle)],
            "annotations": {
                _CONTENT_ANNOTATION: "dsse-envelope",
                PREDICATE_ANNOTATION: predicate_type,
                CREATED_ANNOTATION: created,
            },
            "subject": describe(subject.media_type, subject.body),
            "artifactType": BUNDLE_TYPE,
        }
    )


def read_signatures(manifest: Manifest, where: str) -> dict[str, Any]:
    """Return the document of a manifest of classic signatures, as it is.

    Args:
        manifest: as fetched.
        where: its tag, for messages.

    Raises:
        SigningError: it is something else, to which no signature may be added.
    """
    try:
        parse_artifact_manifest(manifest, "the manifest")
        return dict(evidence.parse_object(manifest.body, "the manifest", limit=MAX_RESPONSE_BYTES))
    except VerificationError as error:
        msg = (
            f"the tag {where} holds something that is not a set of cosign signatures ({error.message}); it is left as "
            "it is. Remove it, or sign with --storage referrers or bundle"
        )
        raise SigningError(msg) from error


def append_signature(document: dict[str, Any], layer: dict[str, Any], config: bytes | None) -> bytes:
    """Return the manifest of classic signatures with one more.

    Args:
        document: see `read_signatures`.
        layer: the new one.
        config: the new config; None to keep the one that is there.
    """
    return _with_signatures(document, [*document["layers"], layer], config)


def keep_signatures(document: dict[str, Any], kept: Sequence[bool], config: bytes | None) -> bytes:
    """Return the manifest of classic signatures with some of them.

    Args:
        document: see `read_signatures`.
        kept: for each layer, whether it stays.
        config: the new config; None to keep the one that is there.
    """
    return _with_signatures(document, list(compress(document["layers"], kept)), config)


def _with_signatures(document: dict[str, Any], layers: list[Any], config: bytes | None) -> bytes:
    changed = {**document, "layers": layers}
    if config is not None:
        changed["config"] = {**document["config"], "size": len(config), "digest": digest_of(config)}
    return _json(changed)


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
