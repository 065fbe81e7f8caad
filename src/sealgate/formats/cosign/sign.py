"""Signing images as cosign does: under the `.sig` tag, as a referrer with classic layers, or as a bundle.

What was stored is read back through the check of cosign authenticators.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sealgate.clocks import timestamp
from sealgate.errors import VerificationError
from sealgate.formats.cosign import layouts
from sealgate.formats.cosign.search import is_likely_signature
from sealgate.formats.cosign.signers import Signers
from sealgate.formats.cosign.verify import CosignCheck
from sealgate.formats.cosign.wire import (
    BUNDLE_TYPE,
    CLASSIC_REFERRER_TYPE,
    IN_TOTO,
    PAYLOAD_TYPE,
    SIGNATURE_ANNOTATION,
    build_bundle,
    build_payload,
    build_statement,
    parse_bundle,
    pre_authentication_encoding,
    signature_tag,
)
from sealgate.formats.cosign.writing import Writing
from sealgate.formats.referrers import EMPTY
from sealgate.parsing.evidence import decode_base64
from sealgate.registry.names import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext, SigningResult
    from sealgate.keys.signing_keys import SigningKey
    from sealgate.references import Repository
    from sealgate.registry.interface import Manifest
    from sealgate.registry.manifests import ArtifactManifest


class Storage(StrEnum):
    """Where a signature is stored."""

    TAG = "tag"
    REFERRERS = "referrers"
    BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class CosignSigner:
    """Signs images as cosign does; see `sealgate.formats.signing.Signer`. Immutable, thread-safe.

    Attributes:
        key: signs.
        storage: where signatures are stored.
        annotations: what the signed text carries besides the image; may be empty.
        signature_repository: where signatures are stored; None for the image's own repository.
        format: "cosign".
    """

    key: SigningKey
    storage: Storage = Storage.TAG
    annotations: Mapping[str, str] = field(default_factory=dict)
    signature_repository: Repository | None = None
    format: str = "cosign"

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        return self.key.public.fingerprint

    def lock_name(self, image: Image) -> str:
        """Return the repository that holds the signatures: its tags are extended by all writers."""
        return self._repository(image).name

    def sign(self, image: Image, context: SigningContext) -> SigningResult:
        """Sign an image; see `sealgate.formats.signing.Signer`."""
        writing = Writing(self.key, image, self._repository(image), context)
        result = _Work(self, image, writing).sign()
        self._check().verify(image, context.sources)
        return result

    def _repository(self, image: Image) -> Repository:
        return self.signature_repository or image.reference.repository

    def _check(self) -> CosignCheck:
        return CosignCheck(
            signers=Signers((self.key.public,)),
            annotations=self.annotations,
            match_repository=True,
            signature_repository=self.signature_repository,
            content="",
        )


@dataclass(frozen=True, slots=True)
class _Work:
    """The signing of one image."""

    signer: CosignSigner
    image: Image
    writing: Writing

    def sign(self) -> SigningResult:
        if self.signer.storage is Storage.TAG:
            return self.writing.store_layer(signature_tag(self.image.digest), self._own_layer, self._layer)
        return self.writing.store_referrer(is_likely_signature, self._is_own, self._referrer)

    def _layer(self, known: dict[str, Any] | None = None) -> dict[str, Any]:
        payload = self._payload()
        layer = known or layouts.signature_layer(payload, self.writing.sign(payload))
        self.writing.put_blobs(payload)
        return layer

    def _own_layer(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the layer with a signature by this key over exactly this payload; None if there is none."""
        payload = self._payload()
        for layer in document["layers"]:
            if layer["mediaType"] == PAYLOAD_TYPE and layer["digest"] == digest_of(payload):
                with suppress(VerificationError, KeyError, TypeError):
                    signature = decode_base64(layer["annotations"][SIGNATURE_ANNOTATION], "the signature")
                    if self.writing.is_own(signature, payload):
                        return dict(layer)
        return None

    def _referrer(self, subject: Manifest) -> tuple[bytes, str]:
        """Return the manifest of a new signature, whose blobs are stored, and its artifact type."""
        if self.signer.storage is Storage.BUNDLE:
            statement = self._statement()
            signature = self.writing.sign(pre_authentication_encoding(IN_TOTO, statement))
            bundle = build_bundle(self.signer.fingerprint, statement, signature)
            self.writing.put_blobs(bundle, EMPTY)
            created = timestamp(self.writing.context.sources.clock.now())
            return layouts.bundle_referrer(bundle, subject, created), BUNDLE_TYPE
        layer = self._layer()
        body, config = layouts.classic_referrer(layer, subject)
        self.writing.put_blobs(config)
        return body, CLASSIC_REFERRER_TYPE

    def _is_own(self, manifest: Manifest, artifact: ArtifactManifest) -> bool:
        if self.signer.storage is Storage.BUNDLE:
            return artifact.artifact_type == BUNDLE_TYPE and self._is_own_bundle(artifact)
        document = layouts.read_signatures(manifest, "of a referrer")
        return artifact.artifact_type == CLASSIC_REFERRER_TYPE and self._own_layer(document) is not None

    def _is_own_bundle(self, artifact: ArtifactManifest) -> bool:
        (layer,) = artifact.layers[:1] or (None,)
        if layer is None or layer.media_type != BUNDLE_TYPE:
            return False
        envelope = parse_bundle(self.writing.blob(layer.digest), "the bundle").envelope
        if envelope.payload != self._statement():
            return False
        return any(self.writing.is_own(signature, envelope.signed) for signature in envelope.signatures)

    def _payload(self) -> bytes:
        name = self.image.reference.repository.name
        return build_payload(name, self.image.digest, self.signer.annotations)

    def _statement(self) -> bytes:
        name = self.image.reference.repository.name
        return build_statement(name, self.image.digest, self.signer.annotations)
