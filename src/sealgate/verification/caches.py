"""Caches of findings and of the digests of tags: bounded, with TTLs, and never holding *unavailable*.

Findings are keyed by subject and by the authenticator's resolved content, so that a change to a key or an option takes
effect at once, and a tag that moved is another subject. Verified findings have a long TTL. Refusals have a short one,
and so have findings for which not every signature could be fetched, since a further key may count elsewhere.

A cache hit says when it expires, so that nothing made of it is cached for longer, and with which credentials it was
obtained, so that nothing made of it reaches a caller with others.

An answer that was obtained with credentials is for callers with equal ones (`Identities`). A verified finding is also
for a caller whom the registry lets read the manifest: that is requested once (`Registry.confirm`) and then cached as a
*grant*. A refusal, and a finding for which not every signature could be fetched, is not shared in this way: registries
answer 404 to callers without access, so *no signature* can mean *not for this caller*.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from itertools import islice
from sys import intern
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from sealgate.findings import Finding, Outcome
from sealgate.registry.callers import OPEN, is_anonymous

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.references import Digest, Repository
    from sealgate.registry.callers import Access
    from sealgate.verification.repository_caller import Identities, RepositoryCaller
    from sealgate.verification.settings import VerifierSettings

K = TypeVar("K")
V = TypeVar("V")

#: Entries that each new one checks and evicts if they have expired; more than one, so that expired entries get fewer.
_CHECKED = 2
#: The identities under which an answer for every caller is cached.
_EVERY_CALLER: Identities = ()


@dataclass(frozen=True, slots=True)
class Cached(Generic[V]):
    """A cache hit.

    Attributes:
        value: what was cached.
        expires_at: the moment, in the clock's monotonic seconds, from which on it may not be used.
        access: the credentials that it was obtained with; see `sealgate.registry.callers`.
    """

    value: V
    expires_at: float
    access: Access = OPEN


class ExpiringCache(Generic[K, V]):
    """Cache with a size limit and a TTL for each entry; evicts the least recently used. Thread-safe.

    Args:
        entries: maximum number of entries.
        clock: measures the TTLs.
    """

    def __init__(self, entries: int, clock: Clock) -> None:
        self._limit = entries
        self._clock = clock
        self._entries: OrderedDict[K, Cached[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> Cached[V] | None:
        """Return the entry for a key; None if there is none or it has expired."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or self._clock.monotonic() >= entry.expires_at:
                return None
            self._entries.move_to_end(key)
            return entry

    def put(self, key: K, value: V, seconds: float, access: Access = OPEN) -> None:
        """Cache a value for some seconds."""
        with self._lock:
            now = self._clock.monotonic()
            self._entries[key] = Cached(value, now + seconds, access)
            self._entries.move_to_end(key)
            for oldest in list(islice(self._entries, _CHECKED)):
                if len(self._entries) > self._limit or now >= self._entries[oldest].expires_at:
                    del self._entries[oldest]

    def __len__(self) -> int:
        """Return the number of entries, expired ones included."""
        with self._lock:
            return len(self._entries)


class FindingKey(NamedTuple):
    """What a finding is about: everything that could change its outcome.

    Attributes:
        authenticator: name of the authenticator.
        content: hash of the authenticator's resolved content.
        repository: `registry/path` of the image: signatures are stored beside it.
        digest: the subject.
        tag: the tag, if the authenticator's rules depend on it; else None.
    """

    authenticator: str
    content: str
    repository: str
    digest: str
    tag: str | None


class _SharedKey(NamedTuple):
    """Key of a cached finding: one flat tuple, because there are many of them.

    Attributes:
        authenticator: see `FindingKey`, as for the following four.
        content: see `FindingKey`.
        repository: see `FindingKey`.
        digest: see `FindingKey`.
        tag: see `FindingKey`.
        identities: the callers that the finding is for; None for a verified finding, whose access says that.
    """

    authenticator: str
    content: str
    repository: str
    digest: str
    tag: str | None
    identities: Identities | None


class _Grant(NamedTuple):
    """A caller whom the registry let read a manifest."""

    repository: Repository
    digest: str
    identities: Identities


class FindingCache:
    """Cache of findings.

    Args:
        settings: TTLs and size.
        clock: measures the TTLs.
    """

    def __init__(self, settings: VerifierSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._findings: ExpiringCache[_SharedKey, Finding] = ExpiringCache(settings.entries, clock)
        self._grants: ExpiringCache[_Grant, None] = ExpiringCache(settings.entries, clock)

    def get(self, key: FindingKey, caller: RepositoryCaller) -> Cached[Finding] | None:
        """Return the cached finding that a caller may use; None if there is none."""
        verified = self._findings.get(_SharedKey(*key, None))
        if verified is not None:
            if caller.may_use(verified.access):
                return verified
            granted = self._granted(key, caller)
            if granted is not None:
                return Cached(verified.value, min(verified.expires_at, granted.expires_at), granted.access)
        return self._refused(key, caller)

    def needs_grant(self, key: FindingKey, caller: RepositoryCaller) -> bool:
        """Return whether there is a verified finding that the caller may use once the registry confirms its access."""
        verified = self._findings.get(_SharedKey(*key, None))
        return verified is not None and not caller.may_use(verified.access)

    def grant(self, key: FindingKey, caller: RepositoryCaller) -> None:
        """Cache that the registry let the caller read the manifest, until the finding expires."""
        verified = self._findings.get(_SharedKey(*key, None))
        if verified is None:
            return
        identities = caller.identities()
        seconds = verified.expires_at - self._clock.monotonic()
        self._grants.put(_Grant(caller.repository, key.digest, identities), None, seconds, caller.access(identities))

    def put(self, key: FindingKey, finding: Finding, caller: RepositoryCaller, access: Access) -> None:
        """Cache a finding.

        Args:
            key: what it is about.
            finding: the finding.
            caller: the caller that it was made for.
            access: the credentials that it was obtained with.

        Raises:
            ValueError: its outcome is *unavailable*, which says nothing about the subject.
            UnavailableError: the caller's credentials could not be read.
        """
        if finding.outcome is Outcome.UNAVAILABLE:
            raise ValueError("an unavailable finding must not be cached")
        verified = finding.outcome is Outcome.VERIFIED
        # Thousands of findings have the same few checks and repositories, and if verified the same few messages.
        key = key._replace(
            authenticator=intern(key.authenticator), content=intern(key.content), repository=intern(key.repository)
        )
        if verified:
            finding = replace(finding, message=intern(finding.message))
        if verified and not finding.partial:
            shared_with = OPEN if is_anonymous(access) else access
            self._findings.put(_SharedKey(*key, None), finding, self._settings.verified_seconds, shared_with)
            return
        identities = caller.identities() if access else _EVERY_CALLER
        self._findings.put(_SharedKey(*key, identities), finding, self._settings.refused_seconds, access)

    def _refused(self, key: FindingKey, caller: RepositoryCaller) -> Cached[Finding] | None:
        found = self._findings.get(_SharedKey(*key, _EVERY_CALLER))
        if found is None and (identities := caller.cached_identities) is not None:
            found = self._findings.get(_SharedKey(*key, identities))
        return found if found is not None and caller.may_use(found.access) else None

    def _granted(self, key: FindingKey, caller: RepositoryCaller) -> Cached[None] | None:
        identities = caller.cached_identities
        return None if identities is None else self._grants.get(_Grant(caller.repository, key.digest, identities))

    def __len__(self) -> int:
        """Return the number of findings, expired ones included."""
        return len(self._findings)


class TagCache:
    """Cache of the digests that tags name.

    Args:
        settings: TTL and size.
        clock: measures the TTL.
    """

    def __init__(self, settings: VerifierSettings, clock: Clock) -> None:
        self._seconds = settings.tag_seconds
        self._digests: ExpiringCache[tuple[Repository, str, Identities], Digest] = ExpiringCache(
            settings.entries, clock
        )

    def get(self, tag: str, caller: RepositoryCaller) -> Cached[Digest] | None:
        """Return the cached digest of a tag of the caller's repository; None if there is none for this caller."""
        found = self._digests.get((caller.repository, tag, _EVERY_CALLER))
        if found is None and (identities := caller.cached_identities) is not None:
            found = self._digests.get((caller.repository, tag, identities))
        return found if found is not None and caller.may_use(found.access) else None

    def put(self, tag: str, digest: Digest, caller: RepositoryCaller, access: Access) -> None:
        """Cache the digest of a tag of the caller's repository.

        Raises:
            UnavailableError: the caller's credentials could not be read.
        """
        anonymous = is_anonymous(access)
        identities = _EVERY_CALLER if anonymous else caller.identities()
        self._digests.put((caller.repository, tag, identities), digest, self._seconds, OPEN if anonymous else access)

    def __len__(self) -> int:
        """Return the number of digests, expired ones included."""
        return len(self._digests)
