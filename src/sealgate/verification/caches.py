"""Memory that is bounded, expires, and never holds what could not be found out.

Findings are kept by subject and by the authenticator's resolved content, so a change to a key or an option takes
effect at once, and a tag that moved is another subject. Verified findings live long; refusals live shortly, and so do
findings for which not every signature could be looked at, since a further key may count elsewhere. What is
*unavailable* has no lifetime here: keeping it is refused.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from cachetools import TLRUCache, TTLCache

from sealgate.findings import Finding, Outcome

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.references import Digest, Repository
    from sealgate.verification.settings import VerifierSettings


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
        def expires(_key: FindingKey, finding: Finding, now: float) -> float:
            whole = finding.outcome is Outcome.VERIFIED and not finding.partial
            return now + (settings.verified_seconds if whole else settings.refused_seconds)

        self._entries: TLRUCache[FindingKey, Finding] = TLRUCache(settings.entries, expires, clock.monotonic)
        self._lock = threading.Lock()

    def get(self, key: FindingKey) -> Finding | None:
        """Return what is remembered, if it still may be believed."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: FindingKey, finding: Finding) -> None:
        """Remember a finding.

        Raises:
            ValueError: it says *unavailable*, which is not a finding about the subject.
        """
        if finding.outcome is Outcome.UNAVAILABLE:
            raise ValueError("what could not be found out is never remembered")
        with self._lock:
            self._entries[key] = finding

    def __len__(self) -> int:
        """Return how many are remembered, expired ones included."""
        with self._lock:
            return int(self._entries.currsize)


class TagCache:
    """Digests that tags resolved to a short while ago."""

    def __init__(self, settings: VerifierSettings, clock: Clock) -> None:
        self._entries: TTLCache[tuple[Repository, str], Digest] = TTLCache(
            settings.entries, settings.tag_seconds, timer=clock.monotonic
        )
        self._lock = threading.Lock()

    def get(self, repository: Repository, tag: str) -> Digest | None:
        """Return the tag's digest if it was resolved a short while ago."""
        with self._lock:
            return self._entries.get((repository, tag))

    def put(self, repository: Repository, tag: str, digest: Digest) -> None:
        """Remember a tag's digest."""
        with self._lock:
            self._entries[repository, tag] = digest

    def __len__(self) -> int:
        """Return how many are remembered, expired ones included."""
        with self._lock:
            return int(self._entries.currsize)
