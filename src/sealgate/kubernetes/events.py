"""Kubernetes Events (`core/v1`): built, created, and counted up when they recur.

An Event whose name is derived from its content is created once; what recurs is counted up by a patch. Callers decide
which Events are made, how many, and what happens to those that cannot be made.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as quote_path

from sealgate.clocks import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI

#: The most characters of an Event's message; the API server refuses longer ones.
MAX_MESSAGE: Final = 1024
#: The most characters of the object's name that become part of the Event's name, which may have 253.
_MAX_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Event:
    """A warning about an object.

    Attributes:
        namespace: namespace of the Event: the object's own, "default" for an object without one.
        involved: the `involvedObject`; must have a `name`.
        reason: one CamelCase word.
        message: text for a person; only the first `MAX_MESSAGE` characters are sent.
        identity: text that is the same exactly for Events that are counted as one.
    """

    namespace: str
    involved: Mapping[str, str]
    reason: str
    message: str
    identity: str

    @property
    def name(self) -> str:
        """Name of the Event, the same for the same identity about an object of the same name."""
        return f"{self.involved['name'][:_MAX_NAME]}.{hashlib.sha256(self.identity.encode()).hexdigest()[:16]}"


class EventWriter:
    """Writes Events to the API server. Thread-safe.

    Args:
        api: the API server.
        component: name of the reporting component ("sealgate-operator").
        instance: name of this replica.
        clock: source of the Events' timestamps.
    """

    def __init__(self, api: KubernetesAPI, component: str, instance: str, clock: Clock) -> None:
        self._api = api
        self._component = component
        self._instance = instance
        self._clock = clock

    def create(self, event: Event, count: int = 1) -> None:
        """Create an Event.

        Args:
            event: the Event.
            count: how often it has occurred, at least 1.

        Raises:
            ConflictError: there is one of that name; count it up instead.
            UnavailableError: it could not be created.
        """
        self._api.create(_collection(event), self._document(event, count))

    def count_up(self, event: Event, count: int | None = None) -> None:
        """Note that an Event has occurred again; it gets the newest message.

        Args:
            event: the Event, whose message may differ from before where its identity does not.
            count: how often it has occurred; None leaves the count as it is.

        Raises:
            NotFoundError: there is no Event of that name, for instance because it has expired.
            UnavailableError: it could not be changed.
        """
        changes: dict[str, Any] = {
            "message": event.message[:MAX_MESSAGE],
            "lastTimestamp": timestamp(self._clock.now()),
            "reportingInstance": self._instance,
        }
        if count is not None:
            changes["count"] = count
        self._api.merge(f"{_collection(event)}/{quote_path(event.name, safe='')}", changes)

    def _document(self, event: Event, count: int) -> dict[str, Any]:
        now = timestamp(self._clock.now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event.name, "namespace": event.namespace},
            "involvedObject": dict(event.involved),
            "reason": event.reason,
            "message": event.message[:MAX_MESSAGE],
            "type": "Warning",
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": count,
        }


def _collection(event: Event) -> str:
    return f"/api/v1/namespaces/{quote_path(event.namespace, safe='')}/events"
