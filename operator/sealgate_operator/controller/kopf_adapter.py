"""Adapter of Kopf: watches collections and passes on every change. The only module that imports Kopf.

Kopf writes nothing: no finalizers, which would delay an uninstallation; no annotations, for which the operator has no
permission; no Events of its own; no peering, since the Lease elects the leader. Cluster-scoped kinds are watched in the
whole cluster and namespaced ones in one namespace, which is what Kopf does when it is given namespaces.

Three types come from private modules of Kopf, since they are arguments of the public `kopf.operator` but are exported
by no public module: `Insights` says which resources Kopf watches (Kopf discovers them once and does not report one that
is missing), `Vault` owns its connections (which Kopf leaves open when it is stopped), `Identity` is a string type.
`.ci/kopf.sh` tests this module with the oldest and the newest Kopf that `pyproject.toml` allows.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import kopf
from kopf._cogs.structs.credentials import Vault
from kopf._cogs.structs.references import Insights
from kopf._core.engines.peering import Identity

from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol

    from kubernetes.client.configuration import Configuration
    from structlog.typing import FilteringBoundLogger

    from sealgate_operator.controller.resources import Resource
    from sealgate_operator.controller.store import Object

    class EventHandler(Protocol):
        """Callback for the events of the watches."""

        def __call__(self, kind: str, obj: Object, *, gone: bool = False) -> None:
            """Handle one event.

            Args:
                kind: kind of the object, one of those that are watched.
                obj: the object, with `apiVersion` and `kind`.
                gone: whether the object was deleted.
            """


IDENTITY = "sealgate"
#: Seconds after which the API server ends a watch, and after which the client does if the API server does not.
_WATCH_SECONDS, _LONGEST_WATCH_SECONDS = 240, 270
#: Seconds without any event or bookmark after which a watch counts as lost.
_SILENCE_SECONDS = 75.0
_CONNECT_SECONDS, _REQUEST_SECONDS = 5.0, 15.0
#: Seconds between two checks of whether Kopf has to stop.
_POLL_SECONDS = 0.25
#: Seconds that Kopf gets to stop by itself; it waits 5 s for its own tasks.
SHUTDOWN_SECONDS = 8.0
#: The same when the operator stops: Kopf only reads, and with what it fails then is of no interest.
_STOP_SECONDS = 1.0
#: Seconds of back-off before Kopf is restarted, the first and the longest.
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 15.0


class NotAllWatchedError(Exception):
    """Kopf is not watching every required resource."""


class Watcher:
    """Runs Kopf in the calling thread, and restarts it when it fails or does not watch every resource.

    Kopf discovers the kinds once and does not report one that was missing then: one of several API servers may not
    know the CRDs yet.

    Args:
        configuration: address, CA and credentials of the API server.
        resources: what is watched, by kind.
        namespace: the only namespace in which namespaced resources are watched.
        on_event: called for every event, in Kopf's event loop; must not block.
        log: gets a line for every restart.
        shutdown_seconds: for which Kopf may shut down by itself before its remaining tasks are cancelled.
    """

    def __init__(
        self,
        configuration: Configuration,
        resources: Mapping[str, Resource],
        namespace: str,
        on_event: EventHandler,
        log: FilteringBoundLogger,
        shutdown_seconds: float = SHUTDOWN_SECONDS,
    ) -> None:
        self._configuration = configuration
        self._resources = resources
        self._namespace = namespace
        self._on_event = on_event
        self._log = log
        self._shutdown_seconds = shutdown_seconds
        self._restart = threading.Event()

    def restart(self) -> None:
        """Restart Kopf: its watches miss events that a list shows. Thread-safe; returns at once."""
        self._restart.set()

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set."""
        backoff = _FIRST_BACKOFF
        while not stop.is_set():
            try:
                asyncio.run(self._watch(stop))
            except Exception as error:  # noqa: BLE001 - Kopf raises exceptions of every kind when it fails
                self._log.warning("watches failed; restarting", error=_describe(error), backoff_seconds=backoff)
            stop.wait(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    async def _watch(self, stop: threading.Event) -> None:
        self._restart.clear()
        insights, vault, over = Insights(), Vault(), asyncio.Event()
        asyncio.create_task(self._set_when_over(over, stop, insights))  # noqa: RUF006 - `_shut_down` ends it
        running = asyncio.create_task(
            kopf.operator(
                registry=self._registry(over),
                settings=_settings(self._resources.values()),
                insights=insights,
                standalone=True,
                # By default Kopf takes the user's name, and the user of the image has none.
                identity=Identity(IDENTITY),
                namespaces=[self._namespace],
                # A thread that waits for a threading.Event could not be ended when Kopf fails.
                stop_flag=over,
                vault=vault,
            )
        )
        running.add_done_callback(lambda _: over.set())
        await over.wait()
        await _shut_down(running, _STOP_SECONDS if stop.is_set() else self._shutdown_seconds)
        # Kopf closes its connections before its last requests have ended, and these open new ones.
        await vault.close()
        if stop.is_set():
            return
        if not running.cancelled():
            running.result()  # raises the exception with which Kopf failed
        if self._restart.is_set():
            raise NotAllWatchedError("the watches missed events that a list shows")
        raise NotAllWatchedError(
            f"not watched: {missing}" if (missing := self._missing(insights)) else "Kopf ended without an error"
        )

    async def _set_when_over(self, over: asyncio.Event, stop: threading.Event, insights: Insights) -> None:
        while not (stop.is_set() or self._restart.is_set() or self._missing(insights)):  # noqa: ASYNC110 - the first two are set by other threads
            await asyncio.sleep(_POLL_SECONDS)
        over.set()

    def _registry(self, over: asyncio.Event) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
        def login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - Kopf passes arguments of every type
            return _connection(self._configuration)

        @kopf.on.cleanup(registry=registry)
        async def ending(**_: Any) -> None:  # noqa: ANN401, RUF029 - Kopf passes arguments of every type and requires a coroutine
            over.set()

        for kind, resource in self._resources.items():
            self._add_handler(registry, kind, resource)
        return registry

    def _missing(self, insights: Insights) -> str:
        """Return the resources that Kopf should watch and does not, once it has discovered the kinds; else empty."""
        if not insights.ready_resources.is_set():
            return ""
        watched = {(found.group, found.version, found.plural) for found in insights.watched_resources}
        return ", ".join(one.plural for one in self._resources.values() if one.key not in watched)

    def _add_handler(self, registry: kopf.OperatorRegistry, kind: str, resource: Resource) -> None:
        @kopf.on.event(*resource.key, registry=registry, id=kind)
        async def changed(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401, RUF029 - Kopf passes arguments of every type and requires a coroutine
            # The items of a list carry neither apiVersion nor kind.
            obj = {"apiVersion": resource.api_version, **event["object"], "kind": kind}
            self._on_event(kind, obj, gone=event["type"] == "DELETED")


async def _shut_down(running: asyncio.Task[None], seconds: float) -> None:
    """Return when Kopf has ended and none of its tasks is left; cancel what is left after so many seconds.

    After the stop flag is set, Kopf waits without a limit for its tasks, and some of them ignore a cancellation: a
    request whose watch is cancelled at the same moment takes the cancellation for a pause, and the watch goes on.
    """
    await asyncio.wait([running], timeout=seconds)
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_POLL_SECONDS)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {quote(error, 256)}"


def quieten_kopf(level: int) -> None:
    """Log only warnings and errors of Kopf, unless everything is logged.

    Args:
        level: the log level of the process, as a number of `logging`.
    """
    logging.getLogger("kopf").setLevel(level if level <= logging.DEBUG else logging.WARNING)
    # It warns that it does not handle signals in a thread, which is intended.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)


def _settings(resources: Iterable[Resource]) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    # Kopf would kill the process; the operator does that itself.
    settings.process.ultimate_exiting_timeout = None
    settings.watching.server_timeout = _WATCH_SECONDS
    settings.watching.client_timeout = _LONGEST_WATCH_SECONDS
    settings.watching.inactivity_timeout = _SILENCE_SECONDS
    settings.watching.connect_timeout = _CONNECT_SECONDS
    settings.watching.chunk_size = 500
    for resource in resources:
        if resource.field_selector:
            settings.watching.field_selectors[resource.key] = resource.field_selector
    settings.networking.connect_timeout = _CONNECT_SECONDS
    settings.networking.request_timeout = _REQUEST_SECONDS
    settings.networking.error_backoffs = (0.5, 1, 2, 4)
    settings.queueing.exit_timeout = 0.5
    settings.queueing.idle_timeout = 1.0
    return settings


def _connection(configuration: Configuration) -> kopf.ConnectionInfo:
    """Return the connection that all other requests use; Kopf asks again when the API server refuses the token."""
    header = configuration.get_api_key_with_prefix("BearerToken") or configuration.get_api_key_with_prefix(
        "authorization"
    )
    scheme, _, token = (header or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        username=configuration.username or None,
        password=configuration.password or None,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
