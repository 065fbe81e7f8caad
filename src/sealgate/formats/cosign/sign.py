"""Signing images as cosign does: under the `.sig` tag, as a referrer with classic layers, or as a bundle.

Every layout is written in the same steps: look for a signature by this key with this content; sign and verify with the
public half; upload what the manifest needs, and last the manifest, so that an interrupted run leaves blobs that nothing
names; read back through the check of cosign authenticators.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sealgate.clocks import timestamp
from sealgate.errors import NotFoundError, SigningError, VerificationError
from sealgate.formats.cosign import layouts
from sealgate.formats.cosign.search import is_likely_signature
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
from sealgate.formats.interface import MAX_SIGNATURE_BYTES, MAX_SIGNATURES
from sealgate.formats.referrers import EMPTY, MAX_REFERRERS, list_referrer, referrer_entry
from sealgate.formats.signing import SigningOutcome, SigningResult
from sealgate.formats.tag_updates import SharedTag
from sealgate.keys.signing_keys import sign_verified
from sealgate.messages import quote
from sealgate.parsing.evidence import decode_base64
from sealgate.registry.interface import OCI_MANIFEST
from sealgate.registry.manifests import parse_artifact_manifest
from sealgate.registry.names import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext
    from sealgate.formats.tag_updates import TagUpdate
    from sealgate.keys.signing_keys import SigningKey
    from sealgate.references import Digest, Repository
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
        work = _Work(self, image, self._repository(image), context)
        result = work.sign_under_tag() if self.storage is Storage.TAG else work.sign_as_referrer()
        self._check().verify(image, context.sources)
        return result

    def _repository(self, image: Image) -> Repository:
        return self.signature_repository or image.reference.repository

    def _check(self) -> CosignCheck:
        return CosignCheck(
            keys=(self.key.public,),
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
    repository: Repository
    context: SigningContext

    # Under the tag -------------------------------------------------------------------------------------------------

    def sign_under_tag(self) -> SigningResult:
        tag = SharedTag(self.context, self.repository, signature_tag(self.image.digest), self.image.digest)
        payload = self._payload()
        there = tag.read()
        known = None if there is None else self._own_layer(layouts.read_signatures(there, tag.name), payload)
        layer = known or layouts.signature_layer(payload, self._sign(payload))
        self._put_blob(payload)
        update = tag.update(
            lambda manifest: self._own_layer(layouts.read_signatures(manifest, tag.name), payload) is not None,
            lambda manifest: self._with_layer(manifest, layer, tag.name),
        )
        outcome = SigningOutcome.SIGNED if update.writes else SigningOutcome.ALREADY_SIGNED
        return self._result(outcome, tag.name, update.manifest.digest, len(update.manifest.body), update)

    def _own_layer(self, document: Mapping[str, Any], payload: bytes) -> dict[str, Any] | None:
        """Return the layer with a signature by this key over exactly this payload; None if there is none."""
        for layer in document["layers"]:
            if layer["mediaType"] == PAYLOAD_TYPE and layer["digest"] == digest_of(payload):
                with suppress(VerificationError, KeyError, TypeError):
                    signature = decode_base64(layer["annotations"][SIGNATURE_ANNOTATION], "the signature")
                    self.signer.key.public.verify(signature, payload)
                    return dict(layer)
        return None

    def _with_layer(self, there: Manifest | None, layer: dict[str, Any], where: str) -> tuple[bytes, str]:
        if there is None:
            body, config = layouts.classic_manifest(layer)
            self._put_blob(config)
            return body, OCI_MANIFEST
        document = layouts.read_signatures(there, where)
        self._require_room(len(document["layers"]), where)
        grown = self._grown_config(document, layer)
        if grown is not None:
            self._put_blob(grown)
        return layouts.append_signature(document, layer, grown), there.media_type

    def _grown_config(self, document: Mapping[str, Any], layer: dict[str, Any]) -> bytes | None:
        try:
            registry = self.context.sources.registry
            config = registry.blob(self.repository, document["config"]["digest"], MAX_SIGNATURE_BYTES)
        except (NotFoundError, VerificationError):
            return None
        return layouts.extend_config(config, layer)

    # As a referrer -------------------------------------------------------------------------------------------------

    def sign_as_referrer(self) -> SigningResult:
        registry = self.context.sources.registry
        subject = registry.manifest(self.image.reference.repository, self.image.digest)
        known = self._own_referrer()
        if known is not None:
            return self._result(
                SigningOutcome.ALREADY_SIGNED, self._location(known.digest), known.digest, len(known.body)
            )
        body, kind = self._referrer(subject)
        stored = self.context.writer.put_manifest(self.repository, digest_of(body), body, OCI_MANIFEST)
        update = list_referrer(stored, referrer_entry(body, kind), self.image.digest, self.repository, self.context)
        return self._result(SigningOutcome.SIGNED, self._location(stored.digest), stored.digest, len(body), update)

    def _referrer(self, subject: Manifest) -> tuple[bytes, str]:
        """Return the manifest of a new signature, whose blobs are stored, and its artifact type."""
        if self.signer.storage is Storage.BUNDLE:
            statement = self._statement()
            signature = self._sign(pre_authentication_encoding(IN_TOTO, statement))
            bundle = build_bundle(self.signer.fingerprint, statement, signature)
            self._put_blob(bundle, EMPTY)
            created = timestamp(self.context.sources.clock.now())
            return layouts.bundle_referrer(bundle, subject, created), BUNDLE_TYPE
        payload = self._payload()
        layer = layouts.signature_layer(payload, self._sign(payload))
        body, config = layouts.classic_referrer(layer, subject)
        self._put_blob(payload, config)
        return body, CLASSIC_REFERRER_TYPE

    def _own_referrer(self) -> Manifest | None:
        registry = self.context.sources.registry
        listed = registry.referrers(self.repository, self.image.digest, MAX_REFERRERS)
        likely = [descriptor for descriptor in listed if is_likely_signature(descriptor)]
        for descriptor in likely[:MAX_SIGNATURES]:
            # What cannot be read is not a signature of ours, and stays.
            with suppress(NotFoundError, VerificationError):
                manifest = registry.manifest(self.repository, descriptor.digest)
                if self._is_own(manifest):
                    return manifest
        self._require_room(len(likely), f"the referrers of {self.image.digest} in {quote(self.repository.name)}")
        return None

    def _is_own(self, manifest: Manifest) -> bool:
        artifact = parse_artifact_manifest(manifest, "the manifest")
        if artifact.subject != self.image.digest:
            return False
        if self.signer.storage is Storage.BUNDLE:
            return artifact.artifact_type == BUNDLE_TYPE and self._is_own_bundle(artifact)
        document = layouts.read_signatures(manifest, "of a referrer")
        return (
            artifact.artifact_type == CLASSIC_REFERRER_TYPE and self._own_layer(document, self._payload()) is not None
        )

    def _is_own_bundle(self, artifact: ArtifactManifest) -> bool:
        (layer,) = artifact.layers[:1] or (None,)
        if layer is None or layer.media_type != BUNDLE_TYPE:
            return False
        data = self.context.sources.registry.blob(self.repository, layer.digest, MAX_SIGNATURE_BYTES)
        envelope = parse_bundle(data, "the bundle").envelope
        if envelope.payload != self._statement():
            return False
        for signature in envelope.signatures:
            with suppress(VerificationError):
                self.signer.key.public.verify(signature, envelope.signed)
                return True
        return False

    def _location(self, digest: Digest) -> str:
        return f"{quote(self.repository.name)}@{digest}"

    # What all need -------------------------------------------------------------------------------------------------

    def _payload(self) -> bytes:
        name = self.image.reference.repository.name
        return build_payload(name, self.image.digest, self.signer.annotations)

    def _statement(self) -> bytes:
        name = self.image.reference.repository.name
        return build_statement(name, self.image.digest, self.signer.annotations)

    def _sign(self, message: bytes) -> bytes:
        return sign_verified(self.signer.key, message, self.context.sources.deadline)

    def _put_blob(self, *blobs: bytes) -> None:
        for blob in blobs:
            self.context.writer.put_blob(self.repository, blob)

    def _require_room(self, there: int, where: str) -> None:
        if there >= MAX_SIGNATURES:
            msg = f"{where} has {there} signatures, and no more than {MAX_SIGNATURES} are verified; remove useless ones"
            raise SigningError(msg)

    def _result(  # noqa: PLR0913, PLR0917 - a result of these parts
        self, outcome: SigningOutcome, location: str, digest: Digest, size: int, update: TagUpdate | None = None
    ) -> SigningResult:
        public = self.signer.key.public
        return SigningResult(
            outcome=outcome,
            fingerprint=public.fingerprint,
            key_version=public.version,
            algorithm=public.algorithm.value,
            location=location,
            digest=digest,
            size=size,
            contested=update is not None and outcome is SigningOutcome.SIGNED,
            repairs=0 if update is None else max(update.writes - 1, 0),
        )
