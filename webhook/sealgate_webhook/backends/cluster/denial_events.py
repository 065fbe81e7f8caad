"""An Event for every denial, in the namespace of the workload.

Events are written by a background thread and never delay a response. A repeated denial of the same object counts the
Event up. The rate is limited for each namespace; an Event over the limit is dropped and counted in a metric. The log
has every denial.
"""

from __future__ import annotations

import json
import queue
import re
from typing import TYPE_CHECKING

from cachetools import TTLCache

from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.errors import NotFoundError, RateLimitedError, UnavailableError
from sealgate.kubernetes.client import ConflictError
from sealgate.kubernetes.events import MAX_MESSAGE, Event, EventWriter
from sealgate.messages import quote

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.reviews.request import AdmissionRequest

COMPONENT = "sealgate"
REASON = "ImageDenied"
#: Events that may be queued.
MAX_QUEUED = 1000
#: Events a minute for each namespace, and at once.
PER_MINUTE = 60
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


class DenialEvents:
    """Writes Events of denials.

    Args:
        api: the API server.
        instance: this replica's name.
        listed: whether a namespace is in the list of namespaces.
        clock: for the Events' times, and the pace at which they are made.
        metrics: counts dropped Events.
        log: gets a line for every Event that could not be written.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - three of them are what every part of the webhook is given
        self,
        api: KubernetesAPI,
        instance: str,
        listed: Callable[[str], bool],
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._writer = EventWriter(api, COMPONENT, instance, clock)
        self._listed = listed
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._queue: queue.Queue[Event] = queue.Queue(MAX_QUEUED)
        self._budgets = Budgets(PER_MINUTE, BURST, clock)
        self._counts: TTLCache[str, int] = TTLCache(MAX_COUNTS, COUNT_TTL_SECONDS, timer=clock.monotonic)

    def denied(self, request: AdmissionRequest, message: str) -> None:
        """Queue the Event of a denial; returns at once."""
        if request.dry_run:
            return
        involved = _involved(request)
        if not _is_valid(involved):
            self._metrics.event_dropped()
            return
        try:
            # Before it is queued: one namespace must not fill the queue for others.
            budget = request.namespace if self._listed(request.namespace) else UNLISTED
            self._budgets.reserve(budget, Deadline.after(self._clock, 0))
            self._queue.put_nowait(_event(request.namespace, involved, message[:MAX_MESSAGE]))
        except (RateLimitedError, queue.Full):
            self._metrics.event_dropped()

    def run(self, stop: threading.Event) -> None:
        """Write the queued Events until `stop` is set."""
        while not stop.is_set():
            try:
                event = self._queue.get(timeout=1.0)
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


def _event(namespace: str, involved: dict[str, str], message: str) -> Event:
    """Return the Event of a denial, with the same name for the same denial of the same object."""
    identity = json.dumps([sorted(involved.items()), message], ensure_ascii=False)
    return Event(namespace, involved, REASON, message, identity)


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
