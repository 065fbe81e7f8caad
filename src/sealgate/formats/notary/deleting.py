"""Taking a tag away from a role in Notary, so that the role no longer signs an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import SigningError
from sealgate.formats.notary.publishing import changes
from sealgate.formats.notary.publishing.publisher import Publisher
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.formats.interface import Image
    from sealgate.formats.notary.locations import NotaryServer
    from sealgate.formats.notary.pins import RootPin
    from sealgate.formats.notary.publishing.file_signing import KeyStore, NewFile
    from sealgate.formats.notary.publishing.repository import RepositoryState
    from sealgate.formats.notary.targets import TargetsFile
    from sealgate.formats.signing import SigningContext
    from sealgate.references import Digest, Repository


@dataclass(frozen=True, slots=True)
class TagRemoval:
    """A role's entry of a tag, with all signatures of the role's file over it; see `sealgate.formats.deleting.Removal`.

    Attributes:
        server: the notary server.
        pin: what the repository's root must be.
        repository: the repository.
        role: full name of the role.
        tag: the tag.
        keys: the private keys that sign the role's file anew; None where it was only listed.
    """

    server: NotaryServer
    pin: RootPin
    repository: Repository
    role: str
    tag: str
    keys: KeyStore | None = None

    @property
    def name(self) -> str:
        """See `Removal.name`."""
        return f"{self.server.base_of(self.repository)} {self.role} {self.tag}"

    @property
    def lock_name(self) -> str:
        """Return the repository's address, as the signer does."""
        return self.server.base_of(self.repository)

    def check(self) -> None:
        """See `Removal.check`. Whether the role's key is there shows only when its file is signed."""

    def remove(self, image: Image, context: SigningContext) -> bool:
        """Sign the role's file without the tag; see `Removal.remove`. A tag that names another image now stays."""
        assert self.keys is not None  # noqa: S101 - for the type checker: a deletion has them
        publisher = Publisher(self.repository, self.server, self.pin, self.keys, context)
        try:
            publisher.apply(lambda state: self._change(state, image))
        except SigningError as error:
            server = quote(self.server.url_of(self.repository))
            where = f"{self.repository.name}:{self.tag} --role {self.role} --server {server}"
            msg = f"{error.message}. With keys that are elsewhere: sealgate notary remove {where} --trust-dir DIR"
            raise type(error)(msg) from error
        return False

    def _change(self, state: RepositoryState, image: Image) -> Sequence[NewFile]:
        content = state.role(self.role).content
        named = content is not None and names(content, self.tag, image.digest)
        return changes.remove_tag(state, [self.role], self.tag) if named else []


def names(content: TargetsFile, tag: str, digest: Digest) -> bool:
    """Return whether a role's file names a digest by a tag.

    Raises:
        VerificationError: what it says of the tag is malformed.
    """
    entry = content.entry(tag)
    return entry is not None and f"sha256:{entry.sha256.hex()}" == digest
