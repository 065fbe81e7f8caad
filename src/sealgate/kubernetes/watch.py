"""Informer: a collection of the API server cached in memory by a list and a watch.

The list is read in pages at one resource version, and the watch continues from there. Requests to an unreachable API
server are retried with back-off, and the cached objects stay. A partial list is never visible: `snapshot` is None until
the first list is complete, and a later list replaces the cache at once.

A collection whose kind is not installed may count as empty (`optional`), from the moment that the API server says so.

A watch that times out is resumed. Every other end of a watch leads to a relist: the API server may have been stopped,
and, when a backup of etcd is restored, the history replaced by an older one. Resource versions go back then, and the
API server does not report that: once they have passed the cached one, a watch from it goes on as if nothing was missed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sealgate.clocks import jittered
from sealgate.errors import NotFoundError, UnavailableError
from sealgate.kubernetes.client import GoneError
from sealgate.kubernetes.lists import list_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI

T = TypeVar("T")

#: Seconds after which the API server ends a watch, and seconds of silence after which the client does: the API server
#: sends a bookmark every minute, and a lost connection must not hide changes for longer.
WATCH_SECONDS = 240
SILENCE_SECONDS = 75.0
#: Seconds of back-off after a failure, the first and the longest.
FIRST_BACKOFF = 0.2
LONGEST_BACKOFF = 15.0


class Informer(Generic[T]):
    """One collection, each object as what `read` makes of it.

    Args:
        api: the API server.
        path: of the collection ("/api/v1/namespaces").
        read: makes the value that is kept; called once for each change of an object. The value before the change is
            its second argument, None where there was none.
        changed: called after every list and every change, from the informer's thread; not if `read` returns an equal
            value, for instance because only a status that it ignores has changed.
        clock: how long a watch lasted is measured on it.
        log: gets a line for every failure.
        optional: whether a collection that the API server does not know is empty. Without that, its last objects stay.
    """

    def __init__(  # noqa: PLR0913 - two of them are what every thread of the webhook is given
        self,
        api: KubernetesAPI,
        path: str,
        read: Callable[[dict[str, Any], T | None], T],
        changed: Callable[[], None],
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        optional: bool = False,
    ) -> None:
        self._api = api
        self._path = path
        self._read = read
        self._changed = changed
        self._clock = clock
        self._log = log.bind(collection=path)
        self._optional = optional
        self._lock = threading.Lock()
        self._values: dict[str, T] = {}
        self._complete = False
        #: The resource version of the values; None if the collection must be listed.
        self._version: str | None = None
        #: Whether the current watch has reported an event or a bookmark.
        self._heard = False

    @property
    def complete(self) -> bool:
        """Whether the first list is whole."""
        with self._lock:
            return self._complete

    def snapshot(self) -> Mapping[str, T] | None:
        """Return every object's value by its name, as of now; None until the first list is whole."""
        with self._lock:
            return dict(self._values) if self._complete else None

    def get(self, name: str) -> T | None:
        """Return one object's value; None when there is no such object, or the first list is not whole."""
        with self._lock:
            return self._values.get(name) if self._complete else None

    def run(self, stop: threading.Event) -> None:
        """List and watch the collection until `stop` is set."""
        pause = FIRST_BACKOFF
        while not stop.is_set():
            begun = self._clock.monotonic()
            error = self._list_and_watch(stop)
            # In a quiet cluster an API server may report nothing for hours; that is no reason to back off.
            if self._heard or self._clock.monotonic() - begun > LONGEST_BACKOFF:
                pause = FIRST_BACKOFF
            if error is None:
                continue
            self._version = None
            self._report(error, pause)
            stop.wait(jittered(pause, 0.5, 1.0))
            pause = min(pause * 2, LONGEST_BACKOFF)

    def _list_and_watch(self, stop: threading.Event) -> Exception | None:
        """Return the error that makes a relist necessary; None if the watch can be resumed."""
        self._heard = False
        try:
            if self._version is None:
                self._list()
            self._watch(stop)
        except NotFoundError as error:
            if self._optional and self.snapshot() != {}:
                self._replace({})
            return error
        except Exception as error:  # noqa: BLE001 - without this thread, no change would be noticed
            return error
        return None

    def _report(self, error: Exception, pause: float) -> None:
        if self._optional and isinstance(error, NotFoundError):
            self._log.debug("kind is not installed", backoff_seconds=round(pause, 1))
        elif isinstance(error, GoneError):
            self._log.debug("watch ended; relisting", error=error.message)
        elif isinstance(error, UnavailableError):
            self._log.warning(
                "API server unavailable; will retry", error=error.message, backoff_seconds=round(pause, 1)
            )
        else:
            self._log.error("watch ended; relisting", exc_info=error, backoff_seconds=round(pause, 1))

    def _list(self) -> None:
        values: dict[str, T] = {}
        version = ""
        for page in list_pages(self._api, self._path):
            for item in page.get("items") or ():
                name = item["metadata"]["name"]
                values[name] = self._read(item, self._values.get(name))
            version = page["metadata"]["resourceVersion"]
        self._replace(values)
        self._version = version

    def _replace(self, values: dict[str, T]) -> None:
        with self._lock:
            self._values = values
            self._complete = True
        self._changed()

    def _watch(self, stop: threading.Event) -> None:
        """Apply events until the time of the watch is over.

        Raises:
            GoneError: it ended before.
            UnavailableError: it could not begin, or its connection was lost.
        """
        begun = self._clock.monotonic()
        query: dict[str, str | int] = {
            "resourceVersion": self._version or "",
            "timeoutSeconds": WATCH_SECONDS,
            "allowWatchBookmarks": "true",
        }
        for event in self._api.watch(self._path, query, SILENCE_SECONDS):
            if stop.is_set():
                return
            item = event["object"]
            if event["type"] != "BOOKMARK":
                self._apply(event["type"], item)
            self._version = item["metadata"]["resourceVersion"]
            self._heard = True
        # An API server that shuts down ends its watches as if their time was over.
        if self._clock.monotonic() - begun < WATCH_SECONDS:
            raise GoneError("a watch ended before its time")

    def _apply(self, change: str, item: dict[str, Any]) -> None:
        name = item["metadata"]["name"]
        before = self._values.get(name)
        if change == "DELETED":
            with self._lock:
                self._values.pop(name, None)
        else:
            value = self._read(item, before)
            with self._lock:
                self._values[name] = value
            if before == value:
                return
        self._changed()
