"""Deleting cosign's signatures in the `.sig` tag; those that refer to the image are `formats.referrer_removal`'s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealgate.errors import NotFoundError, VerificationError
from sealgate.formats.cosign import layouts
from sealgate.formats.cosign.wire import SIGNATURE_ANNOTATION
from sealgate.formats.interface import MAX_SIGNATURE_BYTES
from sealgate.formats.tag_updates import DELETING_HELP, SharedTag

if TYPE_CHECKING:
    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext
    from sealgate.references import Digest, Repository
    from sealgate.registry.interface import Manifest
    from sealgate.registry.manifests import Layer


@dataclass(frozen=True, slots=True)
class LayerRemoval:
    """A layer of the `.sig` tag; see `sealgate.formats.deleting.Removal`. The manifest goes with its last layer.

    Attributes:
        repository: where the tag is.
        tag: the tag.
        digest: of the layer.
        signature: as the layer's annotation has it; empty if it has none. Signatures of one text share a digest.
    """

    repository: Repository
    tag: str
    digest: Digest
    signature: str

    @classmethod
    def of(cls, repository: Repository, tag: str, layer: Layer) -> LayerRemoval:
        """Return the removal of a layer that was read."""
        return cls(repository, tag, layer.digest, layer.annotations.get(SIGNATURE_ANNOTATION, ""))

    @property
    def name(self) -> str:
        """See `Removal.name`."""
        return f"{self.repository.name}:{self.tag} {self.digest} {self.signature}"

    @property
    def lock_name(self) -> str:
        """Return the repository, as the signer does."""
        return self.repository.name

    def check(self) -> None:
        """See `Removal.check`. Whether the registry deletes manifests shows only when one is deleted."""

    def remove(self, image: Image, context: SigningContext) -> bool:
        """Write the tag without the layer; see `Removal.remove`."""
        tag = SharedTag(context, self.repository, self.tag, image.digest, DELETING_HELP)
        tag.remove(
            lambda manifest: all(self._kept(layouts.read_signatures(manifest, tag.name))),
            lambda manifest: self._without(manifest, tag.name, context),
        )
        return True

    def _kept(self, document: dict[str, Any]) -> list[bool]:
        """Return, for each layer of a manifest, whether it stays."""
        return [not self._is_own(layer) for layer in document["layers"]]

    def _is_own(self, layer: dict[str, Any]) -> bool:
        written = (layer.get("annotations") or {}).get(SIGNATURE_ANNOTATION)
        return (layer["digest"], written if isinstance(written, str) else "") == (self.digest, self.signature)

    def _without(self, manifest: Manifest, where: str, context: SigningContext) -> tuple[bytes, str] | None:
        document = layouts.read_signatures(manifest, where)
        kept = self._kept(document)
        if not any(kept):
            return None
        config = self._shrunk_config(document, kept, context)
        if config is not None:
            context.writer.put_blob(self.repository, config)
        return layouts.keep_signatures(document, kept, config), manifest.media_type

    def _shrunk_config(self, document: dict[str, Any], kept: list[bool], context: SigningContext) -> bytes | None:
        try:
            config = context.sources.registry.blob(self.repository, document["config"]["digest"], MAX_SIGNATURE_BYTES)
        except (NotFoundError, VerificationError):
            return None
        return layouts.shrink_config(config, kept)
