"""The trust data of a repository as a writer needs it: the newest file of each role, trusted from the root down.

A writer reads files by their plain names, not by the hashes in the snapshot: the snapshot may be what is broken, and
the next version heals it. Each file that is extended must be signed by its role's keys, so that a writer never signs
what a stranger put there. Expiry is left aside for files that are about to be replaced.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from sealgate.errors import NotFoundError, SigningError, UnavailableError, VerificationError
from sealgate.formats.notary.errors import MissingRepositoryError, UnusableFileError
from sealgate.formats.notary.limits import LIMITS
from sealgate.formats.notary.roots import Root, check_pinned, check_successor, read_root
from sealgate.formats.notary.signatures import check_signatures
from sealgate.formats.notary.targets import TargetsFile, read_targets
from sealgate.formats.notary.wire.metadata import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    RoleKeys,
    SignedFile,
    is_delegation,
    read_file,
)
from sealgate.messages import quote
from sealgate.parsing.evidence import malformed
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealgate.formats.notary.pins import RootPin
    from sealgate.trusted_state.records import TrustRecord


#: Versions above are not looked for: the server that has them all makes them up.
_MAX_VERSION = 1 << 31


class RoleState(NamedTuple):
    """What is stored of one role of targets.

    Attributes:
        keys: who may sign for it, by the file above it.
        version: of the stored file; 0 if there is none.
        content: the file; None if there is none, or its signatures do not count: readers take it as absent, and what
            it names must not be signed anew.
    """

    keys: RoleKeys
    version: int
    content: TargetsFile | None


class RepositoryState:
    """The trust data of one repository, fetched when it is asked for, each file once. Not thread-safe.

    Args:
        fetch: fetches a file by its name without `.json`, up to a number of bytes; raises `NotFoundError`.
        gun: full name of the repository (registry/path).
        pin: what its root must be.
        record: the highest versions seen before, and the last trusted root.
        now: the time at which the root's certificates must be valid.
    """

    def __init__(
        self, fetch: Callable[[str, int], bytes], gun: str, pin: RootPin, record: TrustRecord, now: datetime
    ) -> None:
        self.gun = gun
        self.now = now
        self._fetch = fetch
        self._pin = pin
        self._record = record
        self._roles: dict[str, RoleState] = {}

    @cached_property
    def root(self) -> Root:
        """The newest root: pinned, and from the last trusted one signed version by version. It may have expired.

        Raises:
            MissingRepositoryError: the server has no trust data of the repository, and none was trusted before.
            VerificationError: it is not to be trusted, or no longer there.
            UnavailableError: it could not be fetched.
        """
        try:
            newest = self._read_root(ROOT)
        except NotFoundError as error:
            self._refuse_lost_root()
            msg = (
                f"the notary server has no trust data for {self.gun}; create it with: sealgate notary init {self.gun} "
                "(or sign with --init)"
            )
            raise MissingRepositoryError(msg) from error
        self._check_version(newest.file)
        if self._record.root is not None:
            self._follow(self._read_recorded(self._record.root), newest)
        check_pinned(newest, self._pin, self.gun, self.now)
        return newest

    def role(self, name: str) -> RoleState:
        """Return what is stored of `targets` or of a delegation below it.

        Raises:
            SigningError: there is no such role, or one above it is not validly signed.
            VerificationError: what is stored is malformed, rolled back, or of targets not validly signed.
            UnavailableError: it could not be fetched.
        """
        if name not in self._roles:
            self._roles[name] = self._read_role(name, self._keys_of(name))
        return self._roles[name]

    @cached_property
    def snapshot(self) -> SignedFile:
        """The newest snapshot, for writers that hold its key.

        Raises:
            VerificationError: it is malformed, or not signed by the root's snapshot key.
            UnavailableError: it could not be fetched.
        """
        try:
            raw = self._fetch(SNAPSHOT, LIMITS.snapshot_bytes)
        except UnavailableError:
            # A server that cannot find the snapshot by the hash in its timestamp, or whose snapshot has expired, still
            # has each version by its number.
            raw = self._newest_snapshot()
        file = read_file(raw, SNAPSHOT, self._describe(SNAPSHOT), LIMITS.snapshot_bytes)
        check_signatures(file, self.root.roles[SNAPSHOT], None)
        return file

    def check_expiry(self, role: str) -> None:
        """Refuse to extend a repository of which a file above a role has expired: readers would refuse it all the same.

        Args:
            role: the role to be signed; its own file is left aside.

        Raises:
            UnusableFileError: a file above has expired.
        """
        self.root.file.check_expiry(self.now)
        above = role.rpartition("/")[0]
        while above:
            content = self.role(above).content
            if content is not None:
                content.file.check_expiry(self.now)
            above = above.rpartition("/")[0]

    def _follow(self, previous: Root, newest: Root) -> None:
        steps = newest.file.version - previous.file.version
        if steps > LIMITS.rotations:
            msg = f"{newest.file.what} is {steps} versions ahead of the last trusted one, more than {LIMITS.rotations}"
            raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
        for version in range(previous.file.version + 1, newest.file.version):
            following = self._read_root(f"{version}.{ROOT}")
            check_successor(following, previous)
            previous = following
        if steps:
            check_successor(newest, previous)
        elif newest.file.message != previous.file.message:
            msg = f"{newest.file.what} is not the one that was trusted before as version {previous.file.version}"
            raise VerificationError(msg, reason=Reason.ROLLBACK)

    def _refuse_lost_root(self) -> None:
        """Raise if a root was trusted before: a server that hides it must not get a new repository in its place."""
        if self._record.root is not None:
            version = self._read_recorded(self._record.root).file.version
            msg = (
                f"the notary server has no trust data for {self.gun}, and its root version {version} was trusted "
                "before: it is hidden, or was deleted. If its owner deleted it, begin anew with another --state"
            )
            raise VerificationError(msg, reason=Reason.ROLLBACK)

    def _read_root(self, name: str) -> Root:
        return read_root(self._fetch(name, LIMITS.root_bytes), self._describe(ROOT), LIMITS.root_bytes)

    def _read_recorded(self, raw: bytes) -> Root:
        return read_root(raw, f"the stored root of {self.gun}", LIMITS.root_bytes)

    def _keys_of(self, name: str) -> RoleKeys:
        if name == TARGETS:
            return self.root.roles[TARGETS]
        content = self.role(name.rpartition("/")[0]).content if is_delegation(name) else None
        keys = None if content is None else content.delegations.get(name)
        if keys is None:
            msg = (
                f"{self.gun} has no role {quote(name)}; its owner adds it with: sealgate notary delegation add "
                f"{self.gun} CERTIFICATE --role {quote(name)}"
            )
            raise SigningError(msg)
        return keys

    def _read_role(self, name: str, keys: RoleKeys) -> RoleState:
        try:
            raw = self._fetch(name, LIMITS.targets_bytes)
        except NotFoundError as error:
            if name == TARGETS:
                raise malformed(self._describe(name), "the notary server does not have it") from error
            return RoleState(keys, 0, None)
        file = read_file(raw, name, self._describe(name), LIMITS.targets_bytes)
        self._check_version(file)
        try:
            signers = check_signatures(file, keys, None)
        except UnusableFileError:
            if name == TARGETS:
                raise
            return RoleState(keys, file.version, None)
        return RoleState(keys, file.version, read_targets(file, keys, signers))

    def _newest_snapshot(self) -> bytes:
        """Return the snapshot with the highest version, found by doubling and halving."""
        low, raw = 1, self._fetch(f"1.{SNAPSHOT}", LIMITS.snapshot_bytes)
        high = 2
        while (found := self._snapshot_version(high)) is not None:
            if high > _MAX_VERSION:
                raise malformed(self._describe(SNAPSHOT), "the notary server has one for every version")
            low, raw, high = high, found, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            found = self._snapshot_version(middle)
            if found is None:
                high = middle
            else:
                low, raw = middle, found
        return raw

    def _snapshot_version(self, version: int) -> bytes | None:
        try:
            return self._fetch(f"{version}.{SNAPSHOT}", LIMITS.snapshot_bytes)
        except NotFoundError:
            return None

    def _check_version(self, file: SignedFile) -> None:
        seen = self._record.version(file.role)
        if file.version < seen:
            msg = f"{file.what} has version {file.version}, and version {seen} was seen before: it was rolled back"
            raise VerificationError(msg, reason=Reason.ROLLBACK)

    def _describe(self, role: str) -> str:
        return f"the {role} file of {self.gun}"
