"""A trusted file of `targets` or of a delegation: which tags it names, with which digests."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sealgate.formats.notary.wire.metadata import FileHashes, RoleKeys, SignedFile, read_delegations, read_hashes
from sealgate.parsing.evidence import object_member

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealgate.formats.notary.signatures import Signers
    from sealgate.references import Digest


@dataclass(frozen=True, slots=True)
class TargetsFile:
    """What one role says about tags.

    Attributes:
        file: the file.
        role: the role, with the tags that it may name.
        signers: who has signed the file.
        entries: what it says, by tag, not taken apart yet.
        delegations: the roles below it, with no more tags than it may name itself.
    """

    file: SignedFile
    role: RoleKeys
    signers: Signers
    entries: Mapping[str, object]
    delegations: Mapping[str, RoleKeys]

    def entry(self, tag: str) -> FileHashes | None:
        """Return what the role says about a tag; None when it says nothing, or may not.

        Raises:
            VerificationError: what it says is malformed.
        """
        if tag not in self.entries or not self.role.may_name(tag):
            return None
        return read_hashes(self.entries, tag, self.file.what)

    def tags_naming(self, digest: Digest) -> Iterator[str]:
        """Return the tags that seem to name a digest; `entry` says whether one does."""
        wanted = b64encode(bytes.fromhex(digest.removeprefix("sha256:"))).decode()
        for tag, entry in self.entries.items():
            hashes = entry.get("hashes") if isinstance(entry, dict) else None
            if isinstance(hashes, dict) and hashes.get("sha256") == wanted:
                yield tag


def read_targets(file: SignedFile, role: RoleKeys, signers: Signers) -> TargetsFile:
    """Take a trusted file apart.

    Raises:
        VerificationError: it is malformed.
    """
    delegations = {
        name: replace(child, paths=tuple(path for path in child.paths if path.startswith(role.paths)))
        for name, child in read_delegations(file).items()
    }
    return TargetsFile(file, role, signers, object_member(file.members, "targets", file.what), delegations)
