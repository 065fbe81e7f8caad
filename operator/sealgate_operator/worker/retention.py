"""Removes SigningRequests some time after they have ended, and counts those that wait."""

from __future__ import annotations

from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.signing_status import has_ended, request_status
from sealgate.errors import NotFoundError, UnavailableError
from sealgate_operator.controller.resources import SIGNING_REQUEST

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate_operator.controller.store import Object, ObjectStore
    from sealgate_operator.worker.metrics import WorkerMetrics
    from sealgate_operator.worker.status_writer import StatusWriter

#: Seconds between two rounds.
ROUND_SECONDS = 15.0
#: The most ended requests that stay: those that wait are bounded by the endpoint, and what ends at once is not.
MAX_ENDED = 10_000


class Retention:
    """Goes through all SigningRequests now and then.

    Args:
        store: cache of the objects.
        writer: deletes requests.
        seconds: for which an ended request stays.
        clock: source of the time.
        metrics: has the number of requests that wait, and the age of the oldest.
        log: gets a line for every failure.
    """

    def __init__(
        self,
        store: ObjectStore,
        writer: StatusWriter,
        seconds: float,
        clock: Clock,
        metrics: WorkerMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._writer = writer
        self._seconds = seconds
        self._clock = clock
        self._metrics = metrics
        self._log = log

    def run(self, stop: threading.Event) -> None:
        """Go through the requests until `stop` is set."""
        while not stop.wait(min(ROUND_SECONDS, max(self._seconds, 0.25))):
            self.go_through()

    def go_through(self) -> None:
        """Remove the requests whose time is over, and the oldest beyond `MAX_ENDED`; set the metrics."""
        now = self._clock.now()
        waiting, ended = [], []
        for obj in self._store.all(SIGNING_REQUEST):
            if has_ended(obj):
                ended.append((_seconds_since(request_status(obj).ended_at, now), obj))
            else:
                waiting.append(_age(obj, now))
        ended.sort(key=itemgetter(0))
        for number, (seconds, obj) in enumerate(ended):
            if seconds >= self._seconds or number >= MAX_ENDED:
                self._delete(obj)
        self._metrics.requests(len(waiting), max(waiting, default=0.0))

    def _delete(self, obj: Object) -> None:
        try:
            self._writer.delete_request(obj)
        except NotFoundError:
            return
        except UnavailableError as error:
            self._log.warning("signing request not removed; will retry", error=error.message)


def _age(obj: Mapping[str, Any], now: datetime) -> float:
    return _seconds_since((obj.get("spec") or {}).get("acceptedAt"), now)


def _seconds_since(text: object, now: datetime) -> float:
    """Return the seconds since a time; 0 for text that is not a time."""
    try:
        then = datetime.fromisoformat(str(text))
    except ValueError:
        return 0.0
    return (now - (then if then.tzinfo is not None else then.replace(tzinfo=UTC))).total_seconds()
