"""Source of the keys of authenticators in key management services."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cachetools import TTLCache

from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.errors import DeadlineError, UnavailableError
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE, BudgetedServices
from sealgate.kms.credentials import KMSCredentials
from sealgate.kms.resolve import REFRESH_SECONDS, remaining_keys, resolve_kms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.api.v1alpha1.status import KeyStatus
    from sealgate.clocks import Clock
    from sealgate.http.services import ServiceClient
    from sealgate.kms.credentials import Identities
    from sealgate.service_secrets import ServiceSecrets

#: Timeout for reading one key, and delay before the next attempt after a failure, in seconds.
FETCH_SECONDS = 20.0
RETRY_SECONDS = 30.0
#: Capacity of the cache of `KMSKeySource`, in keys.
MAX_ANSWERS = 1000


class KMSKeySource:
    """Reads keys from KMSs: a `KeySource` of the operator. Thread-safe.

    Args:
        network: client for the services.
        secrets: source of the credentials.
        clock: the time.
        refresh_seconds: interval between two reads of a key; a key stays valid for three times as long.
        budgets: of the services; its own by default.
        identities: of the process; none by default.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what services are asked with
        self,
        network: ServiceClient,
        secrets: ServiceSecrets,
        clock: Clock,
        refresh_seconds: float = REFRESH_SECONDS,
        budgets: Budgets | None = None,
        identities: Identities | None = None,
    ) -> None:
        self._network = network
        self._credentials = KMSCredentials(secrets, identities)
        self._clock = clock
        self._budgets = budgets or Budgets(REQUESTS_PER_MINUTE, BURST, clock)
        self._refresh_seconds = refresh_seconds
        # Objects are reconciled after every change of what they name; a service is asked only when the key is due.
        self._answers: TTLCache[KeyEntry, tuple[KeyStatus, ...]] = TTLCache(
            MAX_ANSWERS, refresh_seconds / 2, timer=clock.monotonic
        )
        self._silent: TTLCache[str, DeadlineError] = TTLCache(
            MAX_ANSWERS, min(RETRY_SECONDS, refresh_seconds) / 2, timer=clock.monotonic
        )
        self._lock = threading.Lock()

    def name(self, entry: KeyEntry) -> str | None:
        """Return what `status.keys[].source` calls the entry's key; None if it is in no KMS."""
        return None if entry.kms is None else entry.kms.source

    def fetch(self, entry: KeyEntry, seconds: float = FETCH_SECONDS) -> tuple[KeyStatus, ...]:
        """Ask for the key of a `kms` entry; see `sealgate.kms.resolve.resolve_kms`.

        A service that let a deadline pass in silence is not asked for a moment, so that its keys do not keep those of
        others waiting until they end.

        Raises:
            UnavailableError: nothing could be found out.
        """
        assert entry.kms is not None  # noqa: S101 - callers pass no other entries
        service = entry.kms.service
        with self._lock:
            silence = self._silent.get(service)
        if silence is not None:
            raise UnavailableError(f"{silence.message}; it is asked again in a moment", reason=silence.reason)
        deadline = Deadline.after(self._clock, seconds)
        services = BudgetedServices(self._network.services(deadline), self._budgets, deadline)
        try:
            return resolve_kms(entry, self._credentials, services, self._clock, refresh=self._refresh_seconds)
        except DeadlineError as error:
            with self._lock:
                self._silent[service] = error
            raise

    def observe(self, entry: KeyEntry, known: Sequence[KeyStatus], now: datetime) -> tuple[KeyStatus, ...]:
        """Return each version of the key of a `kms` entry, refused ones with reason and message. Never raises.

        A response is cached for half of the interval between two reads. While the service does not answer, known keys
        stay until they expire.

        Args:
            entry: what the spec says.
            known: what the status says about this key.
            now: the time.
        """
        with self._lock:
            answer = self._answers.get(entry)
        if answer is None:
            try:
                answer = self.fetch(entry)
            except UnavailableError as error:
                return remaining_keys(entry, known, error, now)
            with self._lock:
                self._answers[entry] = answer
        return answer

    def refresh_after(self, entry: KeyEntry) -> float:
        """Return the seconds after which the key is to be observed once more: sooner where nothing was found out."""
        with self._lock:
            answered = entry in self._answers
        return self._refresh_seconds if answered else min(RETRY_SECONDS, self._refresh_seconds)
