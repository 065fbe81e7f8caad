"""Memory that is bounded, expires, and never holds what could not be found out.

Findings are kept by subject and by the authenticator's resolved content, so a change to a key or an option takes
effect at once, and a tag that moved is another subject. Verified findings live long; refusals live shortly, and so do
findings for which not every signature could be looked at, since a further key may count elsewhere. What is
*unavailable* has no lifetime here: keeping it is refused.

What is recalled says until when it may be believed, so that whatever is made of it need not be believed for longer.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from itertools import islice
from sys import intern
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from sealgate.findings import Finding, Outcome

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.references import Digest, Repository
    from sealgate.verification.settings import VerifierSettings

K = TypeVar("K")
V = TypeVar("V")

#: Expired entries that a new one clears away, where they stand next in line; more than one, so that they get fewer.
_SWEPT = 2


@dataclass(frozen=True, slots=True)
class Remembered(Generic[V]):
    """What is known from memory.

    Attributes:
        value: what is known.
        until: the moment, in the clock's `monotonic` seconds, from which on it may not be believed any more.
    """

    value: V
    until: float


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

    def put(self, key: K, value: V, seconds: float) -> None:
        """Remember a value for so long from now."""
        with self._lock:
            now = self._clock.monotonic()
            self._entries[key] = Remembered(value, now + seconds)
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
        check: the authenticator's name and content hash.
        repository: `registry/path` of the image: signatures are looked up beside it.
        digest: the subject.
        tag: the tag where the authenticator's rules look at it, else None.
        scope: whose credentials it was made with, for a refusal; None for a verified finding, which holds for
            everybody. A registry may hide signatures from who has no access to them, and that must not become
            another tenant's refusal.
    """

    check: str
    repository: str
    digest: str
    tag: str | None
    scope: str | None


class FindingCache:
    """Findings that were made, for as long as each may be believed."""

    def __init__(self, settings: VerifierSettings, clock: Clock) -> None:
        self._settings = settings
        self._memory: Memory[FindingKey, Finding] = Memory(settings.entries, clock)

    def get(self, key: FindingKey) -> Remembered[Finding] | None:
        """Return what is remembered, if it still may be believed."""
        return self._memory.get(key)

    def put(self, key: FindingKey, finding: Finding) -> None:
        """Remember a finding.

        Raises:
            ValueError: it says *unavailable*, which is not a finding about the subject.
        """
        if finding.outcome is Outcome.UNAVAILABLE:
            raise ValueError("what could not be found out is never remembered")
        verified = finding.outcome is Outcome.VERIFIED
        whole = verified and not finding.partial
        seconds = self._settings.verified_seconds if whole else self._settings.refused_seconds
        # Thousands of findings have the same few checks and repositories, and if verified the same few messages.
        key = key._replace(check=intern(key.check), repository=intern(key.repository))
        if verified:
            finding = replace(finding, message=intern(finding.message))
        self._memory.put(key, finding, seconds)

    def __len__(self) -> int:
        """Return how many are remembered, expired ones included."""
        return len(self._memory)


class TagCache:
    """Digests that tags resolved to a short while ago."""

    def __init__(self, settings: VerifierSettings, clock: Clock) -> None:
        self._seconds = settings.tag_seconds
        self._memory: Memory[tuple[Repository, str], Digest] = Memory(settings.entries, clock)

    def get(self, repository: Repository, tag: str) -> Remembered[Digest] | None:
        """Return the tag's digest if it was resolved a short while ago."""
        return self._memory.get((repository, tag))

    def put(self, repository: Repository, tag: str, digest: Digest) -> None:
        """Remember a tag's digest."""
        self._memory.put((repository, tag), digest, self._seconds)

    def __len__(self) -> int:
        """Return how many are remembered, expired ones included."""
        return len(self._memory)
