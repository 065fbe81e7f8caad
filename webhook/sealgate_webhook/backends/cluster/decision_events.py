"""An Event for every denial, would-be denial and use of an exception, in the namespace of the workload.

A change of an exception has one too, about the exception itself. A would-be denial is a request that a policy with
another action than Enforce objects to.

Events are written by background threads and never delay a response. A repeated decision about the same object counts
the Event up, and its message ends with the id of the newest decision. The rate is limited for each namespace, and of
all but denials in total too: a whole cluster under an Audit policy costs the API server at most
`WOULD_BE_DENIED.total_per_minute` requests a minute and replica. An Event over a limit is dropped and counted in a
metric. The log has every decision.
"""

from __future__ import annotations

import json
import queue
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cachetools import TTLCache

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.errors import NotFoundError, RateLimitedError, UnavailableError
from sealgate.kubernetes.client import ConflictError
from sealgate.kubernetes.events import MAX_MESSAGE, Event
from sealgate.messages import quote

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.events import EventWriter
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.reviews.request import AdmissionRequest

COMPONENT = "sealgate"
#: Events of one kind that may be queued.
MAX_QUEUED = 1000
#: Seconds between two checks of whether to stop.
_POLL_SECONDS = 0.2
#: Events that one namespace may make at once.
BURST = 20
#: Seconds for which a repeated denial counts its Event up; Kubernetes keeps Events for an hour.
COUNT_TTL_SECONDS = 3000.0
MAX_COUNTS = 5000
#: Budget of all namespaces together that are not in the list. A forged review may name any number of them.
UNLISTED = ""
#: What `involvedObject` may hold, as Kubernetes itself writes it.
_FORMS = {
    "apiVersion": re.compile(r"([a-z0-9][a-z0-9.-]{0,251}/)?[a-z][a-z0-9]{0,62}"),
    "kind": re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}"),
    "name": re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"),
    "namespace": re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"),
    "uid": re.compile(r"[A-Za-z0-9-]{1,64}"),
}


@dataclass(frozen=True, slots=True)
class EventKind:
    """Events of decisions of one kind, and their limits.

    Attributes:
        reason: the Events' reason, one CamelCase word.
        per_minute: Events a minute for each namespace.
        total_per_minute: Events a minute of all namespaces together.
    """

    reason: str
    per_minute: float
    total_per_minute: float


DENIED: Final = EventKind("ImageDenied", 60, 6000)
WOULD_BE_DENIED: Final = EventKind("ImageWouldBeDenied", 20, 240)
EXCEPTION_USED: Final = EventKind("ExceptionUsed", 60, 600)
EXCEPTION_CHANGED: Final = EventKind("ExceptionChanged", 60, 60)
#: Namespace of Events about objects without a namespace.
CLUSTER_NAMESPACE: Final = "default"


class DecisionEvents:
    """Writes Events of decisions of one kind.

    Args:
        writer: writes to the API server.
        kind: the kind of decisions.
        listed: whether a namespace is in the list of namespaces.
        clock: for the Events' times, and the pace at which they are made.
        metrics: counts dropped Events.
        log: gets a line for every change, and for every Event that could not be written.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - three of them are what every part of the webhook is given
        self,
        writer: EventWriter,
        kind: EventKind,
        listed: Callable[[str], bool],
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._writer = writer
        self._reason = kind.reason
        self._listed = listed
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._queue: queue.Queue[Event] = queue.Queue(MAX_QUEUED)
        self._budgets = Budgets(kind.per_minute, BURST, clock)
        self._total = Budgets(kind.total_per_minute, int(kind.total_per_minute), clock)
        self._counts: TTLCache[str, int] = TTLCache(MAX_COUNTS, COUNT_TTL_SECONDS, timer=clock.monotonic)

    def decided(self, request: AdmissionRequest, message: str, decision_id: str) -> None:
        """Queue the Event of a decision; returns at once. A dry run gets none.

        Args:
            request: the request.
            message: why; repeated decisions about an object with the same message are one Event.
            decision_id: id of the decision.
        """
        if not request.dry_run:
            self._add(request.namespace, _involved(request), message, f" (decision {decision_id})")

    def changed(self, request: AdmissionRequest, message: str) -> None:
        """Log a change of a policy object and queue its Event; returns at once.

        The log has each change, also if changes of others use up the Events.

        Args:
            request: the request.
            message: who changes what.
        """
        self._log.info("policy object changed", kind=quote(request.kind), name=quote(request.name), change=message)
        metadata = (request.object or {}).get("metadata") or {}
        involved = {"apiVersion": API_VERSION, "kind": request.kind, "name": request.name}
        uid = metadata.get("uid")
        self._add(CLUSTER_NAMESPACE, involved | ({"uid": uid} if isinstance(uid, str) and uid else {}), message, "")

    def _add(self, namespace: str, involved: dict[str, str], message: str, suffix: str) -> None:
        if not _is_valid(involved):
            self._metrics.event_dropped()
            return
        try:
            # Before it is queued: one namespace must not fill the queue for others.
            budget = namespace if self._listed(namespace) else UNLISTED
            now = Deadline.after(self._clock, 0)
            self._budgets.reserve(budget, now)
            self._total.reserve("", now)
            self._queue.put_nowait(_event(namespace, involved, self._reason, message, suffix))
        except (RateLimitedError, queue.Full):
            self._metrics.event_dropped()

    def run(self, stop: threading.Event) -> None:
        """Write the queued Events until `stop` is set."""
        while not stop.is_set():
            try:
                event = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            try:
                self._write(event)
            except Exception as error:  # noqa: BLE001 - the content of one review must not cost others their Events
                self._metrics.event_dropped()
                cause = {"error": error.message} if isinstance(error, UnavailableError) else {"exc_info": error}
                self._log.warning("Kubernetes Event dropped", namespace=quote(event.namespace), **cause)

    def _write(self, event: Event) -> None:
        count = self._counts.get(event.name, 0) + 1
        self._counts[event.name] = count
        if count > 1:
            try:
                self._writer.count_up(event, count)
            except NotFoundError:
                count = 1
            else:
                return
        try:
            self._writer.create(event, count)
        except ConflictError:
            # Another replica has created it, or this one before it was restarted.
            self._writer.count_up(event, count + 1)


def _event(namespace: str, involved: dict[str, str], reason: str, message: str, suffix: str) -> Event:
    """Return an Event, with the same name for the same reason and message about the same object.

    The suffix of the message does not count, and is never cut off.
    """
    kept = message[: MAX_MESSAGE - len(suffix)]
    identity = json.dumps([sorted(involved.items()), reason, kept], ensure_ascii=False)
    return Event(namespace, involved, reason, kept + suffix, identity)


def _involved(request: AdmissionRequest) -> dict[str, str]:
    """Return the object that the Event is shown at: itself, or for a pod without a name what would have made it.

    An owner reference only decides where the Event is shown.
    """
    version = f"{request.group}/v1" if request.group else "v1"
    involved = {"apiVersion": version, "kind": request.kind, "namespace": request.namespace, "name": request.name}
    metadata = (request.object or {}).get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    owners = metadata.get("ownerReferences")
    for owner in owners if isinstance(owners, list) else ():
        if isinstance(owner, dict) and owner.get("controller") is True:
            fields = {key: owner.get(key) for key in ("apiVersion", "kind", "name", "uid")}
            texts = {key: value for key, value in fields.items() if isinstance(value, str)}
            if len(texts) == len(fields) and _is_valid(texts):
                return {**texts, "namespace": request.namespace}
    generated = metadata.get("generateName")
    if not involved["name"]:
        involved["name"] = generated.rstrip("-.") if isinstance(generated, str) and generated else "unnamed"
    return involved


def _is_valid(involved: dict[str, str]) -> bool:
    return all(_FORMS[field].fullmatch(value) for field, value in involved.items())
