"""Keys out of KMSs, for those who keep what they find in a status, and for those who keep it in memory.

`KMSKeys` looks at one key whenever it is asked to: that is for the operator, which writes down what it finds.
`KMSKeeper` is for the command line and for standalone mode, where there is no operator. It looks again and again, in
the time of whoever calls `refresh`; verification only sees what it has. A key that ended, because its KMS could not be
asked for too long, is not used: its authenticator is then not ready.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachetools import TTLCache

from sealgate.api.v1alpha1.status import AuthenticatorStatus, KeyStatus
from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.errors import DeadlineError, UnavailableError
from sealgate.keys.status_keys import StatusKeys
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE, BudgetedServices
from sealgate.kms.resolve import REFRESH_SECONDS, remaining_keys, resolve_kms
from sealgate.manifests.policies import kms_entries
from sealgate.reasons import Reason
from sealgate.registry.client import RegistryClient
from sealgate.service_secrets import StandaloneServiceSecrets

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from datetime import datetime

    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.clocks import Clock
    from sealgate.http.dns import Resolver
    from sealgate.http.settings import RegistrySettings
    from sealgate.keys.public_keys import PublicKey
    from sealgate.manifests.loading import PolicyFiles
    from sealgate.service_secrets import ServiceSecrets

#: Seconds that asking for one key may take, and until it is asked for again after it could not be.
FETCH_SECONDS = 20.0
RETRY_SECONDS = 30.0
#: Keys whose last answer is remembered by `KMSKeys`.
MAX_ANSWERS = 1000
#: Keys that are asked for at the same time.
_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last look at a key found.

    Attributes:
        keys: each version of the key.
        due: when the next look is, in the clock's monotonic seconds.
    """

    keys: tuple[KeyStatus, ...]
    due: float


class KMSKeys:
    """Keys in KMSs, as they are right now: what the operator calls a source of keys. Thread-safe.

    Args:
        network: how services are reached.
        secrets: where credentials are.
        clock: the time.
        refresh_seconds: between two looks at a key; it may be used for three times as long.
        budgets: of the services; its own by default.
    """

    def __init__(
        self,
        network: RegistryClient,
        secrets: ServiceSecrets,
        clock: Clock,
        refresh_seconds: float = REFRESH_SECONDS,
        budgets: Budgets | None = None,
    ) -> None:
        self._network = network
        self._secrets = secrets
        self._clock = clock
        self._budgets = budgets or Budgets(REQUESTS_PER_MINUTE, BURST, clock)
        self._refresh_seconds = refresh_seconds
        # Objects are looked at after every change of anything they name, a service only when it is time again.
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

    def look(self, entry: KeyEntry, seconds: float = FETCH_SECONDS) -> tuple[KeyStatus, ...]:
        """Ask for the key of a `kms` entry; see `sealgate.kms.resolve.resolve_kms`.

        A service that let a deadline pass in silence is not asked for a moment, so that its keys do not keep those of
        others waiting until they end.

        Raises:
            UnavailableError: nothing could be found out.
        """
        assert entry.kms is not None  # noqa: S101 - nobody asks about others
        service = entry.kms.service
        with self._lock:
            silence = self._silent.get(service)
        if silence is not None:
            raise UnavailableError(f"{silence.message}; it is asked again in a moment", reason=silence.reason)
        deadline = Deadline.after(self._clock, seconds)
        services = BudgetedServices(self._network.services(deadline), self._budgets, deadline)
        try:
            return resolve_kms(entry, self._secrets, services, self._clock, refresh=self._refresh_seconds)
        except DeadlineError as error:
            with self._lock:
                self._silent[service] = error
            raise

    def observe(self, entry: KeyEntry, known: Sequence[KeyStatus], now: datetime) -> tuple[KeyStatus, ...]:
        """Return each version of the key of a `kms` entry, refused ones with reason and message. Never raises.

        An answer stands for half of the time between two looks. While the service does not answer, what was known
        stays as it is until it ends.

        Args:
            entry: what the spec says.
            known: what the status says about this key.
            now: the time.
        """
        with self._lock:
            answer = self._answers.get(entry)
        if answer is None:
            try:
                answer = self.look(entry)
            except UnavailableError as error:
                return remaining_keys(entry, known, error, now)
            with self._lock:
                self._answers[entry] = answer
        return answer

    def again_after(self, entry: KeyEntry) -> float:
        """Return the seconds after which the key is to be observed once more: sooner where nothing was found out."""
        with self._lock:
            answered = entry in self._answers
        return self._refresh_seconds if answered else min(RETRY_SECONDS, self._refresh_seconds)


class KMSKeeper:
    """Keys of the `kms` entries of policy files. Thread-safe.

    Args:
        settings: how services are reached.
        clock: the time.
        resolver: names to addresses; the machine's own by default.
        refresh: seconds between two looks at a key; it is used for three times as long.
    """

    def __init__(
        self,
        settings: RegistrySettings,
        clock: Clock,
        *,
        resolver: Resolver | None = None,
        refresh: float = REFRESH_SECONDS,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._resolver = resolver
        self._refresh = refresh
        self._budgets = Budgets(REQUESTS_PER_MINUTE, BURST, clock)
        self._lock = threading.Lock()
        self._known: dict[KeyEntry, _Known] = {}

    def refresh(self, files: PolicyFiles, seconds: float = FETCH_SECONDS) -> None:
        """Look at every key that is due, and forget those that no policy file names any more.

        What cannot be found out is no error here: it is what `public_keys` says afterwards.

        Args:
            files: the policies in force, with the Secrets that hold the credentials.
            seconds: that asking for one key may take.

        Raises:
            ConfigError: a CA bundle of the settings does not parse.
        """
        entries = kms_entries(files)
        now = self._clock.monotonic()
        with self._lock:
            known = {entry: found for entry in entries if (found := self._known.get(entry)) is not None}
            self._known = known
        due = [entry for entry in entries if entry not in known or known[entry].due <= now]
        if not due:
            return
        # Seldom enough for connections of its own: kept ones would have been closed by the other side.
        with (
            RegistryClient(self._settings, clock=self._clock, resolver=self._resolver) as network,
            ThreadPoolExecutor(min(_TOGETHER, len(due)), thread_name_prefix="kms") as pool,
        ):
            keys = KMSKeys(network, StandaloneServiceSecrets(files.secrets), self._clock, self._refresh, self._budgets)
            looks = [pool.submit(self._look, keys, entry, known.get(entry), seconds) for entry in due]
            # One that ends in an error that nobody has thought of must not take the others with it.
            unexpected = [error for look in looks if (error := look.exception()) is not None]
            read = {entry: look.result() for entry, look in zip(due, looks, strict=True) if look.exception() is None}
        with self._lock:
            self._known.update(read)
        if unexpected:
            raise unexpected[0]

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        """Return the keys behind a `kms` entry as they were last read; see `sealgate.keys.resolvers.KMSKeySource`."""
        assert entry.kms is not None  # noqa: S101 - the caller has looked
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
        """Return what changes whenever `public_keys` comes to answer differently: by a look, or because a key ended."""
        now = self._clock.now()
        with self._lock:
            keys = [key for found in self._known.values() for key in found.keys]
        usable = frozenset((key.source, key.key_version, key.pem) for key in keys if key.is_usable(now))
        return usable, frozenset((key.source, key.key_version, key.message) for key in keys if key.message)

    def _look(self, keys: KMSKeys, entry: KeyEntry, known: _Known | None, seconds: float) -> _Known:
        now = self._clock.monotonic()
        try:
            found = keys.look(entry, seconds)
        except UnavailableError as error:
            kept = remaining_keys(entry, known.keys if known else (), error, self._clock.now())
            return _Known(kept, now + min(RETRY_SECONDS, self._refresh))
        return _Known(found, now + self._refresh)
