"""Storing signatures and attestations of one image: as a layer of a tag, or as a manifest that refers to the image.

Both are written in the same steps: search for one by this key with this content; sign and verify with the public half;
upload what the manifest needs, and last the manifest, so that an interrupted run leaves blobs that nothing names.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealgate.errors import NotFoundError, SigningError, VerificationError
from sealgate.formats.cosign import layouts
from sealgate.formats.interface import MAX_SIGNATURE_BYTES, MAX_SIGNATURES
from sealgate.formats.referrers import MAX_REFERRERS, list_referrer, referrer_entry
from sealgate.formats.signing import SigningOutcome, SigningResult
from sealgate.formats.tag_updates import SharedTag
from sealgate.keys.signing_keys import sign_verified
from sealgate.messages import quote
from sealgate.registry.interface import OCI_MANIFEST
from sealgate.registry.manifests import parse_artifact_manifest
from sealgate.registry.names import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext
    from sealgate.formats.tag_updates import TagUpdate
    from sealgate.keys.signing_keys import SigningKey
    from sealgate.references import Digest, Repository
    from sealgate.registry.interface import Descriptor, Manifest
    from sealgate.registry.manifests import ArtifactManifest


@dataclass(frozen=True, slots=True)
class Writing:
    """The writes for one image.

    Attributes:
        key: signs.
        image: the image.
        repository: holds its signatures.
        context: reads and writes.
    """

    key: SigningKey
    image: Image
    repository: Repository
    context: SigningContext

    def sign(self, message: bytes) -> bytes:
        """Return a signature, verified with the public half."""
        return sign_verified(self.key, message, self.context.sources.deadline)

    def is_own(self, signature: bytes, message: bytes) -> bool:
        """Return whether the key has made a signature."""
        with suppress(VerificationError):
            self.key.public.verify(signature, message)
            return True
        return False

    def put_blobs(self, *blobs: bytes) -> None:
        """Upload blobs."""
        for blob in blobs:
            self.context.writer.put_blob(self.repository, blob)

    def blob(self, digest: Digest) -> bytes:
        """Fetch the blob of a signature; errors are those of `Registry.blob`."""
        return self.context.sources.registry.blob(self.repository, digest, MAX_SIGNATURE_BYTES)

    def store_layer(
        self,
        tag: str,
        find: Callable[[Mapping[str, Any]], dict[str, Any] | None],
        make: Callable[[dict[str, Any] | None], dict[str, Any]],
    ) -> SigningResult:
        """Add a layer to the manifest under a tag, unless one like it is there.

        Args:
            tag: the tag.
            find: returns the layer by this key with this content in a manifest's document; None if it has none.
            make: returns the layer, with its blob uploaded: what `find` found, or else a new one that it signs.
        """
        shared = SharedTag(self.context, self.repository, tag, self.image.digest)
        there = shared.read()
        layer = make(None if there is None else find(layouts.read_signatures(there, shared.name)))
        update = shared.update(
            lambda manifest: find(layouts.read_signatures(manifest, shared.name)) is not None,
            lambda manifest: self._with_layer(manifest, layer, shared.name),
        )
        outcome = SigningOutcome.SIGNED if update.writes else SigningOutcome.ALREADY_SIGNED
        return self._result(outcome, shared.name, update.manifest.digest, len(update.manifest.body), update)

    def _with_layer(self, there: Manifest | None, layer: dict[str, Any], where: str) -> tuple[bytes, str]:
        if there is None:
            body, config = layouts.classic_manifest(layer)
            self.put_blobs(config)
            return body, OCI_MANIFEST
        document = layouts.read_signatures(there, where)
        self._require_room(len(document["layers"]), where)
        grown = self._grown_config(document, layer)
        if grown is not None:
            self.put_blobs(grown)
        return layouts.append_signature(document, layer, grown), there.media_type

    def _grown_config(self, document: Mapping[str, Any], layer: dict[str, Any]) -> bytes | None:
        try:
            config = self.blob(document["config"]["digest"])
        except (NotFoundError, VerificationError):
            return None
        return layouts.extend_config(config, layer)

    def store_referrer(
        self,
        likely: Callable[[Descriptor], bool],
        is_known: Callable[[Manifest, ArtifactManifest], bool],
        make: Callable[[Manifest], tuple[bytes, str]],
    ) -> SigningResult:
        """Store a manifest that refers to the image, unless one like it is there.

        Args:
            likely: whether a referrer's descriptor may be that of one like it.
            is_known: whether a referrer is by this key with this content; may raise `NotFoundError` and
                `VerificationError` for what cannot be read.
            make: signs, uploads what the new manifest needs, and returns it with its artifact type; its argument is the
                image's manifest.
        """
        registry = self.context.sources.registry
        subject = registry.manifest(self.image.reference.repository, self.image.digest)
        known = self._known_referrer(likely, is_known)
        if known is not None:
            return self._result(
                SigningOutcome.ALREADY_SIGNED, self._location(known.digest), known.digest, len(known.body)
            )
        body, kind = make(subject)
        stored = self.context.writer.put_manifest(self.repository, digest_of(body), body, OCI_MANIFEST)
        update = list_referrer(stored, referrer_entry(body, kind), self.image.digest, self.repository, self.context)
        return self._result(SigningOutcome.SIGNED, self._location(stored.digest), stored.digest, len(body), update)

    def _known_referrer(
        self, likely: Callable[[Descriptor], bool], is_known: Callable[[Manifest, ArtifactManifest], bool]
    ) -> Manifest | None:
        registry = self.context.sources.registry
        listed = registry.referrers(self.repository, self.image.digest, MAX_REFERRERS)
        candidates = [descriptor for descriptor in listed if likely(descriptor)]
        for descriptor in candidates[:MAX_SIGNATURES]:
            # What cannot be read is not one of ours, and stays.
            with suppress(NotFoundError, VerificationError):
                manifest = registry.manifest(self.repository, descriptor.digest)
                artifact = parse_artifact_manifest(manifest, "the manifest")
                if artifact.subject == self.image.digest and is_known(manifest, artifact):
                    return manifest
        self._require_room(len(candidates), f"the referrers of {self.image.digest} in {quote(self.repository.name)}")
        return None

    def _location(self, digest: Digest) -> str:
        return f"{quote(self.repository.name)}@{digest}"

    def _require_room(self, there: int, where: str) -> None:
        if there >= MAX_SIGNATURES:
            msg = f"{where} has {there} signatures, and no more than {MAX_SIGNATURES} are verified; remove useless ones"
            raise SigningError(msg)

    def _result(  # noqa: PLR0913, PLR0917 - a result of these parts
        self, outcome: SigningOutcome, location: str, digest: Digest, size: int, update: TagUpdate | None = None
    ) -> SigningResult:
        public = self.key.public
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
