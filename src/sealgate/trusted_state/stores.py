"""What has been trusted before, so that nobody can serve yesterday's metadata again.

A format whose evidence is versioned (Notary v1) remembers, for each repository on each server, the highest version
seen of every file and the last trusted root. That memory only ever goes forward: `advance` keeps the higher of what
is stored and what is brought, whoever comes first. It outlives restarts in a folder, and replicas share it where
they share that folder or another implementation of `TrustedState`.

A record that cannot be read is an error, never an empty record: forgetting is how a rollback would get through.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from sealgate.clocks import SystemClock
from sealgate.errors import UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealgate.clocks import Clock

#: The file whose version belongs to `TrustRecord.root`.
ROOT: Final = "root"

_MAX_RECORD_BYTES = 16 << 20
_LOCK_SECONDS = 5.0
_LOCK_PAUSE = 0.01


@dataclass(frozen=True, slots=True)
class TrustKey:
    """What a record is about.

    Attributes:
        server: the server's address, in one spelling.
        name: the repository's full name there.
    """

    server: str
    name: str

    @property
    def hashed(self) -> str:
        """A name that is safe as a file's or an object's: 64 hex digits."""
        return hashlib.sha256(f"{self.server}\n{self.name}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """The highest versions seen, and the last trusted root.

    Attributes:
        versions: the highest version seen of each file, by its role ("root", "timestamp", "targets/releases").
        root: the exact bytes of the root whose version is `versions["root"]`; None when there is none.
    """

    versions: Mapping[str, int] = field(default_factory=dict)
    root: bytes | None = None

    def version(self, role: str) -> int:
        """Return the highest version seen of a role's file; 0 when none was."""
        return self.versions.get(role, 0)

    def merged(self, other: TrustRecord) -> TrustRecord:
        """Return the higher of both, role by role; of two equally high roots, this record's."""
        versions = {
            role: max(self.version(role), other.version(role))
            for role in sorted(self.versions.keys() | other.versions.keys())
        }
        root = other.root if other.version(ROOT) > self.version(ROOT) else self.root
        return TrustRecord(versions, root)


class TrustedState(Protocol):
    """A memory that only goes forward. Thread-safe."""

    def load(self, key: TrustKey) -> TrustRecord:
        """Return what is remembered; an empty record when nothing ever was.

        Raises:
            UnavailableError: it cannot be read.
        """

    def advance(self, key: TrustKey, record: TrustRecord) -> TrustRecord:
        """Remember a verified record and return what is remembered now: the higher of both, role by role.

        Raises:
            UnavailableError: it cannot be written.
        """

    def describe(self, key: TrustKey) -> str:
        """Return where the record is, as a person would look for it to remove it on purpose."""


class UnconfiguredTrustedState:
    """Stands where no memory was set up: asking it is an error, so that nothing is verified without one."""

    def load(self, key: TrustKey) -> TrustRecord:
        """Refuse."""
        raise self._error(key)

    def advance(self, key: TrustKey, record: TrustRecord) -> TrustRecord:
        """Refuse."""
        del record
        raise self._error(key)

    def describe(self, key: TrustKey) -> str:
        """Return that there is none."""
        del key
        return "nowhere"

    @staticmethod
    def _error(key: TrustKey) -> UnavailableError:
        return UnavailableError(
            f"the versions of {quote(key.name)} cannot be remembered, because no trusted state is set up",
            reason=Reason.STATE_UNAVAILABLE,
        )


class MemoryTrustedState:
    """Remembers for as long as the process lives."""

    def __init__(self) -> None:
        self._records: dict[TrustKey, TrustRecord] = {}
        self._lock = threading.Lock()

    def load(self, key: TrustKey) -> TrustRecord:
        """Return what is remembered."""
        with self._lock:
            return self._records.get(key, TrustRecord())

    def advance(self, key: TrustKey, record: TrustRecord) -> TrustRecord:
        """Remember the higher of both, and return it."""
        with self._lock:
            merged = self._records.get(key, TrustRecord()).merged(record)
            self._records[key] = merged
            return merged

    def describe(self, key: TrustKey) -> str:
        """Return where it is."""
        del key
        return "this process's memory"


class FolderTrustedState:
    """Remembers in a folder, one file for each repository; processes may share it.

    A file is replaced whole or not at all, and by one writer at a time (`flock`), so a crash leaves the old record
    or the new one.

    Args:
        folder: made, for this user only, if it does not exist.
        clock: what waiting for another writer is measured on.
    """

    def __init__(self, folder: Path | str, clock: Clock | None = None) -> None:
        self._folder = Path(folder)
        self._clock = clock or SystemClock()

    def load(self, key: TrustKey) -> TrustRecord:
        """Return what is remembered.

        Raises:
            UnavailableError: the file is there and cannot be read, or is not a record of that repository.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_RECORD_BYTES + 1)
        except FileNotFoundError:
            return TrustRecord()
        except OSError as error:
            raise _unavailable(f"the trusted state in {path} cannot be read: {_cause(error)}") from error
        try:
            return decode_record(data, key)
        except ValueError as error:
            raise _unavailable(
                f"the trusted state in {path} is damaged ({quote(error)}): restore it, or remove it on purpose"
            ) from error

    def advance(self, key: TrustKey, record: TrustRecord) -> TrustRecord:
        """Write the higher of both, and return it.

        Raises:
            UnavailableError: the folder cannot be written, or another writer does not come to an end.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked(key):
                stored = self.load(key)
                merged = stored.merged(record)
                if merged != stored:
                    self._replace(key, merged)
                return merged
        except OSError as error:
            raise _unavailable(f"the trusted state in {self._folder} cannot be written: {_cause(error)}") from error

    def describe(self, key: TrustKey) -> str:
        """Return the file."""
        return f"the file {self._path(key)}"

    def _path(self, key: TrustKey) -> Path:
        return self._folder / f"{key.hashed}.json"

    @contextlib.contextmanager
    def _locked(self, key: TrustKey) -> Iterator[None]:
        # The lock has a file of its own, because the record's file is replaced while the lock is held.
        descriptor = os.open(self._folder / f"{key.hashed}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._wait_for_lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _wait_for_lock(self, descriptor: int) -> None:
        until = self._clock.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock.monotonic() >= until:
                    raise _unavailable(f"the trusted state in {self._folder} stays locked by another process") from None
                self._clock.sleep(_LOCK_PAUSE)
            else:
                return

    def _replace(self, key: TrustKey, record: TrustRecord) -> None:
        descriptor, name = tempfile.mkstemp(prefix=f"{key.hashed}.", suffix=".tmp", dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode_record(record, key))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path(key))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def encode_record(record: TrustRecord, key: TrustKey) -> bytes:
    """Return a record as JSON that says what it is about."""
    root = None if record.root is None else base64.b64encode(record.root).decode()
    members = {"server": key.server, "name": key.name, "versions": dict(record.versions), "root": root}
    return json.dumps(members, sort_keys=True, indent=1).encode() + b"\n"


def decode_record(data: bytes, key: TrustKey) -> TrustRecord:
    """Return the record that `encode_record` wrote.

    Raises:
        ValueError: it is not one, or it is about something else.
    """
    if len(data) > _MAX_RECORD_BYTES:
        raise ValueError("it is larger than a record can be")
    try:
        members = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(members, dict) or members.keys() != {"server", "name", "versions", "root"}:
        raise ValueError("it does not have the members of a record")
    if (members["server"], members["name"]) != (key.server, key.name):
        raise ValueError("it is about another repository")
    record = TrustRecord(_decode_versions(members["versions"]), _decode_root(members["root"]))
    if (record.root is None) != (record.version(ROOT) == 0):
        raise ValueError("its root and the root's version do not fit")
    return record


def _decode_versions(versions: object) -> dict[str, int]:
    if not isinstance(versions, dict) or not all(type(version) is int and version > 0 for version in versions.values()):
        raise ValueError("its versions are not positive numbers")
    return versions


def _decode_root(root: object) -> bytes | None:
    if root is None:
        return None
    if not isinstance(root, str):
        raise ValueError("its root is not text")  # noqa: TRY004 - one error for everything that is no record
    try:
        return base64.b64decode(root, validate=True)
    except binascii.Error:
        raise ValueError("its root is not base64") from None


def _unavailable(message: str) -> UnavailableError:
    return UnavailableError(message, reason=Reason.STATE_UNAVAILABLE)


def _cause(error: OSError) -> str:
    return error.strerror or type(error).__name__
