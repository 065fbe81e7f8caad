"""Reconciles the status of every Authenticator and VerificationPolicy.

Reconciliation is level-triggered: it starts from the current objects, not from events, so missed, repeated or reordered
events do not matter. A status is written only if it differs.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.dependencies import authenticators_named_in
from sealgate.api.v1alpha1.status import AuthenticatorStatus, Condition, VerificationPolicyStatus
from sealgate.clocks import jittered
from sealgate.errors import NotFoundError, SealgateError
from sealgate.kubernetes.client import ConflictError
from sealgate_operator.controller.object_lists import ObjectLists, resync_periodically
from sealgate_operator.controller.resources import AUTHENTICATOR, OPERATOR_RESOURCES, POLICY, SECRET
from sealgate_operator.controller.work_queue import Key
from sealgate_operator.status.authenticators import Assessment, assess
from sealgate_operator.status.conditions import READY, read_status
from sealgate_operator.status.verification_policies import NOT_ENFORCED, policy_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from structlog.typing import FilteringBoundLogger

    from sealgate.api.v1alpha1.status import PolicyActivity
    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.lease import Fence
    from sealgate_operator.controller.store import Object, ObjectStore
    from sealgate_operator.controller.work_queue import WorkQueue
    from sealgate_operator.events import Events
    from sealgate_operator.keys.interface import KeySource
    from sealgate_operator.keys.secrets import SecretKeys
    from sealgate_operator.keys.trusted_roots import TrustedRoots
    from sealgate_operator.metrics import Metrics
    from sealgate_operator.status.conditions import ConditionUpdate
    from sealgate_operator.webhooks.node_critical import NodeCritical

#: Threads that reconcile objects; they mostly wait for the API server.
WORKERS = 4


class Reconciler:
    """Reconciles the objects of the work queue.

    Args:
        api: the API server.
        namespace: the operator's namespace.
        store: cache of the objects.
        queue: keys of the objects to reconcile.
        secrets: source of keys in Secrets.
        sources: sources of other keys.
        roots: source of trusted roots in ConfigMaps.
        node_critical: finds DaemonSets that the cluster needs before sealgate.
        activity: returns what a policy's status should say about its images and denials, from its name and what it
            says now.
        enforced: returns the condition Enforced of every policy; None until it is known.
        reported: returns the condition Reported of every policy; None where nothing is reported, or until it is known.
        fence: whether this replica may still write.
        events: gets a warning for every object that becomes not ready.
        clock: source of the time.
        refresh_seconds: the most seconds between two reconciliations of an object.
        metrics: counts reconciliations.
        log: gets a line for every change and failure.
    """

    def __init__(  # noqa: PLR0913 - what a reconciler is assembled from
        self,
        *,
        api: KubernetesAPI,
        namespace: str,
        store: ObjectStore,
        queue: WorkQueue,
        secrets: SecretKeys,
        sources: Sequence[KeySource],
        roots: TrustedRoots,
        node_critical: NodeCritical,
        activity: Callable[[str, PolicyActivity | None], PolicyActivity | None],
        enforced: Callable[[], ConditionUpdate | None],
        reported: Callable[[], ConditionUpdate | None],
        fence: Fence,
        events: Events,
        clock: Clock,
        refresh_seconds: float,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._lists = ObjectLists(api, OPERATOR_RESOURCES, namespace, store, log)
        self._store = store
        self._queue = queue
        self._secrets = secrets
        self._sources = tuple(sources)
        self._roots = roots
        self._node_critical = node_critical
        self._activity = activity
        self._enforced = enforced
        self._reported = reported
        self._fence = fence
        self._events = events
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._metrics = metrics
        self._log = log
        self._lock = threading.Lock()
        self._assessments: dict[str, Assessment] = {}

    # Events and resyncs --------------------------------------------------------------------------------------------

    def on_event(self, kind: str, obj: Object, *, gone: bool = False) -> None:
        """Store the object of a watch event, and queue the objects that depend on it."""
        news = self._store.remove(kind, obj) if gone else self._store.put(kind, obj)
        if news:
            self._enqueue_dependents(kind, obj["metadata"]["name"])

    def resync(self) -> bool:
        """List all objects, and queue those of which the watches missed a change; return whether there were any.

        Raises:
            UnavailableError: it could not be listed.
        """
        # All lists come before the queue is filled: an authenticator must not be reconciled without its Secret.
        changed = self._lists.compare()
        if self._node_critical.refresh():
            self.enqueue_policies()
        for kind, names in changed:
            for name in names:
                self._enqueue_dependents(kind, name)
        self._update_metrics()
        return any(names for _, names in changed)

    def enqueue_policies(self) -> None:
        """Queue every policy: a condition of all of them has changed."""
        for obj in self._store.all(POLICY):
            self._queue.add(Key(POLICY, obj["metadata"]["name"]))

    def enqueue_authenticators(self) -> None:
        """Queue every authenticator: something that some of them name has changed."""
        for obj in self._store.all(AUTHENTICATOR):
            self._queue.add(Key(AUTHENTICATOR, obj["metadata"]["name"]))

    def resync_periodically(self, stop: threading.Event, seconds: float, on_missed: Callable[[], None]) -> None:
        """Resync periodically until `stop` is set.

        Args:
            stop: ends the loop.
            seconds: seconds between two resyncs, on average.
            on_missed: called when two resyncs in a row found changes that no watch had reported.
        """
        resync_periodically(stop, seconds, self.resync, on_missed, self._resync_failed)

    def _resync_failed(self, error: SealgateError) -> None:
        self._metrics.failed("resync")
        self._log.warning("resync failed; will retry", error=error.message)

    def _enqueue_dependents(self, kind: str, name: str) -> None:
        if kind == SECRET:
            keys = [Key(AUTHENTICATOR, found) for found in self._store.authenticators_with(name)]
        elif kind == AUTHENTICATOR:
            keys = [Key(AUTHENTICATOR, name)]
        else:
            keys = [Key(POLICY, name)]
        for key in keys:
            self._queue.add(key)

    # Reconciliation -----------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Reconcile the objects of the queue until it is closed."""
        while (key := self._queue.take()) is not None:
            try:
                self._reconcile(key)
            except Exception as error:  # noqa: BLE001 - the boundary: every error is logged and retried
                self._failed(key, error)
            else:
                self._metrics.worked(key.kind)
                self._queue.done(key)

    def _failed(self, key: Key, error: Exception) -> None:
        pause = self._queue.failed(key)
        self._metrics.failed(key.kind)
        fields = {"kind": key.kind, "name": key.name, "backoff_seconds": round(pause, 1)}
        if isinstance(error, ConflictError):
            self._log.debug("object changed during its reconcile; will retry", **fields)
        elif isinstance(error, SealgateError):
            self._log.warning("reconcile failed; will retry", error=error.message, **fields)
        else:
            self._log.error("reconcile failed; will retry", exc_info=error, **fields)

    def _reconcile(self, key: Key) -> None:
        obj = self._store.get(key.kind, key.name)
        is_authenticator = key.kind == AUTHENTICATOR
        delay = self._reconcile_authenticator(key.name, obj) if is_authenticator else self._reconcile_policy(obj)
        if obj is not None:
            self._queue.add(key, jittered(delay, 0.9, 1.0))

    def _reconcile_authenticator(self, name: str, obj: Object | None) -> float:
        assessment = None if obj is None else self._assess(obj)
        with self._lock:
            before = self._assessments.get(name)
            if assessment is None:
                self._assessments.pop(name, None)
            else:
                self._assessments[name] = assessment
        if _visible_to_policies(before) != _visible_to_policies(assessment):
            for policy in self._store.policies_with(name):
                self._queue.add(Key(POLICY, policy))
        if obj is None or assessment is None:
            return self._refresh_seconds
        if read_status(AuthenticatorStatus, obj) != assessment.status:
            self._write(AUTHENTICATOR, obj, assessment.status)
        return min(assessment.refresh_seconds or self._refresh_seconds, self._refresh_seconds)

    def _assess(self, obj: Object) -> Assessment:
        return assess(obj, self._secrets, self._sources, self._clock.now(), self._roots)

    def _reconcile_policy(self, obj: Object | None) -> float:
        if obj is None:
            return self._refresh_seconds
        with self._lock:
            known = dict(self._assessments)
        waiting = [
            name
            for name in authenticators_named_in(obj)
            if name not in known and self._store.get(AUTHENTICATOR, name) is not None
        ]
        enforced = self._enforced()
        if waiting or enforced is None:
            # After a start: the policy is queued again when its authenticators are reconciled, or enforcement is known.
            return self._refresh_seconds
        before = read_status(VerificationPolicyStatus, obj)
        reported = self._reported()
        further = (self._node_critical.condition(), *(() if reported is None else (reported,)))
        status = policy_status(obj, known, self._clock.now(), enforced, *further)
        status = status.model_copy(update={"activity": self._activity(obj["metadata"]["name"], before.activity)})
        if before != status:
            self._write(POLICY, obj, status)
        return self._refresh_seconds

    # Writing ------------------------------------------------------------------------------------------------------

    def _write(self, kind: str, obj: Object, status: AuthenticatorStatus | VerificationPolicyStatus) -> None:
        metadata = obj["metadata"]
        path = f"{self._lists.paths[kind]}/{metadata['name']}"
        # A merge patch leaves members alone that it does not have, and removes those that are null.
        absent = dict.fromkeys(("activity",) if kind == POLICY else ())
        document = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "status": absent | status.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        self._fence.check()
        try:
            written = self._api.merge(f"{path}/status", document)
        except NotFoundError:
            # Deleted in the meantime; a watch or the next resync reports it.
            return
        except ConflictError:
            self._store.put(kind, {**self._api.get(path), "kind": kind})
            raise
        self._store.put(kind, written)
        self._metrics.wrote(kind)
        ready = _ready(status.conditions)
        self._log.info("status updated", kind=kind, name=metadata["name"], ready=ready.status, reason=ready.reason)
        # What is wrong for every policy has one Event, about the webhook configuration.
        if (
            ready.status == "False"
            and ready.reason != NOT_ENFORCED
            and _words(ready) != _words(_ready(read_status(type(status), obj).conditions))
        ):
            self._events.warn(obj, ready)

    def _update_metrics(self) -> None:
        with self._lock:
            states = [key.state for found in self._assessments.values() for key in found.status.keys]
        objects: Counter[tuple[str, str]] = Counter(
            (kind, _ready(read_status(AuthenticatorStatus, obj).conditions).status)
            for kind in (AUTHENTICATOR, POLICY)
            for obj in self._store.all(kind)
        )
        self._metrics.counted(states, objects)


#: Condition of an object without a status.
_PENDING = Condition(type=READY, status="Unknown", reason="Pending", last_transition_time="")


def _visible_to_policies(assessment: Assessment | None) -> tuple[Any, ...] | None:
    """Return the parts of an assessment that the status of policies depends on."""
    return (
        None
        if assessment is None
        else (assessment.ready, assessment.stalled, assessment.message, assessment.fingerprints)
    )


def _ready(conditions: Iterable[Condition]) -> Condition:
    return next((condition for condition in conditions if condition.type == READY), _PENDING)


def _words(condition: Condition) -> tuple[str, str]:
    return condition.reason, condition.message
