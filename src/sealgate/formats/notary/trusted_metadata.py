"""The trusted metadata of one repository, one file after the other, without fetching anything.

    metadata = TrustedMetadata(gun, pin, record, now)
    for version in metadata.start_root(newest): metadata.rotate_root(root of that version)
    metadata.finish_root()
    metadata.update_timestamp(raw)
    metadata.update_snapshot(raw)
    metadata.update_targets("targets", raw)      # then delegations below it

Each file is trusted before it says how the next one is checked: the keys of its role have signed it, its version is
not below one seen before, it has not expired, and it has the hash that a trusted file lists for it. The
version of a file with good signatures counts as seen even if its content is then refused. Another order of calls is a
mistake of the caller (`RuntimeError`), never a refusal.

Source: The Update Framework 0.9, section 5.1, as Notary v1 implements it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.clocks import earliest
from sealgate.errors import UnavailableError, VerificationError
from sealgate.formats.notary.errors import MissingRoleError, RootChangedError
from sealgate.formats.notary.limits import LIMITS
from sealgate.formats.notary.roots import check_pinned, check_successor, read_root
from sealgate.formats.notary.signatures import check_signatures
from sealgate.formats.notary.targets import read_targets
from sealgate.formats.notary.wire.metadata import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, read_file, read_hashes
from sealgate.parsing.evidence import malformed, object_member
from sealgate.reasons import Reason
from sealgate.trusted_state.records import TrustRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealgate.formats.notary.pins import RootPin
    from sealgate.formats.notary.roots import Root
    from sealgate.formats.notary.signatures import Signers
    from sealgate.formats.notary.targets import TargetsFile
    from sealgate.formats.notary.wire.metadata import FileHashes, RoleKeys, SignedFile


class TrustedMetadata:
    """The files of one repository that are trusted so far. Not thread-safe.

    Args:
        gun: full name of the repository (registry/path).
        pin: what its root must be.
        record: the highest versions seen before, and the last trusted root.
        now: the time at which files and certificates must be valid.
    """

    def __init__(self, gun: str, pin: RootPin, record: TrustRecord, now: datetime) -> None:
        self.gun = gun
        self._pin = pin
        self._record = record
        self._now = now
        self._versions: dict[str, int] = {}
        # While the root is followed: the newest one, and the last trusted one (None without a record).
        self._newest: Root | None = None
        self._previous: Root | None = None
        self._root: Root | None = None
        # What timestamp and snapshot list: hashes by role.
        self._timestamp: Mapping[str, object] | None = None
        self._snapshot: Mapping[str, object] | None = None
        self._targets: dict[str, TargetsFile] = {}
        self._valid_until: datetime | None = None

    @property
    def valid_until(self) -> datetime | None:
        """When the first of the trusted files, or of the certificates of their signers, ends; UTC."""
        return self._valid_until

    @property
    def record(self) -> TrustRecord:
        """The versions of all trusted files, and the root, to be stored."""
        return TrustRecord(dict(self._versions), self._trusted_root().file.raw)

    def start_root(self, raw: bytes) -> range:
        """Take the newest root, which is not trusted before `finish_root`.

        Returns:
            The versions between the last trusted root and this one. `rotate_root` must get each of them, in order.

        Raises:
            VerificationError: it is malformed, rolled back, or too far ahead.
            UnavailableError: the recorded root is damaged.
        """
        _require(self._newest is None, "the newest root comes first, and once")
        newest = self._parse_root(raw)
        self._check_version(newest.file)
        if self._record.root is None:
            self._newest = newest
            return range(0)
        previous = self._recorded_root(self._record.root)
        steps = newest.file.version - previous.file.version
        if steps > LIMITS.rotations:
            msg = f"{newest.file.what} is {steps} versions ahead of the last trusted one, more than {LIMITS.rotations}"
            raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
        if steps == 0 and newest.file.message != previous.file.message:
            msg = f"{newest.file.what} is not the one that was trusted before as version {previous.file.version}"
            raise VerificationError(msg, reason=Reason.ROLLBACK)
        self._newest, self._previous = newest, previous
        return range(previous.file.version + 1, newest.file.version)

    def rotate_root(self, raw: bytes) -> None:
        """Trust the root of the next version, which the keys of the one before it have signed.

        Raises:
            VerificationError: it is malformed, of another version, or not signed as it must be.
        """
        newest, previous = self._newest, self._previous
        if newest is None or previous is None or previous.file.version + 1 >= newest.file.version:
            raise RuntimeError("there is no root between the last trusted one and the newest")
        following = self._parse_root(raw)
        check_successor(following, previous)
        self._check_pinned(following)
        self._previous = following

    def finish_root(self) -> None:
        """Trust the newest root.

        Raises:
            VerificationError: it is not pinned, not signed by the keys of the root before it, or has expired.
        """
        newest, previous = self._newest, self._previous
        if newest is None or self._root is not None:
            raise RuntimeError("the newest root is finished once, after it was started")
        if previous is not None and newest.file.version > previous.file.version:
            _require(previous.file.version + 1 == newest.file.version, "a root between was not given")
            check_successor(newest, previous)
        ends = self._check_pinned(newest)
        newest.file.check_expiry(self._now)
        self._valid_until = earliest(ends, newest.file.expires)
        self._versions[ROOT] = newest.file.version
        self._root = newest

    def update_timestamp(self, raw: bytes) -> None:
        """Trust the timestamp.

        Raises:
            VerificationError: it is not to be trusted.
        """
        root = self._trusted_root()
        _require(self._timestamp is None, "the timestamp comes once")
        what = self.describe(TIMESTAMP)
        file = read_file(raw, TIMESTAMP, what, LIMITS.timestamp_bytes)
        self._trust(file, root.roles[TIMESTAMP])
        self._timestamp = object_member(file.members, "meta", what)

    def snapshot_hashes(self) -> FileHashes:
        """Return hashes and length of the snapshot that the timestamp lists.

        Raises:
            VerificationError: it is not listed, or too large.
        """
        if self._timestamp is None:
            raise RuntimeError("the timestamp comes before the snapshot")
        return self._hashes(self._timestamp, SNAPSHOT, self.describe(TIMESTAMP), LIMITS.snapshot_bytes)

    def update_snapshot(self, raw: bytes) -> None:
        """Trust the snapshot.

        Raises:
            RootChangedError: it lists another root; a reading from the start may succeed.
            VerificationError: it is not to be trusted for another reason.
        """
        root = self._trusted_root()
        hashes = self.snapshot_hashes()
        _require(self._snapshot is None, "the snapshot comes once")
        what = self.describe(SNAPSHOT)
        hashes.check(raw, what)
        file = read_file(raw, SNAPSHOT, what, LIMITS.snapshot_bytes)
        self._trust(file, root.roles[SNAPSHOT])
        listed = object_member(file.members, "meta", what)
        listed_root = _listed_hashes(listed, ROOT, what)
        try:
            listed_root.check(root.file.raw, root.file.what)
        except VerificationError as error:
            msg = f"{what} is about another root: {error.message}"
            raise RootChangedError(msg, reason=Reason.MALFORMED_EVIDENCE) from error
        self._snapshot = listed

    @property
    def root_file(self) -> SignedFile:
        """The trusted root, after `finish_root`."""
        return self._trusted_root().file

    @property
    def read_targets(self) -> tuple[TargetsFile, ...]:
        """The trusted files of `targets` and of delegations so far, in the order read."""
        return tuple(self._targets.values())

    def targets(self, role: str) -> TargetsFile | None:
        """Return the trusted file of a role; None before `update_targets`."""
        return self._targets.get(role)

    def targets_hashes(self, role: str) -> FileHashes:
        """Return hashes and length of the file of a role that the snapshot lists.

        Args:
            role: `targets`, or a delegation whose parent is trusted.

        Raises:
            MissingRoleError: there is no such role, or it has no file.
            VerificationError: its file is too large.
        """
        if self._snapshot is None:
            raise RuntimeError("the snapshot comes before targets")
        self._role_keys(role)
        if role != TARGETS and role not in self._snapshot:
            raise MissingRoleError(f"nothing is published for {role} of {self.gun}", reason=Reason.NO_SIGNATURE)
        return self._hashes(self._snapshot, role, self.describe(SNAPSHOT), LIMITS.targets_bytes)

    def update_targets(self, role: str, raw: bytes) -> TargetsFile:
        """Trust the file of a role.

        Raises:
            UnusableFileError: it has expired, or too few of its keys have signed it.
            VerificationError: see `targets_hashes`; or it is not to be trusted for another reason.
        """
        hashes = self.targets_hashes(role)
        _require(role not in self._targets, "a file of targets comes once")
        what, keys = self.describe(role), self._role_keys(role)
        hashes.check(raw, what)
        file = read_file(raw, role, what, LIMITS.targets_bytes)
        self._targets[role] = read_targets(file, keys, self._trust(file, keys))
        return self._targets[role]

    def describe(self, role: str) -> str:
        """Return the name of a role's file for a person."""
        return f"the {role} file of {self.gun}"

    def _trusted_root(self) -> Root:
        if self._root is None:
            raise RuntimeError("the root comes first")
        return self._root

    def _role_keys(self, role: str) -> RoleKeys:
        parent = role.rpartition("/")[0]
        if not parent:
            return self._trusted_root().roles[role]
        above = self._targets.get(parent)
        if above is None:
            raise RuntimeError(f"{parent} comes before {role}")
        keys = above.delegations.get(role)
        if keys is None:
            raise MissingRoleError(f"{self.gun} has no role {role}", reason=Reason.NO_SIGNATURE)
        return keys

    def _trust(self, file: SignedFile, keys: RoleKeys) -> Signers:
        """Check signatures, version and expiry of a file."""
        signers = check_signatures(file, keys, self._now)
        self._check_version(file)
        file.check_expiry(self._now)
        self._versions[file.role] = file.version
        self._valid_until = earliest(self._valid_until, signers.valid_until, file.expires)
        return signers

    def _check_version(self, file: SignedFile) -> None:
        seen = self._record.version(file.role)
        if file.version < seen:
            msg = f"{file.what} has version {file.version}, and version {seen} was seen before: it was rolled back"
            raise VerificationError(msg, reason=Reason.ROLLBACK)

    def _check_pinned(self, root: Root) -> datetime | None:
        return check_pinned(root, self._pin, self.gun, self._now)

    def _parse_root(self, raw: bytes) -> Root:
        return read_root(raw, self.describe(ROOT), LIMITS.root_bytes)

    def _recorded_root(self, raw: bytes) -> Root:
        try:
            root = self._parse_root(raw)
        except VerificationError as error:
            msg = f"the stored root of {self.gun} is damaged: {error.message}"
            raise UnavailableError(msg, reason=Reason.STATE_UNAVAILABLE) from error
        if root.file.version != self._record.version(ROOT):
            msg = f"the stored root of {self.gun} does not have the stored version"
            raise UnavailableError(msg, reason=Reason.STATE_UNAVAILABLE)
        return root

    def _hashes(self, listed: Mapping[str, object], role: str, where: str, limit: int) -> FileHashes:
        hashes = _listed_hashes(listed, role, where)
        if hashes.length > limit:
            msg = f"{self.describe(role)} is larger than {limit} bytes"
            raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
        return hashes


def _listed_hashes(listed: Mapping[str, object], role: str, where: str) -> FileHashes:
    if role not in listed:
        raise malformed(where, f"it does not list {role}")
    return read_hashes(listed, role, where)


def _require(condition: bool, order: str) -> None:  # noqa: FBT001 - a condition, not an option
    if not condition:
        raise RuntimeError(order)
