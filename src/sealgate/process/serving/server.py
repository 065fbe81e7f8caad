"""The server: accepts connections, bounds them, and lets each take its turn.

- When connections, or descriptors, run out, the connection that has been idle longest is closed; see `Phase`.
- A TLS handshake is the dearest thing that a client without credentials may ask for. One step of one handshake is done
  in a turn of the event loop, so that connections that are established wait for no more than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from sealgate.process.serving.connection import PIECE_BYTES, Connection
from sealgate.process.serving.waits import Phase, Waits

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Coroutine, Sequence

    from structlog.typing import FilteringBoundLogger

    from sealgate.process.serving.asgi import ASGIApplication, Scope
    from sealgate.process.serving.exchange import Exchange
    from sealgate.process.serving.limits import Crowding, ServingLimits

#: Connections accepted in one turn of the event loop.
ACCEPTS: Final = 32
#: Seconds after a stop for which a connection that waits for a request is kept.
QUIET_SECONDS: Final = 0.5
#: What `accept` fails with when this process, or the machine, has no room for a further connection.
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def _describe_nothing(_connection: ssl.SSLObject) -> tuple[dict[str, Any], bool]:
    return {}, True


def _count_nothing(_of: Crowding) -> None:
    return


class Server:
    """Serves an ASGI 3 application over HTTP/1.1.

    Args:
        app: the application; only scopes of type "http" are sent to it.
        limits: what clients may take.
        log: the process's log.
        context: returns the TLS context of a new connection; None for plain HTTP.
        describe: returns, for a request, what is known of its TLS connection (keys of the scope), and whether the
            connection may be kept after the response.
        crowded: called each time a connection is closed to make room for others, with what has run out.

    Attributes:
        address: host and port of the first listener.
        draining: whether no new requests are taken any more.
        buffer: what all connections read into, one at a time.
        waits: what each client is waited for.
    """

    def __init__(
        self,
        app: ASGIApplication,
        limits: ServingLimits,
        log: FilteringBoundLogger,
        context: Callable[[], ssl.SSLContext] | None = None,
        describe: Callable[[ssl.SSLObject], tuple[dict[str, Any], bool]] = _describe_nothing,
        crowded: Callable[[Crowding], None] = _count_nothing,
    ) -> None:
        self.limits = limits
        self.context = context
        self.describe = describe
        self.address: tuple[str, int] = ("", 0)
        self.draining = False
        self.buffer = memoryview(bytearray(PIECE_BYTES))
        self.waits: Waits[Connection] = Waits(limits)
        self._app = app
        self._log = log
        self._crowded = crowded
        self._listeners: Sequence[socket.socket] = ()
        self._accepting = False
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handshakes: deque[Connection] = deque()
        self._shaking = False
        self._empty = asyncio.Event()

    async def serve(
        self,
        listeners: Sequence[socket.socket],
        stop: asyncio.Event,
        drain: Callable[[], float],
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve until `stop` is set; then finish the requests that are under way.

        Args:
            listeners: listening sockets, at least one.
            stop: ends the server.
            drain: returns the most seconds that these requests have.
            tick: called once in `ServingLimits.check` seconds.
        """
        self._listeners = listeners
        host, port = listeners[0].getsockname()[:2]
        self.address = (host, port)
        for listener in listeners:
            listener.setblocking(False)
        self._accept_again()
        checks = asyncio.get_running_loop().create_task(self._keep_checking(tick))
        await stop.wait()
        self.draining = True
        self._stop_accepting()
        for connection in self._connections:
            connection.announce_end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain()):
                # A client may just have sent a request on a connection that waits for one: it still gets its response.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(QUIET_SECONDS):
                        await self._until_empty()
                for connection in list(self._connections):
                    connection.close_idle()
                await self._until_empty()
        checks.cancel()
        for connection in list(self._connections):
            self.expire(connection)

    async def _until_empty(self) -> None:
        while self._connections:
            self._empty.clear()
            await self._empty.wait()

    # Called by connections.

    def run(self, scope: Scope, exchange: Exchange, connection: Connection) -> None:
        """Have the application respond to a request."""
        self._start(self._respond(scope, exchange, connection))

    def queue_handshake(self, connection: Connection, *, first: bool) -> None:
        """Have a handshake continued as soon as it is its turn; those that have begun come first."""
        if first:
            self._handshakes.append(connection)
        else:
            self._handshakes.appendleft(connection)
        if not self._shaking:
            self._shaking = True
            asyncio.get_running_loop().call_soon(self._shake_hands)

    def expire(self, connection: Connection) -> None:
        """Close a connection at once, to have its place."""
        self.closed(connection)
        connection.abort()

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self.waits.leave(connection)
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def malformed(self, peer: tuple[str, int]) -> None:
        """Log a request that cannot be parsed; not its content, which may have a secret in it."""
        self._log.warning("malformed request; connection closed", client=peer[0])

    # Turns of the event loop.

    def _shake_hands(self) -> None:
        self._handshakes.popleft().shake_hands()
        shaking = self.waits.within(Phase.HANDSHAKE)
        if len(shaking) > self.limits.handshakes:
            self._crowded("handshakes")
            self.expire(next(iter(shaking)))
        self._shaking = bool(self._handshakes)
        if self._shaking:
            asyncio.get_running_loop().call_soon(self._shake_hands)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                client, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Usually the client has gone.
                if error.errno in _NO_ROOM:
                    self._make_room()
                    return
                continue
            self._admit(client, peer[:2])

    def _make_room(self) -> None:
        """Close the connection that has been idle longest; its descriptor is free in the next turn."""
        self._crowded("descriptors")
        longest = self.waits.longest()
        if longest is not None:
            self.expire(longest)
        else:
            # The listener would be ready all the time. `_check` tries again.
            self._stop_accepting()

    def _admit(self, client: socket.socket, peer: tuple[str, int]) -> None:
        if len(self._connections) >= self.limits.connections:
            self._crowded("connections")
            longest = self.waits.longest()
            if longest is None:
                client.close()
                return
            self.expire(longest)
        connection = Connection(self, peer)
        self._connections.add(connection)
        self.waits.enter(connection, Phase.SILENT)
        self._start(self._connect(connection, client))

    async def _connect(self, connection: Connection, client: socket.socket) -> None:
        client.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, client)
        except OSError:
            client.close()
            self.closed(connection)

    async def _respond(self, scope: Scope, exchange: Exchange, connection: Connection) -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - the boundary: the connection, not the server, pays for it
            self._log.error("internal error while a request was served", exc_info=error)
        if not exchange.finished:
            connection.fail(exchange)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_checking(self, tick: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self.limits.check)
            self._check()
            tick()

    def _check(self) -> None:
        for connection in self.waits.expired():
            self.expire(connection)
        for connection in [kept for kept in self.waits.within(Phase.KEPT) if kept.unsent]:
            # The response before is not read: that takes no longer than other reading.
            if self.waits.seconds(connection) > self.limits.io:
                self.expire(connection)
        if not (self._accepting or self.draining):
            self._accept_again()

    def _accept_again(self) -> None:
        self._accepting = True
        for listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _stop_accepting(self) -> None:
        self._accepting = False
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
