"""Reads of the repository that holds an image's signatures and attestations, each of them bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, UnavailableError, VerificationError
from sealgate.formats.interface import MAX_SIGNATURE_BYTES
from sealgate.formats.referrers import MAX_REFERRERS
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from sealgate.references import Digest, Repository
    from sealgate.registry.interface import Descriptor, Manifest, Registry
    from sealgate.registry.manifests import Layer

# Payloads up to this size are kept: signatures by several keys often share one.
_KEPT_BYTES = 1 << 16


class SignatureStore:
    """The repository, for one verification. Not thread-safe.

    Args:
        registry: reads.
        repository: holds the signatures.
    """

    def __init__(self, registry: Registry, repository: Repository) -> None:
        self._registry = registry
        self._repository = repository
        self._kept: dict[Digest, bytes] = {}

    def tagged_manifest(self, tag: str, image: Digest) -> Manifest | None:
        """Return the manifest under a tag; None if there is none.

        Args:
            tag: the tag.
            image: the image. A registry may resolve the tag to the image that it names, which holds no signatures.

        Raises:
            VerificationError: the manifest is too large.
            UnavailableError: the registry could not be asked.
        """
        try:
            manifest = self._registry.manifest(self._repository, tag)
        except NotFoundError:
            return None
        return None if manifest.digest == image else manifest

    def referrers(self, image: Digest) -> tuple[Descriptor, ...]:
        """List what refers to the image; see `sealgate.registry.interface.Registry.referrers`."""
        return self._registry.referrers(self._repository, image, MAX_REFERRERS)

    def listed_manifest(self, digest: Digest) -> Manifest:
        """Fetch a manifest that a list names.

        Raises:
            VerificationError: it has other bytes, or too many.
            UnavailableError: it is missing, or the registry could not be asked.
        """
        try:
            return self._registry.manifest(self._repository, digest)
        except NotFoundError as error:
            raise _missing("manifest", digest) from error

    def blob(self, layer: Layer) -> bytes:
        """Fetch the blob of a layer, of at most `MAX_SIGNATURE_BYTES`.

        Raises:
            VerificationError: it has other bytes, or too many.
            UnavailableError: it is missing, or the registry could not be asked.
        """
        if layer.size > MAX_SIGNATURE_BYTES:
            msg = f"the blob of {layer.size} bytes is larger than the {MAX_SIGNATURE_BYTES} that are read"
            raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
        if layer.digest in self._kept:
            return self._kept[layer.digest]
        try:
            data = self._registry.blob(self._repository, layer.digest, MAX_SIGNATURE_BYTES)
        except NotFoundError as error:
            raise _missing("blob", layer.digest) from error
        if len(data) <= _KEPT_BYTES:
            self._kept[layer.digest] = data
        return data


def _missing(what: str, digest: Digest) -> UnavailableError:
    # Plain "not found" would mean that there is no signature; here one is listed and then withheld.
    msg = f"the registry lists the {what} {digest} and does not have it; push the signature again, or remove it"
    return UnavailableError(msg, reason=Reason.NOT_FOUND)
