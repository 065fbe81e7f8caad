"""Connections to the server: few, with a time limit for each exchange, and never waited for.

A thread of its own connects, because name resolution and TLS handshakes take as long as they like. An exchange uses a
connection that is open, or fails at once. The first failure closes every connection (the circuit is open, and all
exchanges fail at once) until that thread could connect and got an answer in time; it waits longer after each failure.
A server that is gone, paused or slow therefore costs a few threads `exchange_seconds` now and then, and nothing else.

An error response of the server to one command (out of memory, wrong type, not permitted) is a result, not a failure of
the connection.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, Final

from valkey.connection import Connection
from valkey.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sealgate.clocks import Clock
    from sealgate.shared_cache.settings import ServerSettings

#: Seconds for a TCP connection, a TLS handshake, and the login.
CONNECT_SECONDS: Final = 2.0
CONNECTIONS: Final = 8
#: Maximum bytes of the responses of one exchange.
MAX_RESPONSE_BYTES: Final = 128 << 10
#: Seconds between two attempts to connect, after the first failure and at most.
MIN_PAUSE_SECONDS: Final = 0.1
MAX_PAUSE_SECONDS: Final = 5.0
_MAX_CREDENTIAL_BYTES = 1 << 12

#: One command with its arguments.
Command = tuple[str | bytes | int, ...]


class ServerUnavailableError(Exception):
    """The server was not reached, or did not respond in time; nothing is known about what it did."""


class BoundedSocket:
    """A socket whose reads and writes together have a deadline and a limit in bytes.

    Args:
        inner: a connected socket.
        clock: measures the deadline.
    """

    def __init__(self, inner: socket.socket, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._until = clock.monotonic() + CONNECT_SECONDS
        self._bytes_left = MAX_RESPONSE_BYTES

    def allow(self, until: float) -> None:
        """Start an exchange that must end at a moment of the clock's monotonic time."""
        self._until = until
        self._bytes_left = MAX_RESPONSE_BYTES

    def recv(self, size: int) -> bytes:
        """Read some bytes.

        Raises:
            OSError: the deadline has passed, the limit is used up, or the connection is broken.
        """
        self._set_timeout()
        data = self._inner.recv(size)
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise OSError("the response is too large")
        return data

    def sendall(self, data: bytes) -> None:
        """Write all bytes.

        Raises:
            OSError: as of `recv`.
        """
        self._set_timeout()
        self._inner.sendall(data)

    def settimeout(self, seconds: float | None) -> None:
        """Ignore the client library's timeout, which is for each read."""

    def shutdown(self, how: int) -> None:
        """Shut the connection down."""
        self._inner.shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self._inner.close()

    def _set_timeout(self) -> None:
        left = self._until - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError("the exchange took too long")
        self._inner.settimeout(left)


class _BoundedConnection(Connection):
    """The client library's connection over a `BoundedSocket`."""

    def __init__(self, server: ServerSettings, context: ssl.SSLContext | None, clock: Clock) -> None:
        self._server = server
        self._context = context
        self._clock = clock
        self.bounded: BoundedSocket | None = None
        username, password = _read_credentials(server.folder)
        # Without names for CLIENT SETINFO: the user needs no right for it.
        super().__init__(  # type: ignore[no-untyped-call]
            host=server.host, port=server.port, username=username, password=password, lib_name=None, lib_version=None
        )

    def _connect(self) -> BoundedSocket:
        inner: socket.socket = socket.create_connection((self._server.host, self._server.port), CONNECT_SECONDS)
        try:
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                inner = self._context.wrap_socket(inner, server_hostname=self._server.host)
        except BaseException:
            inner.close()
            raise
        self.bounded = BoundedSocket(inner, self._clock)
        return self.bounded

    def exchange(self, commands: Sequence[Command], until: float) -> list[Any]:
        """Send commands in one write and return their responses; error responses as `ResponseError` objects."""
        if self.bounded is None:
            raise OSError("not connected")
        self.bounded.allow(until)
        self.send_packed_command(self.pack_commands(commands))  # type: ignore[no-untyped-call]
        return [self._response() for _ in commands]

    def _response(self) -> Any:  # noqa: ANN401 - whatever the server sends
        try:
            return self.read_response()  # type: ignore[no-untyped-call]
        except ResponseError as error:
            return error


class Connections:
    """The open connections to one server. Thread-safe.

    Args:
        server: how the server is reached.
        clock: measures the deadlines; real time, because sockets wait in real time.
    """

    def __init__(self, server: ServerSettings, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._idle: list[_BoundedConnection] = []
        self._open = 0
        #: Counts how often the circuit was opened: a connection of an earlier time is not used again.
        self._generation = 0
        self._failures = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._keep_connected, name="shared-cache", daemon=True)

    def start(self) -> None:
        """Start to connect, in a thread of its own. Once, and in the process that uses the connections."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether an exchange would be tried now."""
        return self._open > 0

    def wait_connected(self, seconds: float) -> bool:
        """Wait until there is a connection; return whether there is one."""
        with self._changed:
            return self._changed.wait_for(lambda: self._open > 0, seconds)

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and return one response for each; an error response is a `ResponseError` object.

        Args:
            commands: at least one.

        Raises:
            ServerUnavailableError: there is no connection, or the responses did not come in time.
        """
        until = self._clock.monotonic() + self._server.exchange_seconds
        connection, generation = self._take(until)
        try:
            responses = connection.exchange(commands, until)
        except BaseException as error:
            self._fail(connection, generation)
            if isinstance(error, Exception):
                # Whatever the server has sent to make the client library fail: that is its failure.
                raise ServerUnavailableError(f"{type(error).__name__} from the shared cache") from error
            raise
        self._give_back(connection, generation)
        return responses

    def close(self) -> None:
        """Close all connections, and connect no more."""
        with self._changed:
            self._closed = True
            self._open_circuit()
        if self._thread.ident is not None:
            self._thread.join(CONNECT_SECONDS)

    def _take(self, until: float) -> tuple[_BoundedConnection, int]:
        with self._changed:
            while self._open and not self._idle:
                left = until - self._clock.monotonic()
                if left <= 0:
                    # All connections are busy; that is load, and says nothing about the server.
                    raise ServerUnavailableError("every connection to the shared cache is in use")
                self._changed.wait(left)
            if not self._open:
                raise ServerUnavailableError("the shared cache is not connected")
            return self._idle.pop(), self._generation

    def _give_back(self, connection: _BoundedConnection, generation: int) -> None:
        with self._changed:
            if generation == self._generation:
                self._failures = 0
                self._idle.append(connection)
                self._changed.notify()
                return
        _close(connection)

    def _fail(self, connection: _BoundedConnection, generation: int) -> None:
        _close(connection)
        with self._changed:
            if generation == self._generation:
                self._failures += 1
                self._open_circuit()

    def _open_circuit(self) -> None:
        """Close what is idle; what is in use is closed when its exchange ends."""
        self._generation += 1
        self._open = 0
        idle, self._idle = self._idle, []
        self._changed.notify_all()
        for connection in idle:
            _close(connection)

    def _keep_connected(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._open < CONNECTIONS)
                if self._failures:
                    pause = min(MIN_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10), MAX_PAUSE_SECONDS)
                    self._changed.wait_for(lambda: self._closed, pause)
                if self._closed:
                    return
                generation = self._generation
            self._add(self._connect(), generation)

    def _add(self, connection: _BoundedConnection | None, generation: int) -> None:
        with self._changed:
            if connection is None:
                self._failures += 1
                return
            if generation == self._generation:
                self._open += 1
                self._idle.append(connection)
                self._changed.notify_all()
                return
        _close(connection)

    def _connect(self) -> _BoundedConnection | None:
        try:
            connection = _BoundedConnection(self._server, self._context(), self._clock)
        except Exception:  # noqa: BLE001 - a CA file that cannot be read is a failure like any other
            return None
        try:
            connection.connect()  # type: ignore[no-untyped-call]
            # A server that accepts connections and is too slow for exchanges is not connected to.
            (pong,) = connection.exchange([("PING",)], self._clock.monotonic() + self._server.exchange_seconds)
        except Exception:  # noqa: BLE001 - whatever the server has sent
            _close(connection)
            return None
        if pong != b"PONG":
            _close(connection)
            return None
        return connection

    def _context(self) -> ssl.SSLContext | None:
        if not self._server.tls:
            return None
        bundle = None if self._server.folder is None else self._server.folder / "ca.crt"
        context = ssl.create_default_context(cafile=bundle if bundle is not None and bundle.exists() else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _close(connection: _BoundedConnection) -> None:
    with contextlib.suppress(Exception):
        connection.disconnect()  # type: ignore[no-untyped-call]


def _read_credentials(directory: Path | None) -> tuple[str | None, str | None]:
    if directory is None:
        return None, None
    return _read_text(directory / "username"), _read_text(directory / "password")


def _read_text(path: Path) -> str | None:
    """Return the text of a file, without a line feed at its end; None if there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_CREDENTIAL_BYTES).decode().removesuffix("\n") or None
    except FileNotFoundError:
        return None
