"""WSGI applications behind the event-loop server: each request runs in a thread of a pool."""

from __future__ import annotations

import asyncio
import io
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote_to_bytes

from sealgate.process.serving.asgi import ARRIVED
from sealgate_webhook.transport.callers import CALLER
from sealgate_webhook.transport.request_pool import BusyError

if TYPE_CHECKING:
    from wsgiref.types import InputStream, WSGIApplication, WSGIEnvironment

    from sealgate.process.serving.asgi import Receive, Scope, Send
    from sealgate_webhook.transport.request_pool import RequestPool

#: WSGI environment key of a function that has the connection closed after the response.
CLOSE: Final = "sealgate.close"
#: The most seconds that a request waits for a thread.
WAIT_SECONDS: Final = 5.0
#: The most bytes of a body that are read before the request gets a thread; the thread reads the rest.
READ_AHEAD: Final = 256 << 10


class WSGIBridge:
    """ASGI application that runs a WSGI application in threads.

    Args:
        app: the WSGI application.
        pool: its threads. The tenants of requests that come by `__call__` are the clients' addresses.
    """

    def __init__(self, app: WSGIApplication, pool: RequestPool) -> None:
        self._app = app
        self._pool = pool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        body = _Body(receive, asyncio.get_running_loop())
        if not await body.read_ahead():
            return
        try:
            response = await self.run(
                environ_of(scope, io.BufferedReader(body)), self._pool, scope["client"][0], READ_AHEAD, WAIT_SECONDS
            )
        except BusyError:
            response = WSGIResponse(503, [(b"retry-after", b"1"), (b"content-length", b"0")])
        await response.send(send)

    async def run(
        self, environ: WSGIEnvironment, pool: RequestPool, tenant: str, size: int, seconds: float
    ) -> WSGIResponse:
        """Run the application in a thread and return its response.

        Args:
            environ: the request.
            pool: the threads.
            tenant: whose share of them it counts in.
            size: bytes that it keeps in memory.
            seconds: the most that it waits for a thread.

        Raises:
            BusyError: no thread can take it, or none took it in time.
        """
        request = pool.submit(tenant, size, partial(_run, self._app, environ))
        response: asyncio.Future[WSGIResponse] = asyncio.wrap_future(request.result)

        def give_up() -> None:
            if not response.done() and pool.withdraw(request):
                response.set_exception(BusyError(tenant))

        waiting = asyncio.get_running_loop().call_later(max(seconds, 0), give_up)
        try:
            return await response
        except asyncio.CancelledError:
            # A request whose client is gone needs no thread any more.
            pool.withdraw(request)
            raise
        finally:
            waiting.cancel()


@dataclass
class WSGIResponse:
    """What a WSGI application responds.

    Attributes:
        status: HTTP status code.
        headers: names in lower case.
        body: content.
    """

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    def close(self) -> None:
        """Have the connection closed after the response."""
        self.headers.append((b"connection", b"close"))

    async def send(self, send: Send) -> None:
        """Send the response."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def _run(app: WSGIApplication, environ: WSGIEnvironment) -> WSGIResponse:
    """Run an application in this thread and return its response."""
    response = WSGIResponse()
    closing: list[bool] = []
    environ[CLOSE] = partial(closing.append, True)  # noqa: FBT003 - an item of a list

    def start(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        response.status = int(status.split(" ", 1)[0])
        response.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]

    parts = app(environ, start)  # type: ignore[arg-type] # no `write`, which is for old applications
    try:
        response.body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    if closing:
        response.close()
    return response


class _Body(io.RawIOBase):
    """The body of a request as a file, for a thread; the event loop receives it.

    Args:
        receive: the request's channel.
        loop: the event loop.
    """

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._loop = loop
        self._parts: list[bytes] = []
        self._more = True

    async def read_ahead(self) -> bool:
        """Receive the first bytes; return False if the client is gone."""
        size = 0
        while self._more and size <= READ_AHEAD:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return False
            self._parts.append(message["body"])
            size += len(message["body"])
            self._more = message["more_body"]
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, which has no type in Python 3.11
        """Read some bytes; 0 at the end, also if the client is gone."""
        while not self._parts and self._more:
            message = asyncio.run_coroutine_threadsafe(_awaited(self._receive), self._loop).result()
            self._more = message.get("more_body", False)
            self._parts += [message["body"]] if message.get("body") else []
        if not self._parts:
            return 0
        part = self._parts.pop(0)
        size = min(len(part), len(buffer))
        buffer[:size] = part[:size]
        if size < len(part):
            self._parts.insert(0, part[size:])
        return size


async def _awaited(receive: Receive) -> Any:  # noqa: ANN401 - a message
    return await receive()


def environ_of(scope: Scope, body: io.BufferedIOBase) -> WSGIEnvironment:
    """Return the WSGI environment of a request (PEP 3333), with the server's own keys of the scope.

    Args:
        scope: the request.
        body: its body.
    """
    host, port = scope["server"]
    client, client_port = scope["client"]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client,
        "REMOTE_PORT": str(client_port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": cast("InputStream", body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        ARRIVED: scope[ARRIVED],
        CALLER: scope.get(CALLER),
    }
    for name, value in scope["headers"]:
        # A name with an underscore would be mistaken for the one with a hyphen.
        if b"_" not in name:
            _add_header(environ, name.decode("latin-1").upper().replace("-", "_"), value.decode("latin-1"))
    return environ


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    key = name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"
    environ[key] = f"{environ[key]},{value}" if key in environ else value
