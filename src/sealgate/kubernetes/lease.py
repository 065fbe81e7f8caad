"""Leader election: the replica that holds the Lease is the leader.

The leader election of the `kubernetes` library ends at a network error, measures by the wall clock, and may hang in a
request without a limit. Here a follower takes over when it has seen the Lease unchanged for its duration *by its own
monotonic clock*, and the leader stops well before that: its writes are fenced by the time of its last renewal, even
while a request hangs. Every write names the resource version that it was computed from, so of two concurrent ones one
fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sealgate.errors import NotFoundError, UnavailableError
from sealgate.kubernetes.client import ConflictError
from sealgate.messages import quote

if TYPE_CHECKING:
    import threading

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI


class NotLeadingError(UnavailableError):
    """This replica is not, or no longer, the leader."""


class Fence(Protocol):
    """Whether this replica may write."""

    def check(self) -> None:
        """Return if it may.

        Raises:
            NotLeadingError: it may not.
        """


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds.

    Attributes:
        duration: without a renewal, after which others take over.
        deadline: without a renewal, after which the leader stops; well below `duration`.
        period: seconds between two renewals, and between two checks by a follower.
    """

    duration: float = 12.0
    deadline: float = 8.0
    period: float = 2.0


class Lease:
    """The Lease as one replica sees it.

    Args:
        api: the API server.
        namespace: the Lease's.
        name: the Lease's; it is made if there is none.
        identity: of this replica; no two alike.
        clock: for the time in the Lease, and to measure.
        log: gets a line for every change of the holder.
        timing: durations of the lease, its renewal and retries.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        namespace: str,
        name: str,
        identity: str,
        clock: Clock,
        log: FilteringBoundLogger,
        timing: Timing = Timing(),  # noqa: B008 - frozen
    ) -> None:
        self._api = api
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._identity = identity
        self._clock = clock
        self._log = log
        self._timing = timing
        self._seen_version = ""
        self._seen_at = 0.0
        self._seen_holder = ""
        #: Until when this replica may work, on the monotonic clock.
        self._until = float("-inf")

    def leads(self) -> bool:
        """Return whether this replica may work now."""
        return self._clock.monotonic() < self._until

    def check(self) -> None:
        """Return if this replica may write; see `Fence`."""
        if not self.leads():
            raise NotLeadingError("this replica is not the leader and must not write")

    def run(self, stop: threading.Event) -> None:
        """Acquire and renew the Lease until `stop` is set; then release it."""
        while not stop.is_set():
            try:
                self.attempt()
            except UnavailableError as error:
                self._log.warning("lease renewal failed; will retry", error=error.message)
            stop.wait(self._timing.period)
        self._release()

    def attempt(self) -> None:
        """Acquire or renew the Lease, if possible.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        # What counts is when the request began: the API server may have taken it at any moment after.
        begin = self._clock.monotonic()
        try:
            lease = self._api.get(f"{self._collection}/{self._name}")
        except NotFoundError:
            self._write_first(begin)
            return
        self._observe(lease)
        if not self._may_take(lease):
            return
        self._write(lease, begin)

    def _observe(self, lease: dict[str, Any]) -> None:
        holder = _holder(lease)
        if lease["metadata"]["resourceVersion"] != self._seen_version:
            self._seen_version = lease["metadata"]["resourceVersion"]
            self._seen_at = self._clock.monotonic()
        if holder != self._seen_holder:
            self._seen_holder = holder
            self._log.info("lease holder changed", holder=quote(holder))

    def _may_take(self, lease: dict[str, Any]) -> bool:
        if _holder(lease) in ("", self._identity):
            return True
        # By what the holder promised, or by what is usual here, whichever is longer.
        promised = lease.get("spec", {}).get("leaseDurationSeconds")
        duration = max(float(promised), self._timing.duration) if isinstance(promised, int) else self._timing.duration
        return self._clock.monotonic() >= self._seen_at + duration

    def _write_first(self, begin: float) -> None:
        try:
            self._api.create(
                self._collection,
                {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": self._name},
                    "spec": self._spec({}, self._identity),
                },
            )
        except ConflictError:
            # Another replica was faster.
            return
        self._until = begin + self._timing.deadline

    def _write(self, lease: dict[str, Any], begin: float) -> None:
        try:
            written = self._api.replace(
                f"{self._collection}/{self._name}",
                {**lease, "spec": self._spec(lease.get("spec") or {}, self._identity)},
            )
        except ConflictError:
            return
        self._observe(written)
        self._until = begin + self._timing.deadline

    def _release(self) -> None:
        """Release the Lease, so that another replica can lead at once."""
        led, self._until = self.leads(), float("-inf")
        if not led:
            return
        try:
            lease = self._api.get(f"{self._collection}/{self._name}")
            if _holder(lease) == self._identity:
                self._api.replace(f"{self._collection}/{self._name}", {**lease, "spec": self._spec(lease["spec"], "")})
        except UnavailableError as error:
            self._log.warning("lease not released; it will expire", error=error.message)

    def _spec(self, before: dict[str, Any], holder: str) -> dict[str, Any]:
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = before.get("holderIdentity") == holder
        transitions = before.get("leaseTransitions") or 0
        return {
            **before,
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._timing.duration)),
            "acquireTime": before.get("acquireTime") if same and before.get("acquireTime") else now,
            "renewTime": now,
            "leaseTransitions": transitions if same or not before else transitions + 1,
        }


def _holder(lease: dict[str, Any]) -> str:
    return (lease.get("spec") or {}).get("holderIdentity") or ""
