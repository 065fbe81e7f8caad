"""Reading the metadata of one repository, from its root down, each file trusted before the next is fetched.

Root, timestamp and snapshot are read at once; files of targets when they are asked for, each once. Snapshot and
targets are fetched by their hash, so that somebody who publishes meanwhile does not spoil the reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, UnavailableError, VerificationError
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
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sealgate.formats.notary.pins import RootPin
    from sealgate.formats.notary.roots import Root
    from sealgate.formats.notary.signatures import Signers
    from sealgate.formats.notary.targets import TargetsFile
    from sealgate.formats.notary.wire.metadata import FileHashes, RoleKeys, SignedFile


class TrustReader:
    """The trusted metadata of one repository, read once.

    Args:
        fetch: fetches a file by its name without `.json`, of at most so many bytes; raises `NotFoundError`.
        gun: the repository's full name.
        pin: what its root must be.
        record: the highest versions seen before, and the last trusted root.
        now: the time.

    Raises:
        RootChangedError: it makes sense to read again from the start, once.
        VerificationError: root, timestamp or snapshot are not to be trusted.
        UnavailableError: one of them could not be fetched.
    """

    def __init__(
        self, fetch: Callable[[str, int], bytes], gun: str, pin: RootPin, record: TrustRecord, now: datetime
    ) -> None:
        self._fetch = fetch
        self._gun = gun
        self._pin = pin
        self._record = record
        self._now = now
        self._versions: dict[str, int] = {}
        self._files: dict[str, TargetsFile] = {}
        self._root = self._read_root()
        self._listed = self._read_snapshot(self._read_timestamp())

    @property
    def record(self) -> TrustRecord:
        """The versions of every file that was read here and is trusted, and the root: what is to be remembered."""
        return TrustRecord(dict(self._versions), self._root.file.raw)

    def targets(self, role: str) -> TargetsFile:
        """Return the trusted file of `targets` or of a delegation below it.

        Raises:
            MissingRoleError: there is none.
            UnusableFileError: it, or one on the way to it, has expired, or too few of its keys have signed it.
            VerificationError: it, or one on the way to it, is not to be trusted for another reason.
            UnavailableError: it could not be fetched.
        """
        if role not in self._files:
            self._files[role] = self._read_targets(role)
        return self._files[role]

    def _read_root(self) -> Root:
        newest = self._parse_root(self._get_root())
        self._check_version(newest.file)
        if self._record.root is None:
            self._check_pinned(newest)
        else:
            self._follow(self._remembered_root(self._record.root), newest)
        newest.file.check_expiry(self._now)
        self._versions[ROOT] = newest.file.version
        return newest

    def _follow(self, trusted: Root, newest: Root) -> None:
        """Go from the last trusted root to the newest, one version at a time."""
        steps = newest.file.version - trusted.file.version
        if steps > LIMITS.rotations:
            msg = f"{newest.file.what} is {steps} versions ahead of the last trusted one, more than {LIMITS.rotations}"
            raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
        if steps == 0 and newest.file.message != trusted.file.message:
            msg = f"{newest.file.what} is not the one that was trusted before as version {trusted.file.version}"
            raise VerificationError(msg, reason=Reason.ROLLBACK)
        for version in range(trusted.file.version + 1, newest.file.version):
            following = self._parse_root(self._get(f"{version}.{ROOT}", ROOT, LIMITS.root_bytes))
            check_successor(following, trusted)
            self._check_pinned(following)
            trusted = following
        if steps > 0:
            check_successor(newest, trusted)
        self._check_pinned(newest)

    def _check_pinned(self, root: Root) -> None:
        check_pinned(root, self._pin, self._gun, self._now)

    def _remembered_root(self, raw: bytes) -> Root:
        try:
            root = self._parse_root(raw)
        except VerificationError as error:
            msg = f"the remembered root of {self._gun} is damaged: {error.message}"
            raise UnavailableError(msg, reason=Reason.STATE_UNAVAILABLE) from error
        if root.file.version != self._record.version(ROOT):
            msg = f"the remembered root of {self._gun} is not of the remembered version"
            raise UnavailableError(msg, reason=Reason.STATE_UNAVAILABLE)
        return root

    def _parse_root(self, raw: bytes) -> Root:
        return read_root(raw, self._what(ROOT), LIMITS.root_bytes)

    def _read_timestamp(self) -> SignedFile:
        raw = self._get(TIMESTAMP, TIMESTAMP, LIMITS.timestamp_bytes)
        file = read_file(raw, TIMESTAMP, self._what(TIMESTAMP), LIMITS.timestamp_bytes)
        self._trust(file, self._root.roles[TIMESTAMP])
        return file

    def _read_snapshot(self, timestamp: SignedFile) -> Mapping[str, object]:
        """Return what the snapshot lists: hashes by role."""
        listed = object_member(timestamp.members, "meta", timestamp.what)
        file = self._get_listed(listed, SNAPSHOT, LIMITS.snapshot_bytes, timestamp.what)
        self._trust(file, self._root.roles[SNAPSHOT])
        listed = object_member(file.members, "meta", file.what)
        root = self._hashes(listed, ROOT, file.what)
        try:
            root.check(self._root.file.raw, self._root.file.what)
        except VerificationError as error:
            msg = f"{file.what} is about another root: {error.message}"
            raise RootChangedError(msg, reason=Reason.MALFORMED_EVIDENCE) from error
        return listed

    def _read_targets(self, role: str) -> TargetsFile:
        keys = self._role_keys(role)
        if role != TARGETS and role not in self._listed:
            raise MissingRoleError(f"nothing is published for {role} of {self._gun}", reason=Reason.NO_SIGNATURE)
        file = self._get_listed(self._listed, role, LIMITS.targets_bytes, self._what(SNAPSHOT))
        return read_targets(file, keys, self._trust(file, keys))

    def _role_keys(self, role: str) -> RoleKeys:
        parent = role.rpartition("/")[0]
        if not parent:
            return self._root.roles[role]
        keys = self.targets(parent).delegations.get(role)
        if keys is None:
            raise MissingRoleError(f"{self._gun} has no role {role}", reason=Reason.NO_SIGNATURE)
        return keys

    def _trust(self, file: SignedFile, keys: RoleKeys) -> Signers:
        """Check who signed a file, that it goes forward, and that its time has not passed."""
        signers = check_signatures(file, keys, self._now)
        self._check_version(file)
        file.check_expiry(self._now)
        self._versions[file.role] = file.version
        return signers

    def _check_version(self, file: SignedFile) -> None:
        seen = self._record.version(file.role)
        if file.version < seen:
            msg = f"{file.what} has version {file.version}, and version {seen} was seen before: it was rolled back"
            raise VerificationError(msg, reason=Reason.ROLLBACK)

    def _get_listed(self, listed: Mapping[str, object], role: str, limit: int, where: str) -> SignedFile:
        """Fetch a file by the hash that a trusted one lists for it."""
        hashes = self._hashes(listed, role, where)
        what = self._what(role)
        if hashes.length > limit:
            raise VerificationError(f"{what} is larger than {limit} bytes", reason=Reason.EVIDENCE_TOO_LARGE)
        raw = self._get(f"{role}.{hashes.sha256.hex()}", role, hashes.length)
        hashes.check(raw, what)
        return read_file(raw, role, what, limit)

    def _hashes(self, listed: Mapping[str, object], role: str, where: str) -> FileHashes:
        if role not in listed:
            raise malformed(where, f"it does not list {role}")
        return read_hashes(listed, role, where)

    def _get_root(self) -> bytes:
        try:
            return self._fetch(ROOT, LIMITS.root_bytes)
        except NotFoundError as error:
            msg = f"the notary server has no trust data for {self._gun}: no tag of it was ever signed there"
            raise VerificationError(msg, reason=Reason.NO_SIGNATURE) from error

    def _get(self, name: str, role: str, limit: int) -> bytes:
        try:
            return self._fetch(name, limit)
        except NotFoundError as error:
            # A repository that has a root has the rest; what other files promise must be there.
            raise malformed(self._what(role), "the notary server does not have it") from error

    def _what(self, role: str) -> str:
        return f"the {role} file of {self._gun}"
