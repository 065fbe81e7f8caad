"""Events that the verifier reports, for metrics and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from sealgate.findings import Finding

CacheKind = Literal["finding", "tag", "verdict"]
#: What stands in for an answer of a registry that is unreachable; see `sealgate.verification.stale_cache`.
StaleKind = Literal["finding", "tag"]
#: Limit for which work was not begun: tasks that wait, of a host, a namespace or a review; reviews of a namespace that
#: wait; requests that wait for a silent host; the deadline of the review.
RefusalCause = Literal["host", "namespace", "review", "waiting_reviews", "silent_host", "deadline"]
#: How the work ended that is done in the background for reviews that could not wait: with a finding; because that was
#: known or under way by then; because the policies in force do not need it; without a finding; because no review asked
#: for it any more; because others needed its place; because the process ends.
BackgroundResult = Literal["done", "known", "obsolete", "unavailable", "expired", "full", "closed"]
#: A cache with memory of its own: findings, grants and the digests of tags are in one.
CacheName = Literal["answers", "verdicts"]


class VerifierObserver(Protocol):
    """Counts events. Called from many threads; must not block and must not raise."""

    def cache_hit(self, kind: CacheKind) -> None:
        """Count an answer that was in the cache."""

    def cache_miss(self, kind: CacheKind) -> None:
        """Count an answer that was not in the cache."""

    def joined(self, kind: CacheKind) -> None:
        """Count a request that waits for work that another one started."""

    def stale(self, kind: StaleKind, host: str) -> None:
        """Count an answer that was used because its registry, `host[:port]`, is unreachable."""

    def budget_wait(self, host: str, seconds: float) -> None:
        """Record how long a verification waits for its host's budget; 0 if it does not wait."""

    def rate_limited(self, host: str) -> None:
        """Count a verification that its host's budget does not allow before the deadline."""

    def refused(self, cause: RefusalCause) -> None:
        """Count work that was not begun because too much other work was ahead."""

    def work_queued(self, change: int) -> None:
        """Add to the number of tasks that wait for a worker or a budget.

        Args:
            change: 1 or -1.
        """

    def work_running(self, change: int) -> None:
        """Add to the number of tasks that run.

        Args:
            change: 1 or -1.
        """

    def background_waiting(self, change: int) -> None:
        """Add to the number of verifications that wait to be made in the background.

        Args:
            change: any number.
        """

    def background_ended(self, result: BackgroundResult) -> None:
        """Count a verification that waits no more, or was not kept, by the reason."""

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

    def stale(self, kind: StaleKind, host: str) -> None:
        """Do nothing."""

    def budget_wait(self, host: str, seconds: float) -> None:
        """Do nothing."""

    def rate_limited(self, host: str) -> None:
        """Do nothing."""

    def refused(self, cause: RefusalCause) -> None:
        """Do nothing."""

    def work_queued(self, change: int) -> None:
        """Do nothing."""

    def work_running(self, change: int) -> None:
        """Do nothing."""

    def background_waiting(self, change: int) -> None:
        """Do nothing."""

    def background_ended(self, result: BackgroundResult) -> None:
        """Do nothing."""

    def verification(self, finding: Finding, seconds: float) -> None:
        """Do nothing."""

    def internal_error(self, error: BaseException) -> None:
        """Do nothing."""
