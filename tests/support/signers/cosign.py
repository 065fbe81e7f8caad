"""Real signatures like cosign's, written to any store of blobs and manifests; every part can be made invalid.

::

    key = new_key("ECDSA P-256")
    digest = registry.push_image("team/app", "v1")
    push_classic(registry, "team/app", Classic(digest, key))                       # the .sig tag
    push_referrer(registry, "team/app", Classic(digest, key))                      # OCI 1.1, classic layers
    push_bundle(registry, "team/app", BundleOf(digest, key))                       # what cosign 3 writes
    push_classic(registry, "team/app", Classic(digest, key, type="something else"))

The layouts are those that cosign 3.1 was seen to write; the fixtures in `tests/data/cosign` hold it to that.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sealgate.registry.interface import OCI_MANIFEST
from tests.support.signers.private_keys import PrivateKey, sign, spki_hash
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.references import Digest

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
CLASSIC_REFERRER_TYPE = "application/vnd.dev.cosign.artifact.sig.v1+json"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
IN_TOTO = "application/vnd.in-toto+json"
ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json"
ATTESTATION_REFERRER_TYPE = "application/vnd.dev.cosign.artifact.att.v1+json"


class Pusher(Protocol):
    """Target of signatures: the registry simulator, a real registry, or a directory."""

    def push_blob(self, repository: str, data: bytes) -> Digest:
        """Store a blob."""

    def push_manifest(self, repository: str, reference: str | None, body: bytes, media_type: str = ...) -> Digest:
        """Store a manifest, under a tag if `reference` is one."""


# Classic signatures -------------------------------------------------------------------------------------------------


@dataclass
class Classic:
    """One classic signature: a layer. A field that is None follows from the others.

    Attributes:
        digest: what the payload says is signed.
        key: private key that signs.
        algorithm: None for the key's default.
        reference: the payload's docker-reference.
        type: the payload's critical.type.
        optional: the payload's optional members.
        payload: the exact bytes instead of those that follow.
        signature: the exact bytes instead of a real one.
        annotation: the exact text instead of the signature's base64.
        media_type: of the layer.
        annotations: further annotations of the layer.
    """

    digest: str
    key: PrivateKey
    algorithm: str | None = None
    reference: str = "registry.example.org/team/app"
    type: str = "cosign container image signature"
    optional: Mapping[str, Any] | None = None
    payload: bytes | None = None
    signature: bytes | None = None
    annotation: str | None = None
    media_type: str = PAYLOAD_TYPE
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the payload before it is encoded."""
        return {
            "critical": {
                "identity": {"docker-reference": self.reference},
                "image": {"docker-manifest-digest": self.digest},
                "type": self.type,
            },
            "optional": None if self.optional is None else dict(self.optional),
        }

    def push(self, pusher: Pusher, repository: str) -> dict[str, Any]:
        """Push the payload and return the layer's descriptor."""
        payload = encode(self.document()) if self.payload is None else self.payload
        signature = sign(self.key, payload, self.algorithm) if self.signature is None else self.signature
        text = base64.b64encode(signature).decode() if self.annotation is None else self.annotation
        annotations = {SIGNATURE_ANNOTATION: text, **self.annotations}
        return {**descriptor(pusher, repository, payload, self.media_type), "annotations": annotations}


def signature_tag(digest: str) -> str:
    """Return the tag under which cosign keeps the signatures of a digest."""
    return digest.replace(":", "-") + ".sig"


def push_classic(
    pusher: Pusher, repository: str, *signatures: Classic, tag: str | None = None, **members: Any
) -> Digest:
    """Push classic signatures as the layers of one `.sig` tag.

    Args:
        pusher: registry to push to.
        repository: path of the repository ("team/app").
        signatures: signatures to store, in order.
        tag: None for the tag of the first one's digest.
        members: members of the manifest that replace the right ones.
    """
    layers = [signature.push(pusher, repository) for signature in signatures]
    config = descriptor(pusher, repository, _config(layers), CONFIG_TYPE)
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers, **members}
    name = signature_tag(signatures[0].digest) if tag is None else tag
    return pusher.push_manifest(repository, name, encode(manifest), OCI_MANIFEST)


def push_referrer(
    pusher: Pusher, repository: str, *signatures: Classic, subject: str | None = None, **members: Any
) -> Digest:
    """Push classic signatures as the layers of a manifest that refers to the image (OCI 1.1).

    Args:
        pusher: registry to push to.
        repository: path of the repository ("team/app").
        signatures: signatures to store, in order.
        subject: the digest referred to; None for the first one's.
        members: members of the manifest that replace the right ones.
    """
    layers = [signature.push(pusher, repository) for signature in signatures]
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(pusher, repository, _config(layers), CLASSIC_REFERRER_TYPE),
        "layers": layers,
        "subject": {"mediaType": OCI_MANIFEST, "size": 411, "digest": subject or signatures[0].digest},
        "artifactType": CLASSIC_REFERRER_TYPE,
        **members,
    }
    return pusher.push_manifest(repository, None, encode(manifest), OCI_MANIFEST)


def _config(layers: list[dict[str, Any]]) -> bytes:
    history = [{"created": "0001-01-01T00:00:00Z"} for _ in layers]
    rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
    return encode(
        {
            "architecture": "",
            "created": "0001-01-01T00:00:00Z",
            "history": history,
            "os": "",
            "rootfs": rootfs,
            "config": {},
        }
    )


# Bundles ------------------------------------------------------------------------------------------------------------


@dataclass
class BundleOf:
    """One key-based bundle. A field that is None follows from the others.

    Attributes:
        digest: what the statement says is signed.
        key: private key that signs.
        algorithm: None for the key's default.
        annotations: of the statement's subject.
        subjects: the statement's subjects instead of the one that follows.
        statement_type: the statement's `_type`.
        predicate_type: the statement's predicate type.
        predicate: the statement's predicate.
        payload: the exact bytes of the statement instead of those that follow.
        payload_type: what the envelope says and the signature is over.
        shown_type: what the envelope says, when it is to differ from what was signed.
        signatures: the envelope's signatures instead of one real one.
        hint: the key's hint; None for the right one.
        material: the whole `verificationMaterial` instead of the hint.
        members: members of the bundle that replace the right ones.
    """

    digest: str
    key: PrivateKey
    algorithm: str | None = None
    annotations: Mapping[str, Any] | None = None
    subjects: list[Any] | None = None
    statement_type: str = "https://in-toto.io/Statement/v1"
    predicate_type: str = SIGN_PREDICATE
    predicate: Any = field(default_factory=dict)
    payload: bytes | None = None
    payload_type: str = IN_TOTO
    shown_type: str | None = None
    signatures: list[Any] | None = None
    hint: str | None = None
    material: Mapping[str, Any] | None = None
    members: Mapping[str, Any] = field(default_factory=dict)

    def statement(self) -> dict[str, Any]:
        """Return the statement before it is encoded."""
        subject: dict[str, Any] = {"digest": {"sha256": self.digest.removeprefix("sha256:")}}
        if self.annotations is not None:
            subject["annotations"] = dict(self.annotations)
        return {
            "_type": self.statement_type,
            "subject": [subject] if self.subjects is None else self.subjects,
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        }

    def document(self) -> dict[str, Any]:
        """Return the bundle before it is encoded."""
        payload = encode(self.statement()) if self.payload is None else self.payload
        hint = base64.b64encode(spki_hash(self.key)).decode() if self.hint is None else self.hint
        return {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": self.material if self.material is not None else {"publicKey": {"hint": hint}},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": self.payload_type if self.shown_type is None else self.shown_type,
                "signatures": [self.signature(self.key)] if self.signatures is None else self.signatures,
            },
            **self.members,
        }

    def signature(self, key: PrivateKey) -> dict[str, str]:
        """Return a member of the envelope's signatures, signed by any key."""
        payload = encode(self.statement()) if self.payload is None else self.payload
        name = self.payload_type.encode()
        encoded = b" ".join((b"DSSEv1", b"%d" % len(name), name, b"%d" % len(payload), payload))
        algorithm = self.algorithm if key is self.key else None
        return {"sig": base64.b64encode(sign(key, encoded, algorithm)).decode()}


def push_bundle(
    pusher: Pusher,
    repository: str,
    bundle: BundleOf,
    *,
    subject: str | None = None,
    data: bytes | None = None,
    layer_type: str = BUNDLE_TYPE,
    annotations: Mapping[str, Any] | None = None,
    **members: Any,
) -> Digest:
    """Push a bundle as a manifest that refers to the image.

    Args:
        pusher: registry to push to.
        repository: path of the repository ("team/app").
        bundle: what to push.
        subject: the digest referred to; None for the bundle's own.
        data: the exact bytes of the bundle instead of those that follow.
        layer_type: of the layer.
        annotations: of the manifest; None for those that cosign writes.
        members: members of the manifest that replace the right ones.
    """
    layer = descriptor(pusher, repository, encode(bundle.document()) if data is None else data, layer_type)
    written = {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": bundle.predicate_type,
        "org.opencontainers.image.created": "2026-11-21T08:17:54Z",
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {**descriptor(pusher, repository, b"{}", EMPTY_TYPE), "artifactType": BUNDLE_TYPE},
        "layers": [layer],
        "annotations": written if annotations is None else dict(annotations),
        "subject": {"mediaType": OCI_MANIFEST, "size": 411, "digest": subject or bundle.digest},
        "artifactType": BUNDLE_TYPE,
        **members,
    }
    return pusher.push_manifest(repository, None, encode(manifest), OCI_MANIFEST)


# Attestations -------------------------------------------------------------------------------------------------------


def push_attestations(
    pusher: Pusher,
    repository: str,
    *attestations: BundleOf,
    stated: str | None = None,
    subject: str | None = None,
    **members: Any,
) -> Digest:
    """Push the envelopes of attestations as layers: of one `.att` tag, or of a manifest that refers to the image.

    Args:
        pusher: registry to push to.
        repository: path of the repository ("team/app").
        attestations: what to push; only their envelopes are used.
        stated: the predicate type that the layers state instead of the right one; empty for none.
        subject: the digest referred to; None for the tag of the first one's digest.
        members: members of the manifest that replace the right ones.
    """
    layers = []
    for each in attestations:
        said = each.predicate_type if stated is None else stated
        annotations = {SIGNATURE_ANNOTATION: "", **({"predicateType": said} if said else {})}
        envelope = encode(each.document()["dsseEnvelope"])
        layers.append({**descriptor(pusher, repository, envelope, ENVELOPE_TYPE), "annotations": annotations})
    kind = CONFIG_TYPE if subject is None else ATTESTATION_REFERRER_TYPE
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(pusher, repository, _config(layers), kind),
        "layers": layers,
        **({} if subject is None else {"subject": {"mediaType": OCI_MANIFEST, "size": 411, "digest": subject}}),
        **members,
    }
    name = signature_tag(attestations[0].digest).removesuffix(".sig") + ".att" if subject is None else None
    return pusher.push_manifest(repository, name, encode(manifest), OCI_MANIFEST)


# What both need -----------------------------------------------------------------------------------------------------


def descriptor(pusher: Pusher, repository: str, data: bytes, media_type: str) -> dict[str, Any]:
    """Push a blob and return its descriptor."""
    return {"mediaType": media_type, "size": len(data), "digest": pusher.push_blob(repository, data)}
