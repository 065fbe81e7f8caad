"""Connections that enforce a deadline and a limit of received bytes.

Every receive and send may take only the time left until the request's deadline, and every received byte, headers and
framing included, counts against the request's allowance. A connection that is used again gets the limits of the next
request.

A connected socket never blocks: it is waited for only where it is not ready. A socket with a timeout would be waited
for before each call, and set anew for each, and every system call is an occasion for a switch to another thread.
"""

from __future__ import annotations

import select
import socket
import ssl
from typing import TYPE_CHECKING

from sealgate.errors import DeadlineError

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate.http.urls import Origin


_READ_BYTES = 64 << 10


class FloodError(Exception):
    """More bytes were received than the request allows."""


class Guard:
    """Limits of the request that uses a connection.

    Attributes:
        deadline: the moment by which the request must be over.
        doing: what the request does, for messages ("asking registry.example.org").
        allowance: maximum bytes to receive.
        received: bytes received so far.
    """

    __slots__ = ("allowance", "deadline", "doing", "received")

    def __init__(self, deadline: Deadline, doing: str, allowance: int) -> None:
        self.renew(deadline, doing, allowance)

    def renew(self, deadline: Deadline, doing: str, allowance: int) -> None:
        """Set the limits for the next request."""
        self.deadline = deadline
        self.doing = doing
        self.allowance = allowance
        self.received = 0

    def left(self) -> float:
        """Return the seconds left until the deadline.

        Raises:
            DeadlineError: the deadline has passed.
        """
        left = self.deadline.at - self.deadline.clock.monotonic()
        if left <= 0:
            raise self.ran_out()
        return left

    def ran_out(self) -> DeadlineError:
        """Return the error for a request that took until the deadline."""
        return DeadlineError(f"ran out of time while {self.doing}; try again, or raise the webhook's timeout")

    def count(self, received: int) -> None:
        """Count received bytes.

        Raises:
            FloodError: they are more than the allowance.
        """
        self.received += received
        if self.received > self.allowance:
            raise FloodError


class Connection:
    """A connection to addresses that were checked; over TLS the certificate must be valid for the origin's host.

    Args:
        origin: the server's name and port.
        addresses: its IP addresses, as text; at least one.
        guard: limits of the first request.
        context: TLS settings with the CAs to trust; None for no TLS.

    Attributes:
        guard: limits of the request that uses the connection.
    """

    def __init__(
        self, origin: Origin, addresses: tuple[str, ...], guard: Guard, context: ssl.SSLContext | None = None
    ) -> None:
        self.guard = guard
        self._origin = origin
        self._addresses = addresses
        self._context = context
        self._socket: socket.socket | None = None
        self._poll = select.poll()

    def connect(self) -> None:
        """Connect, and do the handshake of TLS.

        Raises:
            OSError: none of the addresses accepts, or the handshake fails.
            DeadlineError: the deadline passed.
        """
        connected = dial(self._addresses, self._origin.port, self.guard)
        try:
            # The handshake has one total timeout: that of the socket.
            if self._context is not None:
                connected = self._context.wrap_socket(connected, server_hostname=self._origin.host)
        except BaseException:
            connected.close()
            raise
        connected.setblocking(False)
        self._socket = connected
        self._poll.register(connected, select.POLLIN)

    def close(self) -> None:
        """Close the connection; closing it again does nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, data: bytes) -> None:
        """Send all of the data before the deadline.

        Raises:
            OSError: the connection failed.
            DeadlineError: the deadline passed.
        """
        connected, left = self._connected(), memoryview(data)
        while left:
            self.guard.left()
            try:
                left = left[connected.send(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(connected, select.POLLOUT)
            except ssl.SSLWantReadError:
                self._wait(connected, select.POLLIN)

    def receive(self) -> bytes:
        """Return the bytes that arrive next; empty when the other side has closed the connection.

        Raises:
            OSError: the connection failed.
            DeadlineError: the deadline passed.
            FloodError: they are more than the request allows.
        """
        connected = self._connected()
        if self._context is None:
            # Right after a request there is nothing to read yet. TLS may have decrypted something already.
            self._wait(connected, select.POLLIN)
        received = None
        while received is None:
            try:
                received = connected.recv(_READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(connected, select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(connected, select.POLLOUT)
        self.guard.count(len(received))
        return received

    @property
    def is_connected(self) -> bool:
        """Whether it is open with nothing left to read, including bytes that TLS has decrypted already."""
        if self._socket is None or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
            return False
        return not self._poll.poll(0)

    def _wait(self, connected: socket.socket, event: int) -> None:
        """Wait until the socket can be read from, or written to.

        Raises:
            DeadlineError: the deadline passed.
        """
        poll = self._poll
        if event != select.POLLIN:
            poll = select.poll()
            poll.register(connected, event)
        if not poll.poll(self.guard.left() * 1000):
            raise self.guard.ran_out()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError("the connection is closed")
        return self._socket


def dial(addresses: tuple[str, ...], port: int, guard: Guard) -> socket.socket:
    """Connect to the first address that accepts; each but the last gets only its share of the time left.

    Raises:
        OSError: none of them accepts.
        DeadlineError: the deadline passed.
    """
    failure: OSError = ConnectionError("no address")
    for number, address in enumerate(addresses):
        try:
            return _dial_one(address, port, guard, len(addresses) - number)
        except OSError as error:
            failure = error
    raise failure


def _dial_one(address: str, port: int, guard: Guard, candidates: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.settimeout(guard.left() / candidates)
        connection.connect((address, port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(guard.left())  # for the handshake of TLS, which is done on it
    except BaseException:
        connection.close()
        raise
    return connection
