"""Events that the verifier reports, for metrics and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from sealgate.findings import Finding

CacheKind = Literal["finding", "tag", "verdict"]


class VerifierObserver(Protocol):
    """Counts events. Called from many threads; must not block and must not raise."""

    def cache_hit(self, kind: CacheKind) -> None:
        """Count an answer that was in the cache."""

    def cache_miss(self, kind: CacheKind) -> None:
        """Count an answer that was not in the cache."""

    def joined(self, kind: CacheKind) -> None:
        """Count a request that waits for work that another one started."""

    def budget_wait(self, host: str, seconds: float) -> None:
        """Record how long a verification waits for its host's budget; 0 if it does not wait."""

    def rate_limited(self, host: str) -> None:
        """Count a verification that its host's budget does not allow before the deadline."""

    def verification(self, finding: Finding, seconds: float) -> None:
        """Record the finding of a check that ran, and how long it took."""

    def internal_error(self, error: BaseException) -> None:
        """Report an unexpected exception; the image counts as not verified."""


class NullObserver:
    """Ignores all events."""

    def cache_hit(self, kind: CacheKind) -> None:
        """Do nothing."""

    def cache_miss(self, kind: CacheKind) -> None:
        """Do nothing."""

    def joined(self, kind: CacheKind) -> None:
        """Do nothing."""

    def budget_wait(self, host: str, seconds: float) -> None:
        """Do nothing."""

    def rate_limited(self, host: str) -> None:
        """Do nothing."""

    def verification(self, finding: Finding, seconds: float) -> None:
        """Do nothing."""

    def internal_error(self, error: BaseException) -> None:
        """Do nothing."""
