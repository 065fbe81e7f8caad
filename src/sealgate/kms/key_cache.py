"""Cache of the keys in KMSs, for the command line and the webhook with policy files.

Without an operator nothing writes keys into a status. `KMSKeyCache.refresh` reads the keys that are due, in the thread
of its caller; verification uses the cached keys and never waits for a KMS. A key that expired, because its KMS was
unavailable for too long, is not used: its authenticator is then not ready.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.dependencies import kms_entries
from sealgate.api.v1alpha1.status import AuthenticatorStatus, KeyStatus
from sealgate.budgets import Budgets
from sealgate.errors import UnavailableError
from sealgate.http.services import ServiceClient
from sealgate.keys.status_keys import StatusKeys
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.kms.credentials import Identities
from sealgate.kms.key_source import FETCH_SECONDS, RETRY_SECONDS, KMSKeySource
from sealgate.kms.resolve import REFRESH_SECONDS, remaining_keys
from sealgate.reasons import Reason
from sealgate.service_secrets import MappingServiceSecrets

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.clocks import Clock
    from sealgate.http.dns import Resolver
    from sealgate.http.settings import HostSettings
    from sealgate.keys.public_keys import PublicKey

#: Keys that are asked for at the same time.
_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class _Known:
    """The result of the last read of a key.

    Attributes:
        keys: each version of the key.
        due: when it is read again, in the clock's monotonic seconds.
    """

    keys: tuple[KeyStatus, ...]
    due: float


class KMSKeyCache:
    """Keys of the `kms` entries of policy files. Thread-safe.

    Args:
        settings: how services are reached.
        clock: the time.
        resolver: names to addresses; the machine's own by default.
        refresh: interval between two reads of a key in seconds; a key stays valid for three times as long.
        identities: of the process; none by default.
    """

    def __init__(
        self,
        settings: HostSettings,
        clock: Clock,
        *,
        resolver: Resolver | None = None,
        refresh: float = REFRESH_SECONDS,
        identities: Identities | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._resolver = resolver
        self._refresh = refresh
        self._identities = identities or Identities()
        self._budgets = Budgets(REQUESTS_PER_MINUTE, BURST, clock)
        self._lock = threading.Lock()
        self._known: dict[KeyEntry, _Known] = {}

    def refresh(
        self,
        authenticators: Iterable[Authenticator],
        secrets: Mapping[str, Mapping[str, bytes]],
        seconds: float = FETCH_SECONDS,
    ) -> None:
        """Fetch every key that is due, and evict those that no authenticator names any more.

        A key that cannot be read is not an error here: `public_keys` reports it afterwards.

        Args:
            authenticators: the authenticators in force.
            secrets: decoded data of the Secrets that hold the credentials, by the Secret's name.
            seconds: limit for fetching one key.

        Raises:
            ConfigError: a CA bundle of the settings does not parse.
        """
        entries = kms_entries(authenticators)
        now = self._clock.monotonic()
        with self._lock:
            known = {entry: found for entry in entries if (found := self._known.get(entry)) is not None}
            self._known = known
        due = [entry for entry in entries if entry not in known or known[entry].due <= now]
        if not due:
            return
        # Seldom enough for connections of its own: kept ones would have been closed by the other side.
        with (
            ServiceClient(self._settings, clock=self._clock, resolver=self._resolver) as network,
            ThreadPoolExecutor(min(_TOGETHER, len(due)), thread_name_prefix="kms") as pool,
        ):
            keys = KMSKeySource(
                network, MappingServiceSecrets(secrets), self._clock, self._refresh, self._budgets, self._identities
            )
            reads = [pool.submit(self._read, keys, entry, known.get(entry), seconds) for entry in due]
            # An unexpected error with one key must not discard the others.
            unexpected = [error for read in reads if (error := read.exception()) is not None]
            fresh = {entry: read.result() for entry, read in zip(due, reads, strict=True) if read.exception() is None}
        with self._lock:
            self._known.update(fresh)
        if unexpected:
            raise unexpected[0]

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        """Return the keys behind a `kms` entry as they were last read; see `sealgate.keys.resolvers.KMSKeyReader`."""
        assert entry.kms is not None  # noqa: S101 - checked by the caller
        with self._lock:
            known = self._known.get(entry)
            same = (found for at, found in self._known.items() if at.kms and at.kms.is_same_key(entry.kms))
            keys = tuple(key for found in ([known] if known else same) for key in found.keys)
        if not keys:
            msg = f"{entry.kms.source}: it has not been asked for yet; ask again in a moment"
            raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)
        # Not validated: the status of an object has limits that memory has not.
        status = AuthenticatorStatus.model_construct(keys=keys)
        return StatusKeys(status, self._clock.now()).public_keys(entry)

    def state(self) -> Hashable:
        """Return a value that changes whenever a result of `public_keys` does: by a read, or because a key expired."""
        now = self._clock.now()
        with self._lock:
            keys = [key for found in self._known.values() for key in found.keys]
        usable = frozenset((key.source, key.key_version, key.pem) for key in keys if key.is_usable(now))
        return usable, frozenset((key.source, key.key_version, key.message) for key in keys if key.message)

    def _read(self, keys: KMSKeySource, entry: KeyEntry, known: _Known | None, seconds: float) -> _Known:
        now = self._clock.monotonic()
        try:
            found = keys.fetch(entry, seconds)
        except UnavailableError as error:
            kept = remaining_keys(entry, known.keys if known else (), error, self._clock.now())
            return _Known(kept, now + min(RETRY_SECONDS, self._refresh))
        return _Known(found, now + self._refresh)
