"""Deleting a manifest that refers to an image, in whichever format its signatures are."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, SigningError
from sealgate.formats.referrers import MAX_REFERRERS, has_entry, index_entries, remove_referrer
from sealgate.formats.tag_updates import DELETING_HELP, SharedTag
from sealgate.registry.interface import OCI_INDEX
from sealgate.registry.names import referrers_tag

if TYPE_CHECKING:
    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext
    from sealgate.references import Digest, Repository
    from sealgate.registry.interface import Manifest


@dataclass(frozen=True, slots=True)
class ReferrerRemoval:
    """A manifest that refers to the image, with every signature in it; see `sealgate.formats.deleting.Removal`.

    Attributes:
        repository: where it is.
        digest: of the manifest.
    """

    repository: Repository
    digest: Digest

    @property
    def name(self) -> str:
        """See `Removal.name`."""
        return f"{self.repository.name}@{self.digest}"

    @property
    def lock_name(self) -> str:
        """Return the repository, as the signer does."""
        return self.repository.name

    def check(self) -> None:
        """See `Removal.check`. Whether the registry deletes manifests shows only when one is deleted."""

    def remove(self, image: Image, context: SigningContext) -> bool:
        """Remove the manifest from the list of referrers, and delete it; see `Removal.remove`.

        The index of the fallback tag is changed first, so that it never lists what is not there. A registry that
        deletes nothing keeps a manifest that it does not list, which no verifier finds.
        """
        unlisted = self._remove_from_index(image, context)
        try:
            context.writer.delete_manifest(self.repository, self.digest)
        except NotFoundError:
            pass
        except SigningError:
            if self._is_listed(image, context):
                raise
        return unlisted

    def _remove_from_index(self, image: Image, context: SigningContext) -> bool:
        """Return whether the fallback tag had the manifest."""
        tag = SharedTag(context, self.repository, referrers_tag(image.digest), image.digest, DELETING_HELP)
        there = tag.read()
        if there is None or not self._is_entry(there, tag.name):
            return False
        tag.remove(
            lambda index: not self._is_entry(index, tag.name),
            lambda index: (remove_referrer(index, self.digest, tag.name), OCI_INDEX),
        )
        return True

    def _is_entry(self, index: Manifest, where: str) -> bool:
        with suppress(SigningError):  # where a registry lists referrers itself, the tag may hold anything
            return has_entry(index_entries(index, where), self.digest)
        return False

    def _is_listed(self, image: Image, context: SigningContext) -> bool:
        listed = context.sources.registry.referrers(self.repository, image.digest, MAX_REFERRERS)
        return any(descriptor.digest == self.digest for descriptor in listed)
