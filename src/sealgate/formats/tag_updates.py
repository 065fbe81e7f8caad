"""A tag that several writers change: read, add or remove, write, read again, until the change is there.

Where the registry honours `If-Match`, a write fails if another writer was faster. Elsewhere another writer that read
before this write may replace it: the change is then missing when the tag is read again, and is made again. An ETag
alone does not say which it is: docker-registry gives one and ignores the condition.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import ConflictError, ImmutableTagError, NotFoundError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.formats.signing import SigningContext
    from sealgate.references import Digest, Repository
    from sealgate.registry.interface import Manifest

#: How often a tag is written before the signer gives up, and the seconds between two attempts.
MAX_ATTEMPTS = 5
PAUSE = 1.0
_SIGNING_HELP = (
    "Nothing was changed. Use --storage referrers or bundle, exempt sha256-* from the rule that makes tags immutable, "
    "or store signatures in a repository without that rule (--signature-repository)"
)
#: What to do about an immutable tag when signatures are deleted.
DELETING_HELP = (
    "Nothing was changed. Exempt sha256-* from the rule that makes tags immutable, or delete the tag in the registry"
)


@dataclass(frozen=True, slots=True)
class TagUpdate:
    """What a tag holds after an update.

    Attributes:
        manifest: with the addition.
        writes: how often it was written: 0 if the addition was there, and once more for each time that another writer
            dropped it.
    """

    manifest: Manifest
    writes: int


@dataclass(frozen=True, slots=True)
class SharedTag:
    """A tag that several writers change.

    Attributes:
        context: reads and writes.
        repository: the repository.
        tag: the tag.
        image: digest of the image; some registries resolve the tag to the image itself if it does not exist.
        remedy: sentences that say what helps where the registry does not let the tag be changed.
    """

    context: SigningContext
    repository: Repository
    tag: str
    image: Digest
    remedy: str = _SIGNING_HELP

    @property
    def name(self) -> str:
        """The tag for a person."""
        return f"{quote(self.repository.name)}:{self.tag}"

    def read(self) -> Manifest | None:
        """Return what the tag names now; None if it does not exist.

        Raises:
            VerificationError: it cannot be verified.
            UnavailableError: the registry could not be asked.
        """
        try:
            manifest = self.context.sources.registry.manifest(self.repository, self.tag)
        except NotFoundError:
            return None
        return None if manifest.digest == self.image else manifest

    def update(
        self, holds: Callable[[Manifest], bool], extend: Callable[[Manifest | None], tuple[bytes, str]]
    ) -> TagUpdate:
        """Extend what the tag holds until it holds the addition.

        Args:
            holds: whether a manifest has the addition.
            extend: returns what the tag held with the addition, and its media type.

        Raises:
            ConflictError: other writers were faster each time.
            ImmutableTagError: the registry does not let the tag be changed.
            SigningError: what the tag holds cannot be extended, or the registry refuses the write.
            UnavailableError: the registry could not be asked.
        """
        there, writes = self._repeat(
            lambda there: there is not None and holds(there), lambda there: self._write(there, *extend(there))
        )
        assert there is not None  # noqa: S101 - for the type checker: what does not exist holds nothing
        return TagUpdate(there, writes)

    def remove(self, lacks: Callable[[Manifest], bool], shrink: Callable[[Manifest], tuple[bytes, str] | None]) -> None:
        """Remove something from what the tag holds until it is gone, and the manifest with the last that it holds.

        Args:
            lacks: whether a manifest does not have it.
            shrink: returns what the tag held without it, and its media type; None if nothing is left.

        Raises:
            ConflictError: other writers were faster each time.
            ImmutableTagError: the registry does not let the tag be changed.
            SigningError: what the tag holds cannot be changed, or the registry refuses the write or the deletion.
            UnavailableError: the registry could not be asked.
        """

        def step(there: Manifest | None) -> bool:
            assert there is not None  # noqa: S101 - for the type checker: what does not exist lacks everything
            rest = shrink(there)
            return self._delete(there) if rest is None else self._write(there, *rest)

        self._repeat(lambda there: there is None or lacks(there), step)

    def _repeat(
        self, done: Callable[[Manifest | None], bool], step: Callable[[Manifest | None], bool]
    ) -> tuple[Manifest | None, int]:
        """Repeat a step on what the tag holds now until it is done; return that, and how many steps had an effect."""
        there, attempts, written = self.read(), 0, 0
        while not done(there):
            if attempts == MAX_ATTEMPTS:
                msg = f"other writers changed the tag {self.name} {attempts} times in the meantime; try again"
                raise ConflictError(msg)
            attempts += 1
            written += step(there)
            there = self._read_back(done)
        return there, written

    def _read_back(self, done: Callable[[Manifest | None], bool]) -> Manifest | None:
        there = self.read()
        if done(there):
            return there
        # Some registries take a moment until they serve what they stored, and another writer may be under way.
        self.context.sources.deadline.check(f"changing the tag {self.name}")
        self.context.sources.clock.sleep(PAUSE)
        return self.read()

    def _delete(self, there: Manifest) -> bool:
        # By its digest: what another writer has stored under the tag in the meantime has another one, and stays.
        with suppress(NotFoundError):
            self.context.writer.delete_manifest(self.repository, there.digest)
        return True

    def _write(self, there: Manifest | None, body: bytes, media_type: str) -> bool:
        """Write the tag; return False if another writer was faster."""
        try:
            self.context.writer.put_manifest(self.repository, self.tag, body, media_type, replaces=there)
        except ImmutableTagError as error:
            raise ImmutableTagError(f"{error.message}. {self.remedy}") from error
        except ConflictError:
            return False
        return True
