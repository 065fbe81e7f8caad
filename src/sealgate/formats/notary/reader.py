"""Fetches the metadata of one repository, from its root down, each file trusted before the next is fetched.

`start` fetches root, timestamp and snapshot; files of targets are fetched when they are asked for, each once. Snapshot
and targets are fetched by their hash, so that a publication meanwhile does not spoil the reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, VerificationError
from sealgate.formats.notary.limits import LIMITS
from sealgate.formats.notary.wire.metadata import ROOT, SNAPSHOT, TIMESTAMP
from sealgate.parsing.evidence import malformed
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealgate.formats.notary.targets import TargetsFile
    from sealgate.formats.notary.trusted_metadata import TrustedMetadata
    from sealgate.formats.notary.wire.metadata import FileHashes, SignedFile
    from sealgate.trusted_state.records import TrustRecord


class TrustReader:
    """Reader of the metadata of one repository. Not thread-safe.

    Args:
        fetch: fetches a file by its name without `.json`, up to a number of bytes; raises `NotFoundError`.
        metadata: takes the files; still empty.
    """

    def __init__(self, fetch: Callable[[str, int], bytes], metadata: TrustedMetadata) -> None:
        self._fetch = fetch
        self._metadata = metadata

    @property
    def record(self) -> TrustRecord:
        """The versions of all trusted files that were read, and the root, to be stored; after `start`."""
        return self._metadata.record

    @property
    def root_file(self) -> SignedFile:
        """The trusted root, after `start`."""
        return self._metadata.root_file

    @property
    def read_targets(self) -> tuple[TargetsFile, ...]:
        """The trusted files that `targets` has returned or needed so far."""
        return self._metadata.read_targets

    @property
    def valid_until(self) -> datetime | None:
        """When the first of these files, or of the certificates of their signers, ends; UTC."""
        return self._metadata.valid_until

    def start(self) -> None:
        """Fetch root, timestamp and snapshot.

        Raises:
            RootChangedError: the snapshot lists another root; a reading from the start may succeed.
            VerificationError: root, timestamp or snapshot are not to be trusted.
            UnavailableError: one of them could not be fetched.
        """
        for version in self._metadata.start_root(self._get_root()):
            self._metadata.rotate_root(self._get(f"{version}.{ROOT}", ROOT, LIMITS.root_bytes))
        self._metadata.finish_root()
        self._metadata.update_timestamp(self._get(TIMESTAMP, TIMESTAMP, LIMITS.timestamp_bytes))
        self._metadata.update_snapshot(self._get_listed(SNAPSHOT, self._metadata.snapshot_hashes()))

    def targets(self, role: str) -> TargetsFile:
        """Return the trusted file of `targets` or of a delegation below it; fetch it first if need be.

        Raises:
            MissingRoleError: there is none.
            UnusableFileError: it, or one on the way to it, has expired, or too few of its keys have signed it.
            VerificationError: it, or one on the way to it, is not to be trusted for another reason.
            UnavailableError: it could not be fetched.
        """
        known = self._metadata.targets(role)
        if known is not None:
            return known
        parent = role.rpartition("/")[0]
        if parent:
            self.targets(parent)
        return self._metadata.update_targets(role, self._get_listed(role, self._metadata.targets_hashes(role)))

    def _get_listed(self, role: str, hashes: FileHashes) -> bytes:
        return self._get(f"{role}.{hashes.sha256.hex()}", role, hashes.length)

    def _get_root(self) -> bytes:
        try:
            return self._fetch(ROOT, LIMITS.root_bytes)
        except NotFoundError as error:
            msg = f"the notary server has no trust data for {self._metadata.gun}: no tag of it was ever signed there"
            raise VerificationError(msg, reason=Reason.NO_SIGNATURE) from error

    def _get(self, name: str, role: str, limit: int) -> bytes:
        try:
            return self._fetch(name, limit)
        except NotFoundError as error:
            # A repository that has a root has the rest; a file that another one lists must be there.
            raise malformed(self._metadata.describe(role), "the notary server does not have it") from error
