"""Lists of whole collections, compared with the cache: the watches may have missed a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.clocks import jittered
from sealgate.errors import SealgateError
from sealgate.kubernetes.lists import items_of, list_pages

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.controller.resources import Resource
    from sealgate_operator.controller.store import Object, ObjectStore


class ObjectLists:
    """Lists the collections of a store.

    Args:
        api: the API server.
        resources: where the objects of each kind of the store are.
        namespace: that of namespaced resources.
        store: cache of the objects.
        log: gets a line when the API server returns an older state.

    Attributes:
        paths: path of each collection, by kind.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        resources: Mapping[str, Resource],
        namespace: str,
        store: ObjectStore,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._resources = resources
        self._store = store
        self._log = log
        self.paths = {kind: resource.path(namespace) for kind, resource in resources.items()}

    def compare(self) -> list[tuple[str, set[str]]]:
        """List all objects and store them; return the names of those of which the watches missed a change, by kind.

        Raises:
            UnavailableError: one of the collections could not be listed.
        """
        return [(kind, self._compare(kind)) for kind in self._store.kinds]

    def _compare(self, kind: str) -> set[str]:
        since = self._store.newest(kind)
        objects, version = self._list(kind)
        if int(version) < since:
            self._log.warning(
                "API server returned an older state; discarding newer objects", kind=kind, version=version, known=since
            )
        return self._store.replace(kind, objects, version, since)

    def _list(self, kind: str) -> tuple[list[Object], str]:
        selector = self._resources[kind].field_selector
        objects: list[Object] = []
        version = ""
        for page in list_pages(
            self._api, self.paths[kind], selectors={"fieldSelector": selector} if selector else None
        ):
            objects += items_of(page, kind)
            version = page["metadata"]["resourceVersion"]
        return objects, version


def resync_periodically(
    stop: threading.Event,
    seconds: float,
    resync: Callable[[], bool],
    on_missed: Callable[[], None],
    on_error: Callable[[SealgateError], None],
) -> None:
    """Resync periodically until `stop` is set.

    Args:
        stop: ends the loop.
        seconds: seconds between two resyncs, on average.
        resync: returns whether the watches missed a change.
        on_missed: called when two resyncs in a row found changes that no watch had reported.
        on_error: called when a resync failed.
    """
    missed = False
    while not stop.wait(jittered(seconds, 0.8, 1.2)):
        try:
            # A list may contain a change before the watch reports it; two in a row are no coincidence.
            before, missed = missed, resync()
            if before and missed:
                missed = False
                on_missed()
        except SealgateError as error:
            on_error(error)
