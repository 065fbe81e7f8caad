"""Kubernetes Events beside the objects they are about: one for each thing that is wrong, counted up when it recurs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sealgate.errors import NotFoundError, UnavailableError
from sealgate.kubernetes.client import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.api.v1alpha1.status import Condition
    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.metrics import Metrics
    from sealgate_operator.status.conditions import ConditionUpdate

COMPONENT = "sealgate-operator"
#: Where Events about objects without a namespace belong.
_COLLECTION = "/api/v1/namespaces/default/events"
_MAX_MESSAGE = 1024


class Events:
    """Makes Events. One that cannot be made is counted and let go: the condition says the same.

    Args:
        api: the API server.
        instance: which replica says so.
        clock: what time it is.
        metrics: told of Events that could not be made.
        log: told why.
    """

    def __init__(
        self, api: KubernetesAPI, instance: str, clock: Clock, metrics: Metrics, log: FilteringBoundLogger
    ) -> None:
        self._api = api
        self._instance = instance
        self._clock = clock
        self._metrics = metrics
        self._log = log

    def warn(self, obj: Mapping[str, Any], condition: Condition | ConditionUpdate) -> None:
        """Say at an object that something about it does not work."""
        event = self._event(obj, condition)
        try:
            try:
                self._api.create(_COLLECTION, event)
            except ConflictError:
                self._count_up(event)
        except UnavailableError as error:
            self._metrics.event_dropped()
            self._log.warning("an Event could not be made", error=error.message)

    def _count_up(self, event: Mapping[str, Any]) -> None:
        path = f"{_COLLECTION}/{event['metadata']['name']}"
        try:
            # The API server keeps an Event for an hour; what it has of this one is not worth a right to read them.
            self._api.merge(path, {"lastTimestamp": event["lastTimestamp"], "reportingInstance": self._instance})
        except NotFoundError:
            self._api.create(_COLLECTION, event)

    def _event(self, obj: Mapping[str, Any], condition: Condition | ConditionUpdate) -> dict[str, Any]:
        metadata = obj["metadata"]
        involved = {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
        }
        # The same words about the same object are the same Event, whoever says them.
        text = "\0".join((involved["uid"], condition.type, condition.reason, condition.message))
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name'][:200]}.{hashlib.sha256(text.encode()).hexdigest()[:16]}",
                "namespace": "default",
            },
            "involvedObject": involved,
            "reason": condition.reason,
            "message": condition.message[:_MAX_MESSAGE],
            "type": "Warning",
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
