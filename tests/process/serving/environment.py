"""A server in a thread of its own, and clients that speak to it byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import trustme

from sealgate.process.logs import configure_logs
from sealgate.process.serving.asgi import respond
from sealgate.process.serving.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.process.serving.asgi import ASGIApplication, Receive, Scope, Send
    from sealgate.process.serving.limits import ServingLimits

    Loops = Callable[[], asyncio.AbstractEventLoop]

#: Seconds, longer than any step on a busy machine; reached only on a failure.
PATIENCE_SECONDS = 150.0


class Serving:
    """The server.

    Args:
        app: the application.
        limits: what clients may take.
        loops: makes the event loop.
        tls: whether it serves over TLS.

    Attributes:
        log: what it has logged.
        contexts_made: TLS contexts that it has asked for.
        crowded: what has run out so far.
    """

    def __init__(
        self,
        app: ASGIApplication,
        limits: ServingLimits,
        loops: Loops,
        *,
        tls: bool = False,
    ) -> None:
        self.log = io.StringIO()
        self.contexts_made = 0
        self.crowded: set[str] = set()
        self._ca = trustme.CA() if tls else None
        if self._ca is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._ca.issue_cert("127.0.0.1").configure_cert(self._context)
        context = self._make_context if tls else None
        self.server = Server(app, limits, configure_logs("json", self.log), context, crowded=self.crowded.add)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._loop = loops()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def connect(self) -> socket.socket:
        """Open a connection, without TLS."""
        return socket.create_connection(self.address, PATIENCE_SECONDS)

    def open(self) -> socket.socket:
        """Open a connection, over TLS if that is what is served."""
        if self._ca is None:
            return self.connect()
        # Before the connection, whose time runs from its beginning.
        context = self.client_context()
        return context.wrap_socket(self.connect(), server_hostname="127.0.0.1")

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        assert self._ca is not None
        self._ca.configure_trust(context)
        return context

    def client_hello(self) -> bytes:
        """Return what a client sends first."""
        outgoing = ssl.MemoryBIO()
        client = self.client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        return outgoing.read()

    def stop(self) -> None:
        """Have it finish the requests that are under way; does not wait."""
        self._loop.call_soon_threadsafe(self._stop.set)

    def wait(self) -> None:
        """Wait for its end."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    @property
    def connections(self) -> int:
        return len(self.server._connections)

    def _make_context(self) -> ssl.SSLContext:
        self.contexts_made += 1
        return self._context

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self.server.serve([self._listener], self._stop, lambda: PATIENCE_SECONDS))


@contextlib.contextmanager
def serving(
    app: ASGIApplication,
    limits: ServingLimits,
    loops: Loops,
    *,
    tls: bool = False,
) -> Iterator[Serving]:
    """Run a server until the block ends."""
    served = Serving(app, limits, loops, tls=tls)
    try:
        yield served
    finally:
        if served._thread.is_alive():
            served.stop()
        served.wait()
        served._listener.close()


class Application:
    """Responds with the body that it gets.

    Attributes:
        scopes: of the requests so far.
        entered: set once a request for /wait is under way.
        go: lets these requests go on; they wait without holding up the event loop.
        blocked: set once a request for /block is under way.
        unblock: lets these go on; they do hold it up.
        count: called for each request for /block.
        counts: what it returned.
        gone: set once a client is gone before its body was complete.
    """

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.entered, self.go = threading.Event(), threading.Event()
        self.blocked, self.unblock = threading.Event(), threading.Event()
        self.count: Callable[[], int] = lambda: 0
        self.counts: list[int] = []
        self.gone = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        path = scope["path"]
        if path == "/fail":
            raise RuntimeError("an unforeseen fault")
        if path == "/refuse":
            await respond(send, 413, b"too large\n")
            return
        if path == "/large":
            await respond(send, 200, b"x" * (32 << 20))
            return
        if path == "/wait":
            self.entered.set()
            await asyncio.to_thread(self.go.wait, PATIENCE_SECONDS)
        if path == "/block":
            self.counts.append(self.count())
            self.blocked.set()
            self.unblock.wait(PATIENCE_SECONDS)
        body = await self._body(receive)
        if body is not None:
            await respond(send, 200, body)

    async def _body(self, receive: Receive) -> bytes | None:
        parts: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
                return None
            parts.append(message["body"])
            if not message["more_body"]:
                return b"".join(parts)


def head(path: str = "/", *fields: str, method: str = "GET") -> bytes:
    """Return the head of a request."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: server", *fields, "", "")).encode()


def response(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read a response with a Content-Length, and nothing that follows it."""
    # Without a buffer, which would take what follows.
    with connection.makefile("rb", buffering=0) as file:
        status = int(file.readline().split()[1])
        headers: dict[str, str] = {}
        while line := file.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = bytearray()
        while len(body) < int(headers["content-length"]):
            piece = file.read(int(headers["content-length"]) - len(body))
            assert piece, "the response breaks off"
            body += piece
        return status, headers, bytes(body)


def ask(connection: socket.socket, path: str = "/") -> int:
    """Send a request over a connection that is kept, and return the status."""
    connection.sendall(head(path))
    return response(connection)[0]


def is_answered(served: Serving) -> bool:
    """Return whether a request over a connection of its own gets a response; not if it was not sent in time."""
    with contextlib.suppress(OSError, IndexError), served.open() as client:
        return ask(client) == 200
    return False


def is_cut_off(connection: socket.socket) -> bool:
    """Wait for the server to close a connection; it may send data before."""
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        while connection.recv(1 << 16):
            pass
    return True


def eventually(condition: Callable[[], Any]) -> None:
    """Poll until a condition holds; fails after about `PATIENCE_SECONDS`."""
    pause = threading.Event()
    for _ in range(int(PATIENCE_SECONDS * 100)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError(f"still not so after {PATIENCE_SECONDS} s")
