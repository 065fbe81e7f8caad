"""Writes the statuses of SigningPolicies, at most once in a few seconds each, and of SigningRequests as they end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.signing_status import has_ended
from sealgate.clocks import timestamp
from sealgate.errors import NotFoundError, UnavailableError
from sealgate_operator.controller.resources import SIGNING_POLICY, SIGNING_REQUEST
from sealgate_operator.status.conditions import READY, conditions_of
from sealgate_operator.worker.conditions import is_lost, ready_condition

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.api.v1alpha1.signing_status import SigningRequestStatus
    from sealgate.api.v1alpha1.status import Condition, StatusModel
    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.lease import Fence
    from sealgate_operator.controller.store import Object, ObjectStore
    from sealgate_operator.events import Events
    from sealgate_operator.worker.metrics import WorkerMetrics
    from sealgate_operator.worker.policy_states import PolicyState

#: Seconds between two writes of a policy's status.
FLUSH_SECONDS = 2.0


class StatusWriter:
    """Writes statuses. Thread-safe.

    Args:
        api: the API server.
        paths: path of each collection, by kind.
        store: cache of the objects.
        fence: whether this replica may write.
        events: gets a warning for every policy that becomes not ready.
        clock: source of the time.
        metrics: counts writes.
        log: gets a line for every failure.
    """

    def __init__(  # noqa: PLR0913 - what it is assembled from
        self,
        *,
        api: KubernetesAPI,
        paths: Mapping[str, str],
        store: ObjectStore,
        fence: Fence,
        events: Events,
        clock: Clock,
        metrics: WorkerMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._paths = paths
        self._store = store
        self._fence = fence
        self._events = events
        self._clock = clock
        self._metrics = metrics
        self._log = log

    def write_request(self, obj: Object, status: SigningRequestStatus) -> None:
        """Write the status of a SigningRequest; one that is gone meanwhile is left alone.

        Raises:
            UnavailableError: it could not be written (and its subclasses).
        """
        try:
            self._write(SIGNING_REQUEST, obj, status)
        except NotFoundError:
            self._log.debug("signing request is gone", name=obj["metadata"]["name"])

    def delete_request(self, obj: Object) -> None:
        """Delete a SigningRequest, if it still is as it was read.

        Raises:
            UnavailableError: it could not be deleted (and its subclasses).
        """
        metadata = obj["metadata"]
        self._fence.check()
        self._api.delete(f"{self._paths[SIGNING_REQUEST]}/{metadata['name']}", metadata["resourceVersion"])

    def write_policy(self, policy: PolicyState) -> None:
        """Write the status of a policy now, if it changed.

        Raises:
            UnavailableError: it could not be written (and its subclasses); it counts as changed still.
        """
        status, obj = policy.take_changes(), self._store.get(SIGNING_POLICY, policy.name)
        if status is None or obj is None:
            return
        try:
            self._write(SIGNING_POLICY, obj, status)
        except UnavailableError:
            policy.put_back()
            raise

    def flush(self, policies: Iterable[PolicyState]) -> None:
        """Write every status of a policy that changed, and set the metrics that depend on all of them."""
        states = list(policies)
        waiting = self._waiting()
        ready: Counter[str] = Counter()
        for policy in states:
            ready[self._refresh(policy, waiting[policy.uid])] += 1
            try:
                self.write_policy(policy)
            except UnavailableError as error:
                self._log.warning("status not written; will retry", policy=policy.name, error=error.message)
        found = {policy.name: policy.status.baseline for policy in states}
        self._metrics.policies(
            ready, {name: (baseline.entries if baseline else 0, is_lost(baseline)) for name, baseline in found.items()}
        )

    def flush_periodically(self, stop: threading.Event, policies: Mapping[str, PolicyState]) -> None:
        """Flush every few seconds until `stop` is set, and once more then.

        Args:
            stop: ends the loop.
            policies: all policies; the caller replaces its content as policies come and go.
        """
        while not stop.wait(FLUSH_SECONDS):
            self.flush(list(policies.values()))
        self.flush(list(policies.values()))

    def _waiting(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for obj in self._store.all(SIGNING_REQUEST):
            if not has_ended(obj):
                counts[str(((obj.get("spec") or {}).get("policy") or {}).get("uid"))] += 1
        return counts

    def _refresh(self, policy: PolicyState, waiting: int) -> str:
        """Bring conditions and the number of waiting tags up to date; return the status of the condition Ready."""
        obj = self._store.get(SIGNING_POLICY, policy.name)
        # Not the object's: until it is opened anew, the conditions are about the one before.
        generation = 0 if policy.made_from is None else policy.made_from[0]
        before = policy.status
        ready = ready_condition(policy)
        updates = (ready, *(() if policy.accepted is None else (policy.accepted,)))
        conditions = conditions_of(updates, before, generation, self._clock.now())
        policy.change(
            lambda status: {
                "observed_generation": generation,
                "conditions": conditions,
                "counts": status.counts.model_copy(update={"waiting": waiting}),
            }
        )
        if obj is not None and ready.holds is False and ready.reason != _reason(before.conditions):
            self._events.warn(obj, ready)
        return ready.status

    def _write(self, kind: str, obj: Object, status: StatusModel) -> None:
        metadata = obj["metadata"]
        # With null for what is not set: a merge patch leaves members alone that it does not have.
        document = {"metadata": {"uid": metadata["uid"]}, "status": status.model_dump(mode="json", by_alias=True)}
        self._fence.check()
        written = self._api.merge(f"{self._paths[kind]}/{metadata['name']}/status", document)
        self._store.put(kind, {**written, "kind": kind})
        self._metrics.wrote(kind)

    def now(self) -> str:
        """Return the time as statuses have it."""
        return timestamp(self._clock.now())


def _reason(conditions: Iterable[Condition]) -> str:
    return next((condition.reason for condition in conditions if condition.type == READY), "")
