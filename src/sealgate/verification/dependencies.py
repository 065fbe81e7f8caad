"""What a verdict depends on beside its findings: how long its parts last, and whose credentials obtained them."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from sealgate.policies.decisions import CachedRefusal, Verdict, note_stale_answers
from sealgate.registry.callers import OPEN, join_access

if TYPE_CHECKING:
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.verification.caches import Cached


class Dependencies:
    """What the verdict of one image depends on. For one thread.

    Args:
        refused_seconds: TTL of a refusal.

    Attributes:
        expires_at: when the first cached part of the verdict expires, in the clock's monotonic seconds; minus infinity
            if a part was not cached, or is stale.
        access: the credentials that its parts were obtained with.
    """

    def __init__(self, refused_seconds: float) -> None:
        self._refused_seconds = refused_seconds
        self.expires_at = inf
        self.access = OPEN
        # Authenticators whose refusal was in the cache, each with when it expires.
        self._refusals: dict[str, float] = {}
        # When a registry that is unreachable gave the oldest answer that is used.
        self._stale_since = inf

    def add(self, cached: Cached[Any]) -> None:
        """Note a part from a cache."""
        self.expires_at = min(self.expires_at, cached.expires_at)
        self.access = join_access((self.access, cached.access))

    def add_refusal(self, authenticator: str, expires_at: float) -> None:
        """Note that the refusal of an authenticator was in the cache."""
        self._refusals[authenticator] = min(expires_at, self._refusals.get(authenticator, inf))

    def add_uncached(self) -> None:
        """Note a part that is not from a cache."""
        self.expires_at = -inf

    def add_stale(self, since: float) -> None:
        """Note an answer that a registry gave before it became unreachable."""
        self.expires_at = -inf
        self._stale_since = min(self._stale_since, since)

    def describe(self, verdict: ImageVerdict) -> ImageVerdict:
        """Return a verdict that says on which cached refusal and on which stale answer it rests."""
        if self._stale_since < inf:
            verdict = note_stale_answers(verdict, self._stale_since)
        return replace(verdict, cached=self._cached_refusal(verdict)) if self._refusals else verdict

    def _cached_refusal(self, verdict: ImageVerdict) -> CachedRefusal | None:
        """Return the cached refusal behind a verdict that expires first."""
        failed = (
            finding for policy in verdict.policies if policy.verdict is verdict.verdict for finding in policy.findings
        )
        expiries = (self._refusals[f.authenticator] for f in failed if f.authenticator in self._refusals)
        expires_at = min(expiries, default=None)
        if expires_at is None or verdict.verdict not in (Verdict.DENY, Verdict.WARN):
            return None
        return CachedRefusal(expires_at - self._refused_seconds, expires_at)
