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

from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from sealgate.findings import Finding, Outcome
from sealgate.references import Digest
from sealgate.registry.callers import OPEN, is_anonymous
from sealgate.verification.byte_cache import Key
from sealgate.verification.packing import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sealgate.clocks import Clock
    from sealgate.registry.callers import Access
    from sealgate.verification.byte_cache import ByteCache, Hit
    from sealgate.verification.repository_caller import Identities, RepositoryCaller
    from sealgate.verification.settings import VerifierSettings

V = TypeVar("V")

#: The identities under which an answer for every caller is cached.
_EVERY_CALLER: Identities = ()
#: What every digest begins with.
_ALGORITHM: Final = "sha256:"


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


class CallerAnswers:
    """Answers of one kind, each for callers with the credentials that obtained it, or for all where none were used.

    Args:
        kind: the kind, which sets them apart from other entries.
        cache: where they are.
    """

    def __init__(self, kind: str, cache: ByteCache) -> None:
        self._kind = kind
        self._cache = cache

    def get(self, about: tuple[Hashable, ...], item: bytes | str, caller: RepositoryCaller) -> Hit | None:
        """Return the answer that a caller may use; None if there is none.

        Args:
            about: what many answers are about.
            item: what tells them apart.
            caller: the caller.
        """
        found = self._cache.get(self._key(about, item, _EVERY_CALLER))
        if found is None and (identities := caller.cached_identities) is not None:
            found = self._cache.get(self._key(about, item, identities))
        return found if found is not None and caller.may_use(found.access) else None

    def put(  # noqa: PLR0913 - an entry, and whom it is for
        self,
        about: tuple[Hashable, ...],
        item: bytes | str,
        value: bytes,
        seconds: float,
        caller: RepositoryCaller,
        access: Access,
    ) -> None:
        """Cache an answer; see `get` and `ByteCache.put`.

        Raises:
            UnavailableError: the caller's credentials could not be read.
        """
        anonymous = is_anonymous(access)
        identities = _EVERY_CALLER if anonymous else caller.identities()
        shared_with = OPEN if anonymous else access
        self._cache.put(self._key(about, item, identities), value, seconds, shared_with, caller.namespace)

    def drop(self, about: tuple[Hashable, ...], item: bytes | str, caller: RepositoryCaller) -> None:
        """Remove the answers that `get` could return to a caller."""
        for identities in (_EVERY_CALLER, caller.cached_identities):
            if identities is not None:
                self._cache.discard(self._key(about, item, identities))

    def _key(self, about: tuple[Hashable, ...], item: bytes | str, identities: Identities) -> Key:
        return Key(_group(self._kind, *about, identities), item)


class FindingCache:
    """Cache of findings.

    Args:
        settings: TTLs.
        cache: where the findings are.
        clock: measures the TTLs.
    """

    def __init__(self, settings: VerifierSettings, cache: ByteCache, clock: Clock) -> None:
        self._settings = settings
        self._cache = cache
        self._clock = clock

    def get(self, key: FindingKey, caller: RepositoryCaller) -> Cached[Finding] | None:
        """Return the cached finding that a caller may use; None if there is none."""
        verified = self._cache.get(_key_of(key, None))
        if verified is not None:
            if caller.may_use(verified.access):
                return _unpacked(verified, key)
            granted = self._granted(key, caller)
            if granted is not None:
                expires_at = min(verified.expires_at, granted.expires_at)
                return Cached(unpack(verified.value, *_known(key)), expires_at, granted.access)
        refused = self._refused(key, caller)
        return None if refused is None else _unpacked(refused, key)

    def needs_grant(self, key: FindingKey, caller: RepositoryCaller) -> bool:
        """Return whether there is a verified finding that the caller may use once the registry confirms its access."""
        verified = self._cache.get(_key_of(key, None))
        return verified is not None and not caller.may_use(verified.access)

    def grant(self, key: FindingKey, caller: RepositoryCaller) -> None:
        """Cache that the registry let the caller read the manifest, until the finding expires."""
        verified = self._cache.get(_key_of(key, None))
        if verified is None:
            return
        identities = caller.identities()
        seconds = verified.expires_at - self._clock.monotonic()
        grant = _grant_of(caller, key.digest, identities)
        self._cache.put(grant, b"", seconds, caller.access(identities), caller.namespace)

    def ttl(self, finding: Finding) -> float:
        """Return the TTL of findings of this kind, in seconds, wherever what this one depends on ends."""
        whole = finding.outcome is Outcome.VERIFIED and not finding.partial
        return self._settings.verified_seconds if whole else self._settings.refused_seconds

    def seconds(self, finding: Finding) -> float:
        """Return how long a finding may be used that was just made: its TTL, and until its end at most.

        From here on the end is a moment of the monotonic clock, as that of every TTL, so that a cache hit compares one.

        Returns:
            Seconds; 0 or less if it has ended.
        """
        if finding.valid_until is None:
            return self.ttl(finding)
        return min(self.ttl(finding), (finding.valid_until - self._clock.now()).total_seconds())

    def put(
        self, key: FindingKey, finding: Finding, caller: RepositoryCaller, access: Access, at_most: float = inf
    ) -> None:
        """Cache a finding.

        Args:
            key: what it is about.
            finding: the finding.
            caller: the caller that it was made for.
            access: the credentials that it was obtained with.
            at_most: seconds until it expires, where that is less than `seconds` says.

        Raises:
            ValueError: its outcome is *unavailable*, which says nothing about the subject.
            UnavailableError: the caller's credentials could not be read.
        """
        if finding.outcome is Outcome.UNAVAILABLE:
            raise ValueError("an unavailable finding must not be cached")
        verified = finding.outcome is Outcome.VERIFIED
        seconds = min(self.seconds(finding), at_most)
        packed = pack(finding, *_known(key))
        if verified and not finding.partial:
            shared_with = OPEN if is_anonymous(access) else access
            self._cache.put(_key_of(key, None), packed, seconds, shared_with, caller.namespace)
            return
        identities = caller.identities() if access else _EVERY_CALLER
        self._cache.put(_key_of(key, identities), packed, seconds, access, caller.namespace)

    def _refused(self, key: FindingKey, caller: RepositoryCaller) -> Hit | None:
        found = self._cache.get(_key_of(key, _EVERY_CALLER))
        if found is None and (identities := caller.cached_identities) is not None:
            found = self._cache.get(_key_of(key, identities))
        return found if found is not None and caller.may_use(found.access) else None

    def _granted(self, key: FindingKey, caller: RepositoryCaller) -> Hit | None:
        identities = caller.cached_identities
        return None if identities is None else self._cache.get(_grant_of(caller, key.digest, identities))


class TagCache:
    """Cache of the digests that tags name.

    Args:
        settings: TTL.
        cache: where the digests are.
    """

    def __init__(self, settings: VerifierSettings, cache: ByteCache) -> None:
        self._seconds = settings.tag_seconds
        self._answers = CallerAnswers("tag", cache)

    def get(self, tag: str, caller: RepositoryCaller) -> Cached[Digest] | None:
        """Return the cached digest of a tag of the caller's repository; None if there is none for this caller."""
        found = self._answers.get((caller.repository,), tag, caller)
        return None if found is None else Cached(digest_from_bytes(found.value), found.expires_at, found.access)

    def put(self, tag: str, digest: Digest, caller: RepositoryCaller, access: Access, at_most: float = inf) -> None:
        """Cache the digest of a tag of the caller's repository, for at most some seconds.

        Raises:
            UnavailableError: the caller's credentials could not be read.
        """
        seconds = min(self._seconds, at_most)
        self._answers.put((caller.repository,), tag, digest_to_bytes(digest), seconds, caller, access)


def _key_of(key: FindingKey, identities: Identities | None) -> Key:
    """Return the key of a finding.

    Args:
        key: what the finding is about.
        identities: the callers that it is for; None for a verified finding, whose access says that.
    """
    return Key(
        _group("finding", key.authenticator, key.content, key.repository, key.tag, identities),
        digest_to_bytes(key.digest),
    )


def _grant_of(caller: RepositoryCaller, digest: str, identities: Identities) -> Key:
    """Return the key that says that the registry let a caller read a manifest."""
    return Key(_group("grant", caller.repository, identities), digest_to_bytes(digest))


@lru_cache(4096)
def _group(*parts: Hashable) -> tuple[Hashable, ...]:
    """Return the same object for equal parts: the kind of an entry, and what many subjects have in common."""
    return parts


@lru_cache(256)  # each look-up in a cache begins with it, and a new image has several
def digest_to_bytes(digest: str) -> bytes:
    """Return the bytes of a digest, which take half the memory of its text."""
    return bytes.fromhex(digest.removeprefix(_ALGORITHM))


def digest_from_bytes(value: bytes) -> Digest:
    """Return the digest of `digest_to_bytes`."""
    return Digest(_ALGORITHM + value.hex())


def _unpacked(hit: Hit, key: FindingKey) -> Cached[Finding]:
    return Cached(unpack(hit.value, *_known(key)), hit.expires_at, hit.access)


def _known(key: FindingKey) -> tuple[str, ...]:
    """Return what a finding repeats of its key."""
    return key.authenticator, key.repository, key.digest
