"""Locks among the writers of one user on one machine: one writer at a time for what a lock names.

A lock is a lock of the operating system on a file (`flock`), so the death of its holder releases it. The files stay:
removing one would let two writers hold "the" lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sealgate.errors import ConfigError, DeadlineError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.clocks import Deadline

_PAUSE = 0.05


def default_lock_directory() -> Path:
    """Return the directory of locks that all processes of this user share: `~/.cache/sealgate/locks`.

    It does not depend on the session: a job of cron and a terminal of the same user must find the same locks.
    """
    home = os.path.expanduser("~")  # noqa: PTH111 - unlike Path.home() it does not fail for a user without a home directory
    return Path(os.environ.get("XDG_CACHE_HOME") or Path(home, ".cache"), "sealgate", "locks")


class RepositoryLocks:
    """Locks in a directory of files. Thread-safe; threads exclude each other as processes do.

    Args:
        directory: path of the directory; it is made, for this user only, if it does not exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def hold(self, name: str, deadline: Deadline) -> Iterator[None]:
        """Hold a lock; wait for it if another writer holds it.

        Args:
            name: what only one writer may write ("registry.example.org/team/app"); empty for no lock.
            deadline: until when to wait.

        Raises:
            DeadlineError: another writer still held it at the deadline.
            ConfigError: the file of the lock cannot be made.
        """
        if not name:
            yield
            return
        file = self._open(name)
        try:
            _wait(file, name, deadline)
            yield
        finally:
            os.close(file)

    def _open(self, name: str) -> int:
        path = self._directory / f"{hashlib.sha256(name.encode()).hexdigest()}.lock"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            msg = (
                f"the lock {quote(path)} cannot be made: {quote(error.strerror)}; set XDG_CACHE_HOME to a directory "
                "that can be written and that all signing jobs of this machine share"
            )
            raise ConfigError(msg) from error


def _wait(file: int, name: str, deadline: Deadline) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if deadline.remaining() <= 0:
                msg = f"another sealgate on this machine is still writing to {quote(name)}; try again later"
                raise DeadlineError(msg) from None
            deadline.clock.sleep(_PAUSE)
        else:
            return
