"""Trusted state in a directory of files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sealgate.clocks import SystemClock
from sealgate.messages import quote
from sealgate.trusted_state.records import _MAX_RECORD_BYTES, TrustKey, TrustRecord, decode_record, encode_record
from sealgate.trusted_state.stores import _unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.clocks import Clock

_LOCK_SECONDS = 5.0
_LOCK_PAUSE = 0.01


class DirectoryTrustedState:
    """Keeps records in a directory, one file for each repository; processes may share it.

    A file is replaced atomically, and by one writer at a time (`flock`), so that a crash leaves the old record or the
    new one.

    Args:
        directory: path of the directory; it is made, for this user only, if it does not exist.
        clock: measures how long to wait for another writer; the system's by default.
    """

    def __init__(self, directory: Path | str, clock: Clock | None = None) -> None:
        self._directory = Path(directory)
        self._clock = clock or SystemClock()

    def load(self, key: TrustKey) -> TrustRecord:
        """Return the record of a repository.

        Raises:
            UnavailableError: the file cannot be read, or is not a record of that repository.
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
        """Write the higher of the stored and the given record, and return it.

        Raises:
            UnavailableError: the directory cannot be written, or another writer keeps the lock.
        """
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked(key):
                stored = self.load(key)
                merged = stored.merged(record)
                if merged != stored:
                    self._replace(key, merged)
                return merged
        except OSError as error:
            raise _unavailable(f"the trusted state in {self._directory} cannot be written: {_cause(error)}") from error

    def describe(self, key: TrustKey) -> str:
        """Return the path of the file."""
        return f"the file {self._path(key)}"

    def _path(self, key: TrustKey) -> Path:
        return self._directory / f"{key.hashed}.json"

    @contextlib.contextmanager
    def _locked(self, key: TrustKey) -> Iterator[None]:
        # The lock has a file of its own, because the record's file is replaced while the lock is held.
        descriptor = os.open(self._directory / f"{key.hashed}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
                    raise _unavailable(
                        f"the trusted state in {self._directory} stays locked by another process"
                    ) from None
                self._clock.sleep(_LOCK_PAUSE)
            else:
                return

    def _replace(self, key: TrustKey, record: TrustRecord) -> None:
        descriptor, name = tempfile.mkstemp(prefix=f"{key.hashed}.", suffix=".tmp", dir=self._directory)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode_record(record, key))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path(key))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._sync_directory()

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _cause(error: OSError) -> str:
    return error.strerror or type(error).__name__
