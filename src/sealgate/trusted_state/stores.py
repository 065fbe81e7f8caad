"""What has been trusted before, so that nobody can serve yesterday's metadata again.

A format whose evidence is versioned (Notary v1) remembers, for each repository on each server, the highest version
seen of every file and the last trusted root. That memory only ever goes forward: `advance` keeps the higher of what
is stored and what is brought, whoever comes first. It outlives restarts in a folder, and replicas share it where
they share that folder or another implementation of `TrustedState`.

A record that cannot be read is an error, never an empty record: forgetting is how a rollback would get through.
"""

from __future__ import annotations

import threading
from typing import Protocol

from sealgate.errors import UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.trusted_state.records import TrustKey, TrustRecord


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


def _unavailable(message: str) -> UnavailableError:
    return UnavailableError(message, reason=Reason.STATE_UNAVAILABLE)
