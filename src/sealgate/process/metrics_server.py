"""HTTP server of the metrics port, for metrics and health checks, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final

from prometheus_client.exposition import choose_encoder

from sealgate.process.serving.asgi import respond
from sealgate.process.serving.limits import ServingLimits
from sealgate.process.serving.server import Server

if TYPE_CHECKING:
    import socket

    from prometheus_client import CollectorRegistry
    from structlog.typing import FilteringBoundLogger

    from sealgate.process.serving.asgi import ASGIApplication, Receive, Scope, Send

#: Prometheus and the kubelet need one connection each.
SCRAPE_LIMITS: Final = ServingLimits(connections=100)


class MetricsServer:
    """Serves an ASGI application on a listening socket, from a daemon thread, until it is closed.

    Args:
        listener: the socket; it is closed with the server.
        app: the application. It must not block: health checks share its event loop.
        log: the process's log.
        limits: what clients may take.
    """

    def __init__(
        self,
        listener: socket.socket,
        app: ASGIApplication,
        log: FilteringBoundLogger,
        limits: ServingLimits = SCRAPE_LIMITS,
    ) -> None:
        self._listener = listener
        self._server = Server(app, limits, log)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving; requests under way are not waited for."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve([self._listener], self._stop, drain=lambda: 0.0))


def metrics_app(registry: CollectorRegistry) -> ASGIApplication:
    """Return the ASGI application that serves metrics on every path."""
    return _Scrapes(registry).respond


class _Scrapes:
    """Requests for metrics; all that come in one turn of the event loop get the same.

    To collect metrics takes long, compared with everything else that is done in this event loop.

    Args:
        registry: the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._collected: dict[str, asyncio.Future[tuple[bytes, str]]] = {}

    async def respond(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve one request."""
        accept = b",".join(value for name, value in scope["headers"] if name == b"accept").decode("latin-1")
        content, media_type = await self._collect(accept)
        await respond(send, 200, content, media_type.encode())

    def _collect(self, accept: str) -> asyncio.Future[tuple[bytes, str]]:
        encode, media_type = choose_encoder(accept)
        if media_type not in self._collected:
            loop = asyncio.get_running_loop()
            collected = self._collected[media_type] = loop.create_future()

            def collect() -> None:
                del self._collected[media_type]
                try:
                    collected.set_result((encode(self._registry), media_type))
                except Exception as error:  # noqa: BLE001 - each request that waits fails with it
                    collected.set_exception(error)

            loop.call_soon(collect)
        return self._collected[media_type]
