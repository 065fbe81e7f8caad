"""Kubernetes Events about objects that do not work: one for each condition, counted up when it recurs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sealgate.errors import NotFoundError, UnavailableError
from sealgate.kubernetes.client import ConflictError
from sealgate.kubernetes.events import Event, EventWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.api.v1alpha1.status import Condition
    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.status.conditions import ConditionUpdate

COMPONENT = "sealgate-operator"
#: Namespace of Events about objects without a namespace.
_NAMESPACE = "default"


class EventMetrics(Protocol):
    """Counts Events."""

    def event_dropped(self) -> None:
        """Count an Event that could not be written."""


class Events:
    """Creates Events. One that cannot be created is counted and dropped: the condition says the same.

    Args:
        api: the API server.
        component: name of the reporting component ("sealgate-operator").
        instance: name of this replica.
        clock: source of timestamps.
        metrics: counts dropped Events.
        log: gets a line for every dropped Event.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        component: str,
        instance: str,
        clock: Clock,
        metrics: EventMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._writer = EventWriter(api, component, instance, clock)
        self._metrics = metrics
        self._log = log

    def warn(self, obj: Mapping[str, Any], condition: Condition | ConditionUpdate) -> None:
        """Create an Event about an object, or count up the one that says the same.

        Args:
            obj: the object, with `apiVersion`, `kind` and `metadata`.
            condition: the condition that does not hold; its reason and message become the Event's.
        """
        event = _event(obj, condition)
        try:
            try:
                self._writer.create(event)
            except ConflictError:
                self._count_up(event)
        except UnavailableError as error:
            self._metrics.event_dropped()
            self._log.warning("Kubernetes Event dropped", error=error.message)

    def _count_up(self, event: Event) -> None:
        try:
            # Without the count: reading it would need a permission, and the API server keeps an Event for an hour only.
            self._writer.count_up(event)
        except NotFoundError:
            self._writer.create(event)


def _event(obj: Mapping[str, Any], condition: Condition | ConditionUpdate) -> Event:
    metadata = obj["metadata"]
    uid = metadata.get("uid", "")
    involved = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": metadata["name"], "uid": uid}
    # The same condition of the same object is the same Event, whichever replica reports it.
    identity = f"{uid}\0{condition.type}\0{condition.reason}\0{condition.message}"
    return Event(_NAMESPACE, involved, condition.reason, condition.message, identity)
