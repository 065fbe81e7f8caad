"""What Kopf is asked to do: watch three collections and tell of every change.

Kopf writes nothing: no finalizers, which would hold up an uninstallation; no annotations, for which the operator has
no right; no Events of its own; no peering, since the Lease says who works. Cluster-scoped kinds are watched in the
whole cluster and Secrets in one namespace, which is what Kopf does when it is given namespaces.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import kopf
from kopf._cogs.structs.credentials import Vault  # this and the next two: types of public arguments; public nowhere
from kopf._cogs.structs.references import Insights
from kopf._core.engines.peering import Identity

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.messages import quote
from sealgate_operator.controller.reconciler import SECRET_SELECTOR
from sealgate_operator.controller.store import AUTHENTICATOR, POLICY, SECRET

if TYPE_CHECKING:
    from typing import Protocol

    from kubernetes.client.configuration import Configuration
    from structlog.typing import FilteringBoundLogger

    from sealgate_operator.controller.store import Object

    class Noticed(Protocol):
        """Who is told of changes."""

        def __call__(self, kind: str, obj: Object, *, gone: bool = False) -> None:
            """Take in what a watch told of an object."""


_GROUP, _, _VERSION = API_VERSION.partition("/")
_RESOURCES = {
    AUTHENTICATOR: (_GROUP, _VERSION, "authenticators"),
    POLICY: (_GROUP, _VERSION, "verificationpolicies"),
    SECRET: ("", "v1", "secrets"),
}
IDENTITY = "sealgate"
#: Seconds after which the API server ends a watch, and after which we do if it does not.
_WATCH_SECONDS, _LONGEST_WATCH_SECONDS = 240, 270
#: Seconds without any event or bookmark after which a watch counts as lost.
_SILENCE_SECONDS = 75.0
_CONNECT_SECONDS, _REQUEST_SECONDS = 5.0, 15.0
#: Seconds after which Kopf learns at the latest that it is to stop.
_BEAT_SECONDS = 0.25
#: Seconds for which Kopf is left alone when it ends; it waits for five of them for what it began.
_GOODBYE_SECONDS = 8.0
#: Seconds before Kopf is started anew, at first and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0


class NotAllWatchedError(Exception):
    """Kopf runs, and does not tell of everything."""


class Watcher:
    """Runs Kopf in the calling thread, and starts it anew when it gives up or does not watch everything.

    Kopf asks once which kinds there are, and never misses one that was not named to it then: of several API servers
    one may not know the CRDs yet.

    Args:
        configuration: address, authority and credentials of the API server.
        namespace: sealgate's own.
        noticed: told of every change.
        log: told when Kopf gives up.
    """

    def __init__(
        self, configuration: Configuration, namespace: str, noticed: Noticed, log: FilteringBoundLogger
    ) -> None:
        self._configuration = configuration
        self._namespace = namespace
        self._noticed = noticed
        self._log = log
        self._doubted = threading.Event()

    def doubt(self) -> None:
        """Have Kopf started anew: it does not tell what others see, whatever it waits for."""
        self._doubted.set()

    def run(self, stop: threading.Event) -> None:
        """Watch until told to stop."""
        pause = _FIRST_PAUSE
        while not stop.is_set():
            try:
                asyncio.run(self._watch(stop))
            except Exception as error:  # noqa: BLE001 - Kopf ends with whatever it could not cope with
                self._log.warning("the watches are started again", error=_told(error), pause=pause)
            stop.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _watch(self, stop: threading.Event) -> None:
        self._doubted.clear()
        insights, vault, over = Insights(), Vault(), asyncio.Event()
        asyncio.create_task(self._tell_when_to_end(over, stop, insights))  # noqa: RUF006 - `_see_off` ends it
        running = asyncio.create_task(
            kopf.operator(
                registry=self._registry(over),
                settings=_settings(),
                insights=insights,
                standalone=True,
                # Kopf would make one of the user's name, and in the image the user has none.
                identity=Identity(IDENTITY),
                namespaces=[self._namespace],
                # A thread that waits for the event itself could not be ended when Kopf gives up.
                stop_flag=over,
                vault=vault,
            )
        )
        await _see_off(running, over)
        # Kopf closes its connections before its last requests have ended, and those open new ones.
        await vault.close()
        if stop.is_set():
            return
        if not running.cancelled():
            running.result()  # raises what made Kopf give up
        if self._doubted.is_set():
            raise NotAllWatchedError("what a list had was not told of")
        raise NotAllWatchedError(f"not there: {_missing(insights)}" if _missing(insights) else "it did not end well")

    async def _tell_when_to_end(self, over: asyncio.Event, stop: threading.Event, insights: Insights) -> None:
        while not (stop.is_set() or self._doubted.is_set() or _missing(insights)):  # noqa: ASYNC110 - the first two are set by other threads
            await asyncio.sleep(_BEAT_SECONDS)
        over.set()

    def _registry(self, over: asyncio.Event) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
        def login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - whatever Kopf passes
            return _connection(self._configuration)

        @kopf.on.cleanup(registry=registry)
        async def ending(**_: Any) -> None:  # noqa: ANN401, RUF029 - whatever Kopf passes; it wants a coroutine
            over.set()

        for kind, resource in _RESOURCES.items():
            self._tell_of(registry, kind, *resource)
        return registry

    def _tell_of(self, registry: kopf.OperatorRegistry, kind: str, *resource: str) -> None:
        @kopf.on.event(*resource, registry=registry, id=kind)
        async def changed(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401, RUF029 - whatever Kopf passes; it wants a coroutine
            # Objects in a list do not say what they are.
            obj = {"apiVersion": "/".join(filter(None, resource[:2])), **event["object"], "kind": kind}
            self._noticed(kind, obj, gone=event["type"] == "DELETED")


async def _see_off(running: asyncio.Task[None], over: asyncio.Event) -> None:
    """Return when Kopf has ended and nothing that it began is left.

    Once it is over, Kopf waits without end for all that it began, and of that some passes over being cancelled: a
    request whose watch is cancelled at the same moment takes it for a pause, and the watch goes on.
    """
    running.add_done_callback(lambda _: over.set())
    await over.wait()
    await asyncio.wait([running], timeout=_GOODBYE_SECONDS)
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_BEAT_SECONDS)


def _missing(insights: Insights) -> str:
    """Return what Kopf should watch and does not, once it knows what there is."""
    if not insights.ready_resources.is_set():
        return ""
    watched = {(found.group, found.version, found.plural) for found in insights.watched_resources}
    return ", ".join(plural for *group, plural in _RESOURCES.values() if (*group, plural) not in watched)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {quote(error, 256)}"


def quieten_kopf(level: int) -> None:
    """Leave of Kopf's own log what a person can use.

    Args:
        level: the least that is logged of everything else.
    """
    logging.getLogger("kopf").setLevel(level if level <= logging.DEBUG else logging.WARNING)
    # It warns that it does not handle signals in a thread; it is not meant to.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    # It would kill the process; whoever runs us does that.
    settings.process.ultimate_exiting_timeout = None
    settings.watching.server_timeout = _WATCH_SECONDS
    settings.watching.client_timeout = _LONGEST_WATCH_SECONDS
    settings.watching.inactivity_timeout = _SILENCE_SECONDS
    settings.watching.connect_timeout = _CONNECT_SECONDS
    settings.watching.chunk_size = 500
    settings.watching.field_selectors["", "v1", "secrets"] = SECRET_SELECTOR
    settings.networking.connect_timeout = _CONNECT_SECONDS
    settings.networking.request_timeout = _REQUEST_SECONDS
    settings.networking.error_backoffs = (0.5, 1, 2, 4)
    settings.queueing.exit_timeout = 0.5
    settings.queueing.idle_timeout = 1.0
    return settings


def _connection(configuration: Configuration) -> kopf.ConnectionInfo:
    """Return the same connection that all other requests use; asked again when the API server refuses the token."""
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
