"""The shared cache as the verifier uses it: findings, digests of tags, single flight and budgets.

An answer for every caller has one name. An answer that was obtained with credentials has a name for each caller's
credentials at the image's repository, and says with which credentials it was obtained wherever else they were read; a
caller uses it only if its own are equal there, as far as it knows them without reading any. Credentials are compared by
a hash under the shared key, since every process hashes them under another.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from sealgate.findings import Outcome
from sealgate.registry.callers import OPEN, access_of, is_anonymous
from sealgate.shared_cache.findings import (
    SharedDigest,
    SharedFinding,
    decode_digest,
    decode_finding,
    encode_digest,
    encode_finding,
)
from sealgate.shared_cache.store import Slot
from sealgate.verification.caches import Cached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from sealgate.clocks import Clock, Deadline
    from sealgate.findings import Finding
    from sealgate.references import Digest
    from sealgate.registry.callers import Access
    from sealgate.shared_cache.budgets import SharedBudgets
    from sealgate.shared_cache.findings import SharedAccess
    from sealgate.shared_cache.flights import SharedFlights
    from sealgate.shared_cache.sealing import Kind, Part, SealingKey
    from sealgate.shared_cache.store import SealedStore
    from sealgate.verification.caches import FindingKey
    from sealgate.verification.repository_caller import RepositoryCaller
    from sealgate.verification.settings import VerifierSettings

T = TypeVar("T")
S = TypeVar("S", SharedFinding, SharedDigest)

#: The owner of an answer for every caller.
_EVERY_CALLER: tuple[str, ...] = ()


class SharedCache:
    """Implements `sealgate.verification.shared_level.SharedLevel`. Thread-safe.

    Args:
        store: sealed values.
        flights: work that other replicas do.
        budgets: budgets of all replicas together.
        settings: TTLs: nothing that is read is used for longer than it would be if it was made here.
        clock: measures the TTLs.
    """

    def __init__(
        self,
        store: SealedStore,
        flights: SharedFlights,
        budgets: SharedBudgets,
        settings: VerifierSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._flights = flights
        self._budgets = budgets
        self._settings = settings
        self._clock = clock

    def finding(self, key: FindingKey, caller: RepositoryCaller) -> AbstractContextManager[Cached[Finding] | None]:
        """Return a context whose value is the shared finding, or None if the caller is to make it."""
        find = partial(self._find_finding, key, caller)
        return self._flights.lead(self._work("finding", key, caller), find)

    def put_finding(
        self, key: FindingKey, finding: Finding, caller: RepositoryCaller, access: Access, seconds: float
    ) -> None:
        """Share a finding.

        Raises:
            ValueError: its outcome is *unavailable*.
        """
        # As in memory: a refusal that was obtained anonymously may be one for anonymous callers only.
        whole = finding.outcome is Outcome.VERIFIED and not finding.partial
        for_all = not access or (whole and is_anonymous(access))
        self._put("finding", key, partial(encode_finding, finding), caller, OPEN if for_all else access, seconds)

    def tag(self, tag: str, caller: RepositoryCaller) -> AbstractContextManager[Cached[Digest] | None]:
        """Return a context whose value is the shared digest of a tag, or None if the caller is to resolve it."""
        parts = (*caller.repository, tag)
        return self._flights.lead(self._work("tag", parts, caller), partial(self._find_digest, parts, caller))

    def put_tag(self, tag: str, digest: Digest, caller: RepositoryCaller, access: Access, seconds: float) -> None:
        """Share the digest of a tag."""
        shared_with = OPEN if is_anonymous(access) else access
        self._put("tag", (*caller.repository, tag), partial(encode_digest, digest), caller, shared_with, seconds)

    def reserve(self, host: str, deadline: Deadline, *, spare: bool = False) -> float:
        """Reserve a slot of the shared budget; see `SharedBudgets`.

        Raises:
            RateLimitedError: the slot would come after the deadline.
        """
        return self._budgets.reserve(host, deadline, spare=spare)

    def give_back(self, host: str) -> None:
        """Return a reserved slot that was not used."""
        self._budgets.give_back(host)

    def _find_finding(self, key: FindingKey, caller: RepositoryCaller) -> Cached[Finding] | None:
        decode = partial(decode_finding, authenticator=key.authenticator)
        found = self._find("finding", key, caller, decode)
        for shared, access, seconds in found:
            if shared.finding.outcome is Outcome.VERIFIED and not shared.finding.partial:
                return self._cached(shared.finding, access, min(seconds, self._settings.verified_seconds))
        for shared, access, seconds in found:
            return self._cached(shared.finding, access, min(seconds, self._settings.refused_seconds))
        return None

    def _find_digest(self, parts: tuple[str, ...], caller: RepositoryCaller) -> Cached[Digest] | None:
        for shared, access, seconds in self._find("tag", parts, caller, decode_digest):
            return self._cached(shared.digest, access, min(seconds, self._settings.tag_seconds))
        return None

    def _find(
        self, kind: Kind, parts: Sequence[Part], caller: RepositoryCaller, decode: Callable[[bytes], S]
    ) -> list[tuple[S, Access, float]]:
        """Return the values that the caller may use, each with its access here and the seconds until it expires."""
        found = []
        for slot, opened in self._store.get(self._slots(kind, parts, caller)):
            try:
                shared = decode(opened.payload)
            except ValueError:
                continue
            access = _local_access(slot.key, shared.access, caller)
            if access is not None:
                found.append((shared, access, opened.expires_at - self._store.now))
        return found

    def _slots(self, kind: Kind, parts: Sequence[Part], caller: RepositoryCaller) -> list[Slot]:
        slots = []
        for key in self._store.keys:
            slots.append(Slot(key, key.name(kind, [*parts, _EVERY_CALLER])))
            owner = _owner(key, caller)
            if owner:
                slots.append(Slot(key, key.name(kind, [*parts, owner])))
        return slots

    def _put(
        self,
        kind: Kind,
        parts: Sequence[Part],
        encode: Callable[[SharedAccess], bytes],
        caller: RepositoryCaller,
        access: Access,
        seconds: float,
    ) -> None:
        keys = self._store.keys
        if not keys:
            return
        shared = _shared_access(keys[0], access, caller)
        owner = _owner(keys[0], caller) if access else _EVERY_CALLER
        if shared is None or owner is None:
            return
        self._store.put(Slot(keys[0], keys[0].name(kind, [*parts, owner])), encode(shared), seconds)

    def _work(self, kind: Kind, parts: Sequence[Part], caller: RepositoryCaller) -> list[Part]:
        keys = self._store.keys
        owner = _owner(keys[0], caller) if keys else None
        return [kind, *parts, owner or _EVERY_CALLER]

    def _cached(self, value: T, access: Access, seconds: float) -> Cached[T]:
        return Cached(value, self._clock.monotonic() + seconds, access)


def _owner(key: SealingKey, caller: RepositoryCaller) -> tuple[str, ...] | None:
    """Return the keyed hashes of a caller's credentials at the locations of its repository; None if not known."""
    owner = []
    for location in caller.locations:
        credentials = caller.cached_credentials(location)
        if credentials is None:
            return None
        owner.append(key.identify(credentials))
    return tuple(owner)


def _shared_access(key: SealingKey, access: Access, caller: RepositoryCaller) -> SharedAccess | None:
    """Return an access as replicas compare it; None if the caller's credentials are not those of the access."""
    shared = []
    for repository, identity in access:
        credentials = caller.cached_credentials(repository)
        if credentials is None or tuple(each.fingerprint for each in credentials) != identity:
            return None
        shared.append((repository, key.identify(credentials)))
    return tuple(shared)


def _local_access(key: SealingKey, access: SharedAccess, caller: RepositoryCaller) -> Access | None:
    """Return an access as this process compares it; None if the caller has other credentials, or must read them."""
    local = {}
    for repository, identity in access:
        credentials = caller.cached_credentials(repository)
        if credentials is None or key.identify(credentials) != identity:
            return None
        local[repository] = tuple(each.fingerprint for each in credentials)
    return access_of(local)
