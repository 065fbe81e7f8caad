"""Protection against rollback: stores of the highest versions of signed metadata that were trusted so far.

For a format whose evidence is versioned (Notary v1), a record holds for each repository on each server the highest
version seen of every file, and the last trusted root. Records only go forward: `advance` keeps the higher of the stored
and the given record, in whichever order they come. They outlive restarts in a directory, and replicas share them if
they share that directory or another implementation of `TrustedState`.

A record that cannot be read is an error, never an empty record: a lost record would let a rollback through.
"""

from __future__ import annotations

import threading
from typing import Protocol

from sealgate.errors import UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.trusted_state.records import TrustKey, TrustRecord


class TrustedState(Protocol):
    """Store of records that only go forward. Thread-safe."""

    def load(self, key: TrustKey) -> TrustRecord:
        """Return the record for a key; an empty record if there has never been one.

        Raises:
            UnavailableError: the record cannot be read.
        """

    def advance(self, key: TrustKey, record: TrustRecord) -> TrustRecord:
        """Store a verified record; return the stored one: the higher of the former and the given, role by role.

        Raises:
            UnavailableError: the record cannot be written.
        """

    def describe(self, key: TrustKey) -> str:
        """Return the location of a record in words, so that an administrator can find and delete it."""


class UnconfiguredTrustedState:
    """Placeholder if no store is configured: every access is an error, so that nothing is verified without one."""

    def load(self, key: TrustKey) -> TrustRecord:
        """Raise `UnavailableError`."""
        raise self._error(key)

    def advance(self, key: TrustKey, record: TrustRecord) -> TrustRecord:
        """Raise `UnavailableError`."""
        del record
        raise self._error(key)

    def describe(self, key: TrustKey) -> str:
        """Return that there is no location."""
        del key
        return "nowhere"

    @staticmethod
    def _error(key: TrustKey) -> UnavailableError:
        return UnavailableError(
            f"the versions of {quote(key.name)} cannot be stored, because no trusted state is configured",
            reason=Reason.STATE_UNAVAILABLE,
        )


class MemoryTrustedState:
    """Keeps records in memory, until the process ends."""

    def __init__(self) -> None:
        self._records: dict[TrustKey, TrustRecord] = {}
        self._lock = threading.Lock()

    def load(self, key: TrustKey) -> TrustRecord:
        """Return the record for a key."""
        with self._lock:
            return self._records.get(key, TrustRecord())

    def advance(self, key: TrustKey, record: TrustRecord) -> TrustRecord:
        """Store the higher of the stored and the given record, and return it."""
        with self._lock:
            merged = self._records.get(key, TrustRecord()).merged(record)
            self._records[key] = merged
            return merged

    def describe(self, key: TrustKey) -> str:
        """Return that it is in memory."""
        del key
        return "this process's memory"


def _unavailable(message: str) -> UnavailableError:
    return UnavailableError(message, reason=Reason.STATE_UNAVAILABLE)
