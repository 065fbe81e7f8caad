"""Signatures of cosign as a registry stores them: read from a layout, changed in one byte, stored elsewhere.

A changed part gets the digest that it has now, in everything that names it, as an attacker who can write to the
registry would do. So a check that refuses it has verified more than digests.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sealgate.formats.cosign.wire import SIGNATURE_ANNOTATION
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.support.builders.cosign_layouts import entries, read_blob
from tests.support.changes import change_base64, change_byte, change_text
from tests.support.signers.cosign import BUNDLE_TYPE, signature_tag
from tests.support.simulators.http_messages import encode
from tests.support.simulators.registry import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeAlias

    from tests.support.signers.cosign import Pusher

    Change: TypeAlias = Callable[["StoredSignature"], "StoredSignature"]


@dataclass(frozen=True)
class StoredSignature:
    """One signature of one image.

    Attributes:
        image: the image's manifest.
        index: the list of the image's referrers, which names the manifest below; None under a `.sig` tag.
        manifest: the manifest with the signature.
        config: its config.
        blob: its one layer: a payload, or a bundle.
    """

    image: bytes
    index: bytes | None
    manifest: bytes
    config: bytes
    blob: bytes

    @property
    def image_parts(self) -> list[str]:
        """The digests of what the image's manifest names."""
        image = json.loads(self.image)
        return [part["digest"] for part in (image["config"], *image["layers"])]

    @property
    def layer(self) -> dict[str, Any]:
        """The descriptor of the layer."""
        (layer,) = json.loads(self.manifest)["layers"]
        assert isinstance(layer, dict)
        return layer

    @property
    def statement(self) -> bytes:
        """What is signed: the payload, or the statement in the bundle."""
        if self.layer["mediaType"] != BUNDLE_TYPE:
            return self.blob
        return base64.b64decode(json.loads(self.blob)["dsseEnvelope"]["payload"])

    @property
    def signature(self) -> bytes:
        """The signature over that."""
        if self.layer["mediaType"] != BUNDLE_TYPE:
            return base64.b64decode(self.layer["annotations"][SIGNATURE_ANNOTATION])
        return base64.b64decode(json.loads(self.blob)["dsseEnvelope"]["signatures"][0]["sig"])

    def push(self, pusher: Pusher, repository: str) -> None:
        """Store image and signature in a repository, the image with the tag 1."""
        subject = pusher.push_manifest(repository, "1", self.image, OCI_MANIFEST)
        for blob in (self.config, self.blob):
            pusher.push_blob(repository, blob)
        if self.index is None:
            pusher.push_manifest(repository, signature_tag(subject), self.manifest, OCI_MANIFEST)
            return
        pusher.push_manifest(repository, None, self.manifest, OCI_MANIFEST)
        pusher.push_manifest(repository, subject.replace(":", "-"), self.index, OCI_INDEX)

    def with_manifest(self, manifest: bytes) -> StoredSignature:
        """Return it with another manifest, in the list of referrers too."""
        if self.index is None:
            return replace(self, manifest=manifest)
        index = json.loads(self.index)
        index["manifests"][0] |= {"digest": digest_of(manifest), "size": len(manifest)}
        return replace(self, manifest=manifest, index=encode(index))

    def with_layer(self, blob: bytes, **members: Any) -> StoredSignature:
        """Return it with another layer, or with other members of its descriptor."""
        document = json.loads(self.manifest)
        document["layers"][0] |= {"digest": digest_of(blob), "size": len(blob), **members}
        return replace(self, blob=blob).with_manifest(encode(document))


def read_signature(layout: Path, repository: str) -> StoredSignature:
    """Return the one signature of the image with the tag 1 in a repository of a layout."""
    listed = entries(layout)
    (name,) = [name for name in listed if name.startswith(f"{repository}:sha256-")]
    image, named = (read_blob(layout, listed[tag]["digest"]) for tag in (f"{repository}:1", name))
    return assemble(image, named, lambda digest: read_blob(layout, digest))


def assemble(image: bytes, named: bytes, fetch: Callable[[str], bytes]) -> StoredSignature:
    """Return the one signature of an image.

    Args:
        image: the image's manifest.
        named: what the tag of its signatures names: a manifest, or a list of referrers.
        fetch: returns what is stored under a digest.
    """
    document, index, manifest = json.loads(named), None, named
    if "manifests" in document:
        (entry,) = document["manifests"]
        index, manifest = named, fetch(entry["digest"])
        document = json.loads(manifest)
    (layer,) = document["layers"]
    return StoredSignature(image, index, manifest, fetch(document["config"]["digest"]), fetch(layer["digest"]))


def _classic(payload: str) -> Change:
    """Return a change of the payload after some text."""
    return lambda stored: stored.with_layer(change_byte(stored.blob, payload))


def _layer(change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Change:
    """Return a change of members of the layer's descriptor."""
    return lambda stored: stored.with_layer(stored.blob, **change(stored.layer))


#: One changed byte at each place of a classic signature with the annotation env=prod.
CLASSIC_CHANGES: Mapping[str, Change] = {
    "digest in the payload": _classic('"docker-manifest-digest":"sha256:'),
    "repository in the payload": _classic('"docker-reference":"'),
    "type in the payload": _classic('"type":"'),
    "name of a member of the payload": _classic('"critical":{"'),
    "annotation": _classic('"env":"'),
    "name of the annotation": _classic('"optional":{"'),
    "signature": _layer(lambda layer: {"annotations": _signature_annotation(layer, change_base64)}),
    "base64 of the signature": _layer(lambda layer: {"annotations": _signature_annotation(layer, change_text)}),
    "name of the signature": _layer(
        lambda layer: {"annotations": {change_text(name): text for name, text in layer["annotations"].items()}}
    ),
    "type of the layer": _layer(lambda layer: {"mediaType": change_text(layer["mediaType"])}),
}


def _signature_annotation(layer: dict[str, Any], change: Callable[[str], str]) -> dict[str, str]:
    return {SIGNATURE_ANNOTATION: change(layer["annotations"][SIGNATURE_ANNOTATION])}


def _bundle(change: Callable[[dict[str, Any]], object]) -> Change:
    """Return a change of the bundle."""

    def changed(stored: StoredSignature) -> StoredSignature:
        document = json.loads(stored.blob)
        change(document)
        return stored.with_layer(encode(document))

    return changed


def _envelope(member: str, change: Callable[[str], str]) -> Change:
    """Return a change of a member of the bundle's envelope."""
    return _bundle(lambda bundle: bundle["dsseEnvelope"].update({member: change(bundle["dsseEnvelope"][member])}))


def _statement(text: str) -> Change:
    """Return a change of the signed statement after some text."""
    return _envelope("payload", lambda payload: change_base64(payload, text))


def _sig(bundle: dict[str, Any]) -> None:
    (signature,) = bundle["dsseEnvelope"]["signatures"]
    signature["sig"] = change_base64(signature["sig"])


def _hint(bundle: dict[str, Any]) -> None:
    key = bundle["verificationMaterial"]["publicKey"]
    key["hint"] = change_base64(key["hint"])


def _subject(stored: StoredSignature) -> StoredSignature:
    document = json.loads(stored.manifest)
    document["subject"]["digest"] = digest_of(b"another image")
    return stored.with_manifest(encode(document))


#: One changed byte at each place of a bundle with the annotation env=prod.
BUNDLE_CHANGES: Mapping[str, Change] = {
    "digest in the statement": _statement('"sha256":"'),
    "repository in the statement": _statement('"name":"'),
    "type of the statement": _statement('"_type":"'),
    "type of the predicate": _statement('"predicateType":"'),
    "annotation": _statement('"env":"'),
    "name of the annotation": _statement('"annotations":{"'),
    "signature": _bundle(_sig),
    "type of the payload": _envelope("payloadType", change_text),
    "type of the bundle": _bundle(lambda bundle: bundle.update(mediaType=change_text(bundle["mediaType"]))),
    "type of the layer": _layer(lambda layer: {"mediaType": change_text(layer["mediaType"])}),
}
#: One changed byte of a bundle that proves nothing: which key may have signed it.
HINT_CHANGE: Change = _bundle(_hint)
#: What a manifest that refers to an image can say wrong besides.
REFERRER_CHANGES: Mapping[str, Change] = {"image that the manifest refers to": _subject}
