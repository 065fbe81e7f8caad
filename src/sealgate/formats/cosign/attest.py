"""Attesting something about images as cosign does: under the `.att` tag, as a referrer, or as a bundle.

What is made is checked as an authenticator would check it before it is stored, and read back afterwards.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealgate.clocks import timestamp
from sealgate.errors import NotFoundError, SigningError, VerificationError
from sealgate.formats.cosign import layouts
from sealgate.formats.cosign.attestations import Requirement, is_likely_attestation
from sealgate.formats.cosign.claims import Claims
from sealgate.formats.cosign.sign import Storage
from sealgate.formats.cosign.signers import Signers
from sealgate.formats.cosign.verify import CosignCheck
from sealgate.formats.cosign.wire import (
    ATTESTATION_REFERRER_TYPE,
    BUNDLE_TYPE,
    ENVELOPE_ANNOTATION,
    ENVELOPE_TYPE,
    IN_TOTO,
    PREDICATE_ANNOTATION,
    Envelope,
    attestation_tag,
    build_attestation,
    build_bundle,
    build_envelope,
    parse_bundle,
    parse_envelope,
)
from sealgate.formats.cosign.writing import Writing
from sealgate.formats.interface import MAX_SIGNATURE_BYTES
from sealgate.formats.referrers import EMPTY
from sealgate.parsing.evidence import parse_object
from sealgate.references import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext, SigningResult
    from sealgate.keys.signing_keys import SigningKey
    from sealgate.references import Repository
    from sealgate.registry.interface import Descriptor, Manifest
    from sealgate.registry.manifests import ArtifactManifest


@dataclass(frozen=True, slots=True)
class CosignAttester:
    """Attests one predicate about images; see `sealgate.formats.signing.Signer`. Immutable, thread-safe.

    Attributes:
        key: signs.
        predicate_type: what the predicate is.
        predicate: any JSON value.
        storage: where attestations are stored.
        signature_repository: holds them; None for the image's own repository.
        format: "cosign".
    """

    key: SigningKey
    predicate_type: str
    predicate: object
    storage: Storage = Storage.TAG
    signature_repository: Repository | None = None
    format: str = "cosign"

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        return self.key.public.fingerprint

    def lock_name(self, image: Image) -> str:
        """Return the repository that holds the attestations: its tags are extended by all writers."""
        return self._repository(image).name

    def sign(self, image: Image, context: SigningContext) -> SigningResult:
        """Attest the predicate about an image; see `sealgate.formats.signing.Signer`."""
        writing = Writing(self.key, image, self._repository(image), context)
        name = image.reference.repository.name
        statement = build_attestation(name, image.digest, self.predicate_type, self.predicate)
        result = _Work(self.predicate_type, statement, writing).store(self.storage)
        self._check().verify(image, context.sources)
        return result

    def _repository(self, image: Image) -> Repository:
        return self.signature_repository or image.reference.repository

    def _check(self) -> CosignCheck:
        return CosignCheck(
            signers=Signers((self.key.public,)),
            annotations={},
            match_repository=True,
            signature_repository=self.signature_repository,
            content="",
            requirements=(Requirement(self.predicate_type),),
            signature_required=False,
        )


@dataclass(frozen=True, slots=True)
class _Work:
    """The attestation of one image."""

    predicate_type: str
    statement: bytes
    writing: Writing

    def store(self, storage: Storage) -> SigningResult:
        if storage is Storage.TAG:
            return self.writing.store_layer(attestation_tag(self.writing.image.digest), self._own_layer, self._layer)
        if storage is Storage.REFERRERS:
            return self.writing.store_referrer(self._is_likely, self._is_own_referrer, self._referrer)
        return self.writing.store_referrer(self._is_likely, self._is_own_bundle, self._bundle)

    def _layer(self, known: dict[str, Any] | None = None) -> dict[str, Any]:
        if known is not None:
            return known
        envelope = build_envelope(self.statement, self._signature())
        self._put(envelope)
        return layouts.attestation_layer(envelope, self.predicate_type)

    def _own_layer(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        for layer in document["layers"]:
            # What cannot be read is not an attestation of ours, and stays.
            with suppress(NotFoundError, VerificationError, KeyError, TypeError):
                stated = layer["annotations"][ENVELOPE_ANNOTATION]
                if layer["mediaType"] == ENVELOPE_TYPE and stated == self.predicate_type:
                    members = parse_object(self.writing.blob(Digest(layer["digest"])), "the envelope")
                    if self._is_own(parse_envelope(members, "the envelope")):
                        return dict(layer)
        return None

    def _referrer(self, subject: Manifest) -> tuple[bytes, str]:
        body, config = layouts.classic_referrer(self._layer(), subject, ATTESTATION_REFERRER_TYPE)
        self._put(config)
        return body, ATTESTATION_REFERRER_TYPE

    def _is_own_referrer(self, manifest: Manifest, artifact: ArtifactManifest) -> bool:
        document = layouts.read_signatures(manifest, "of a referrer")
        return artifact.artifact_type == ATTESTATION_REFERRER_TYPE and self._own_layer(document) is not None

    def _bundle(self, subject: Manifest) -> tuple[bytes, str]:
        bundle = build_bundle(self.writing.key.public.fingerprint, self.statement, self._signature())
        self._put(bundle, EMPTY)
        created = timestamp(self.writing.context.sources.clock.now())
        return layouts.bundle_referrer(bundle, subject, created, self.predicate_type), BUNDLE_TYPE

    def _is_own_bundle(self, _manifest: Manifest, artifact: ArtifactManifest) -> bool:
        if artifact.artifact_type != BUNDLE_TYPE or [layer.media_type for layer in artifact.layers] != [BUNDLE_TYPE]:
            return False
        return self._is_own(parse_bundle(self.writing.blob(artifact.layers[0].digest), "the bundle").envelope)

    def _is_likely(self, descriptor: Descriptor) -> bool:
        stated = descriptor.annotations.get(PREDICATE_ANNOTATION, self.predicate_type)
        return is_likely_attestation(descriptor) and stated == self.predicate_type

    def _is_own(self, envelope: Envelope) -> bool:
        return envelope.payload == self.statement and any(
            self.writing.is_own(signature, envelope.signed) for signature in envelope.signatures
        )

    def _signature(self) -> bytes:
        envelope = Envelope(IN_TOTO, self.statement, ())
        claims = Claims(self.writing.image, {}, match_repository=True)
        Requirement(self.predicate_type).check(envelope, claims)
        return self.writing.sign(envelope.signed)

    def _put(self, *blobs: bytes) -> None:
        for blob in blobs:
            if len(blob) > MAX_SIGNATURE_BYTES:
                msg = (
                    f"the attestation would have {len(blob)} bytes, and verifiers read no more than "
                    f"{MAX_SIGNATURE_BYTES}; attest a smaller predicate"
                )
                raise SigningError(msg)
        self.writing.put_blobs(*blobs)
