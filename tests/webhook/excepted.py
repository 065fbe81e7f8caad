"""A webhook whose policies come with exceptions, as those of a cluster do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sealgate.http.settings import HostSettings
from sealgate.kms.key_cache import KMSKeyCache
from sealgate.policies.exceptions import ExceptionIndex
from sealgate.policies.matching import PolicyIndex
from sealgate.policies.unreadable import compile_unreadable
from sealgate_webhook.backends.cluster.exceptions import ReadException, read_exception
from sealgate_webhook.backends.files.policies import PolicyFilesSource
from tests.support.clocks import NOW, FakeClock

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.verification.policy_sets import PolicySet
    from tests.webhook.environment import WebhookEnvironment

LONGEST = timedelta(hours=72)


class WallClock(FakeClock):
    """A clock whose wall time can be set, which its monotonic time does not follow.

    Attributes:
        shown: what the wall clock shows whatever happens; None for one that goes right.
    """

    shown: datetime | None = None

    def now(self) -> datetime:
        return super().now() if self.shown is None else self.shown


def stored(obj: dict[str, Any], created: datetime = NOW) -> dict[str, Any]:
    """Return an object as the API server stores it."""
    metadata = {"uid": "u-1", "creationTimestamp": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {**obj, "metadata": {**metadata, **obj["metadata"]}}


class ExceptedPolicies:
    """The policy files of an environment with exceptions beside them.

    Args:
        environment: the environment, before its first request.
        exceptions: the exceptions, as the API server stores them.
    """

    def __init__(self, environment: WebhookEnvironment, *exceptions: dict[str, Any]) -> None:
        self._clock: Clock = environment.clock
        self._files = PolicyFilesSource(
            [environment.folder],
            environment.unmatched,
            self._clock,
            environment.metrics,
            environment.logger,
            KMSKeyCache(HostSettings(), self._clock),
        )
        self._files.load()
        environment.metrics.literal_hosts = self._files.literal_hosts
        environment.policies, environment.namespaces = self, self._files
        self._current: PolicySet | None = None
        self.put(*exceptions)

    def put(self, *exceptions: dict[str, Any], unreadable: dict[str, Any] | None = None) -> None:
        """Read these exceptions instead of the former ones, and a policy that cannot be read."""
        self.read: list[ReadException] = [read_exception(obj, None, LONGEST, self._clock) for obj in exceptions]
        current = self._files.current()
        assert current is not None
        index = ExceptionIndex(read.compiled for read in self.read if read.compiled is not None)
        policies = current.index
        if unreadable is not None:
            broken = compile_unreadable(unreadable["metadata"]["name"], unreadable, "damaged")
            policies = PolicyIndex((), [*policies.policies, broken])
        self._current = replace(current, index=policies, exceptions=index)

    def current(self) -> PolicySet | None:
        return self._current

    def problem(self) -> str:
        return ""
