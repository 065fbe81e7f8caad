"""Memory that is bounded, expires, and never holds what could not be found out.

Findings are kept by subject and by the authenticator's resolved content, so a change to a key or an option takes
effect at once, and a tag that moved is another subject. Verified findings live long; refusals live shortly, and so do
findings for which not every signature could be looked at, since a further key may count elsewhere. What is
*unavailable* has no lifetime here: keeping it is refused.

What is recalled says until when it may be believed, so that whatever is made of it need not be believed for longer,
and with whose credentials it was obtained, so that nothing that is made of it reaches a caller who has others.

An answer that was obtained with credentials is for callers with equal ones (`Holder`). A verified finding is also for a
caller to whom the registry gives the manifest: that is asked once (`Registry.confirm`), and then kept as a *grant*. A
refusal, and a finding for which not every signature could be looked at, is not: registries answer 404 to callers
without access, so *no signature* can mean *not for this caller*.
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
    from sealgate.verification.askers import Asker, Holder
    from sealgate.verification.settings import VerifierSettings

K = TypeVar("K")
V = TypeVar("V")

#: Expired entries that a new one clears away, where they stand next in line; more than one, so that they get fewer.
_SWEPT = 2
#: The holder of an answer that is the same for every caller.
_ANYBODY: Holder = ()


@dataclass(frozen=True, slots=True)
class Remembered(Generic[V]):
    """What is known from memory.

    Attributes:
        value: what is known.
        until: the moment, in the clock's `monotonic` seconds, from which on it may not be believed any more.
        access: whose credentials it rests on; see `sealgate.registry.callers`.
    """

    value: V
    until: float
    access: Access = OPEN


class Memory(Generic[K, V]):
    """At most so many values, each until a moment of its own; the one longest unused makes room. Thread-safe.

    Args:
        entries: how many.
        clock: the moments are measured on it.
    """

    def __init__(self, entries: int, clock: Clock) -> None:
        self._limit = entries
        self._clock = clock
        self._entries: OrderedDict[K, Remembered[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> Remembered[V] | None:
        """Return what is remembered, if it still may be believed."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or self._clock.monotonic() >= entry.until:
                return None
            self._entries.move_to_end(key)
            return entry

    def put(self, key: K, value: V, seconds: float, access: Access = OPEN) -> None:
        """Remember a value for so long from now."""
        with self._lock:
            now = self._clock.monotonic()
            self._entries[key] = Remembered(value, now + seconds, access)
            self._entries.move_to_end(key)
            for oldest in list(islice(self._entries, _SWEPT)):
                if len(self._entries) > self._limit or now >= self._entries[oldest].until:
                    del self._entries[oldest]

    def __len__(self) -> int:
        """Return how many are remembered, expired ones included."""
        with self._lock:
            return len(self._entries)


class FindingKey(NamedTuple):
    """What a finding is about. Nothing that could change the outcome is left out.

    Attributes:
        authenticator: its name.
        content: the hash of its resolved content.
        repository: `registry/path` of the image: signatures are looked up beside it.
        digest: the subject.
        tag: the tag where the authenticator's rules look at it, else None.
    """

    authenticator: str
    content: str
    repository: str
    digest: str
    tag: str | None


class _Kept(NamedTuple):
    """A key in the memory of findings: one flat tuple, since there are many of them.

    Attributes:
        authenticator: see `FindingKey`, as for the following four.
        content: see there.
        repository: see there.
        digest: see there.
        tag: see there.
        holder: whose the finding is; None for a verified finding, whose access says that.
    """

    authenticator: str
    content: str
    repository: str
    digest: str
    tag: str | None
    holder: Holder | None


class _Grant(NamedTuple):
    """A caller to whom the registry gave a manifest."""

    repository: Repository
    digest: str
    holder: Holder


class FindingCache:
    """Findings that were made, for as long as each may be believed."""

    def __init__(self, settings: VerifierSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._memory: Memory[_Kept, Finding] = Memory(settings.entries, clock)
        self._grants: Memory[_Grant, None] = Memory(settings.entries, clock)

    def get(self, key: FindingKey, asker: Asker) -> Remembered[Finding] | None:
        """Return the finding that a caller may take over, if there is one that still may be believed."""
        verified = self._memory.get(_Kept(*key, None))
        if verified is not None:
            if asker.has(verified.access):
                return verified
            granted = self._granted(key, asker)
            if granted is not None:
                return Remembered(verified.value, min(verified.until, granted.until), granted.access)
        return self._refused(key, asker)

    def lends(self, key: FindingKey, asker: Asker) -> bool:
        """Return whether there is a verified finding that the caller may take over once the registry confirms it."""
        verified = self._memory.get(_Kept(*key, None))
        return verified is not None and not asker.has(verified.access)

    def grant(self, key: FindingKey, asker: Asker) -> None:
        """Remember that the registry gave the caller the manifest, for as long as the finding may be believed."""
        verified = self._memory.get(_Kept(*key, None))
        if verified is None:
            return
        holder = asker.require_holder()
        seconds = verified.until - self._clock.monotonic()
        self._grants.put(_Grant(asker.repository, key.digest, holder), None, seconds, asker.access(holder))

    def put(self, key: FindingKey, finding: Finding, asker: Asker, access: Access) -> None:
        """Remember a finding.

        Args:
            key: what it is about.
            finding: the finding.
            asker: who it was made for.
            access: whose credentials it rests on.

        Raises:
            ValueError: it says *unavailable*, which is not a finding about the subject.
            UnavailableError: the caller's credentials could not be read.
        """
        if finding.outcome is Outcome.UNAVAILABLE:
            raise ValueError("what could not be found out is never remembered")
        verified = finding.outcome is Outcome.VERIFIED
        # Thousands of findings have the same few checks and repositories, and if verified the same few messages.
        key = key._replace(
            authenticator=intern(key.authenticator), content=intern(key.content), repository=intern(key.repository)
        )
        if verified:
            finding = replace(finding, message=intern(finding.message))
        if verified and not finding.partial:
            shown_to = OPEN if is_anonymous(access) else access
            self._memory.put(_Kept(*key, None), finding, self._settings.verified_seconds, shown_to)
            return
        holder = asker.require_holder() if access else _ANYBODY
        self._memory.put(_Kept(*key, holder), finding, self._settings.refused_seconds, access)

    def _refused(self, key: FindingKey, asker: Asker) -> Remembered[Finding] | None:
        found = self._memory.get(_Kept(*key, _ANYBODY))
        if found is None and (holder := asker.holder) is not None:
            found = self._memory.get(_Kept(*key, holder))
        return found if found is not None and asker.has(found.access) else None

    def _granted(self, key: FindingKey, asker: Asker) -> Remembered[None] | None:
        holder = asker.holder
        return None if holder is None else self._grants.get(_Grant(asker.repository, key.digest, holder))

    def __len__(self) -> int:
        """Return how many are remembered, expired ones included."""
        return len(self._memory)


class TagCache:
    """Digests that tags resolved to a short while ago."""

    def __init__(self, settings: VerifierSettings, clock: Clock) -> None:
        self._seconds = settings.tag_seconds
        self._memory: Memory[tuple[Repository, str, Holder], Digest] = Memory(settings.entries, clock)

    def get(self, tag: str, asker: Asker) -> Remembered[Digest] | None:
        """Return the digest of a tag of the asker's repository, if it was resolved a short while ago for it."""
        found = self._memory.get((asker.repository, tag, _ANYBODY))
        if found is None and (holder := asker.holder) is not None:
            found = self._memory.get((asker.repository, tag, holder))
        return found if found is not None and asker.has(found.access) else None

    def put(self, tag: str, digest: Digest, asker: Asker, access: Access) -> None:
        """Remember the digest of a tag of the asker's repository.

        Raises:
            UnavailableError: the caller's credentials could not be read.
        """
        anonymous = is_anonymous(access)
        holder = _ANYBODY if anonymous else asker.require_holder()
        self._memory.put((asker.repository, tag, holder), digest, self._seconds, OPEN if anonymous else access)

    def __len__(self) -> int:
        """Return how many are remembered, expired ones included."""
        return len(self._memory)
