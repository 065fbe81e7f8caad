"""The optional second level of caches, budgets and single flight, which the replicas of one installation share.

Only workers use it, since it may wait for the network. It never decides anything: without it, or with it and out of
reach, every replica works alone.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sealgate.clocks import Deadline
    from sealgate.findings import Finding
    from sealgate.references import Digest
    from sealgate.registry.callers import Access
    from sealgate.verification.caches import Cached, FindingKey
    from sealgate.verification.repository_caller import RepositoryCaller


class SharedLevel(Protocol):
    """What replicas share. Thread-safe; nothing but `reserve` raises, and everything waits for a bounded time."""

    def finding(self, key: FindingKey, caller: RepositoryCaller) -> AbstractContextManager[Cached[Finding] | None]:
        """Return a context whose value is the finding that a caller may use; None if the caller is to make it.

        While another replica makes it, this waits for that one, for a bounded time. In the context, other replicas
        wait for this one.
        """

    def put_finding(
        self, key: FindingKey, finding: Finding, caller: RepositoryCaller, access: Access, seconds: float
    ) -> None:
        """Share a finding that is not *unavailable*.

        Args:
            key: what it is about.
            finding: the finding.
            caller: the caller that it was made for.
            access: the credentials that it was obtained with.
            seconds: time until it expires.
        """

    def tag(self, tag: str, caller: RepositoryCaller) -> AbstractContextManager[Cached[Digest] | None]:
        """Return a context as `finding` does; its value is the digest of a tag of the caller's repository."""

    def put_tag(self, tag: str, digest: Digest, caller: RepositoryCaller, access: Access, seconds: float) -> None:
        """Share the digest of a tag of the caller's repository; see `put_finding`."""

    def reserve(self, host: str, deadline: Deadline, *, spare: bool = False) -> float:
        """Reserve a slot of the budget that all replicas share; return the seconds to wait for it.

        Args:
            host: `host[:port]` whose budget is used.
            deadline: the latest moment at which the slot is of use.
            spare: whether only a slot that would be lost is taken: all others are free.

        Raises:
            RateLimitedError: the slot would come after the deadline; none was reserved.
        """

    def give_back(self, host: str) -> None:
        """Return a reserved slot that was not used."""


class NoSharedLevel:
    """Shares nothing."""

    def finding(self, key: FindingKey, caller: RepositoryCaller) -> AbstractContextManager[Cached[Finding] | None]:
        """Return that the caller is to make the finding."""
        del key, caller
        return nullcontext()

    def put_finding(
        self, key: FindingKey, finding: Finding, caller: RepositoryCaller, access: Access, seconds: float
    ) -> None:
        """Do nothing."""

    def tag(self, tag: str, caller: RepositoryCaller) -> AbstractContextManager[Cached[Digest] | None]:
        """Return that the caller is to resolve the tag."""
        del tag, caller
        return nullcontext()

    def put_tag(self, tag: str, digest: Digest, caller: RepositoryCaller, access: Access, seconds: float) -> None:
        """Do nothing."""

    def reserve(self, host: str, deadline: Deadline, *, spare: bool = False) -> float:
        """Return that there is nothing to wait for."""
        del host, deadline, spare
        return 0.0

    def give_back(self, host: str) -> None:
        """Do nothing."""
