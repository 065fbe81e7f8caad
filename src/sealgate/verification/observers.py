"""What a verifier tells about itself, for metrics and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from sealgate.findings import Finding

CacheKind = Literal["finding", "tag", "verdict"]


class VerifierObserver(Protocol):
    """Told of everything countable. Called from many threads; must be quick and must not raise."""

    def cache_hit(self, kind: CacheKind) -> None:
        """An answer came from memory."""

    def cache_miss(self, kind: CacheKind) -> None:
        """An answer was not in memory."""

    def joined(self, kind: CacheKind) -> None:
        """A review waits for work that another one started."""

    def budget_wait(self, host: str, seconds: float) -> None:
        """A verification has to wait for its host's budget (0 when it need not)."""

    def rate_limited(self, host: str) -> None:
        """A verification could not get a place in its host's budget before its deadline."""

    def verification(self, finding: Finding, seconds: float) -> None:
        """A check was carried out and gave this finding."""

    def internal_error(self, error: BaseException) -> None:
        """Something raised that should not have; the image counts as not verified."""


class SilentObserver:
    """Listens to nothing."""

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
