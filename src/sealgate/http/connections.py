"""Connections that enforce a deadline and a limit of received bytes.

Socket timeouts count for each read, and the libraries above buffer, loop, and trust lengths that the other side sent.
The limits are therefore enforced below them, at the socket: every receive and send may take only the time left until
the request's deadline, and every received byte, headers and framing included, counts against the request's allowance.
A connection that is used again gets the limits of the next request.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING, cast

from urllib3.connection import HTTPConnection, HTTPSConnection

from sealgate.errors import DeadlineError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from sealgate.clocks import Deadline
    from sealgate.http.urls import Origin


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
        return self.deadline.check(self.doing)

    def ran_out(self) -> DeadlineError:
        """Return the error for a wait that took until the deadline."""
        return DeadlineError(f"ran out of time while {self.doing}; try again, or raise the webhook's timeout")

    def count(self, received: int) -> None:
        """Count received bytes.

        Raises:
            FloodError: they are more than the allowance.
        """
        self.received += received
        if self.received > self.allowance:
            raise FloodError


class GuardedSocket(socket.socket):
    """A socket that enforces the limits of its guard in every operation."""

    guard: Guard

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """Receive into a buffer, within the limits."""
        self.settimeout(self.guard.left())
        try:
            received = super().recv_into(buffer, nbytes or 0, flags)
        except TimeoutError:
            raise self.guard.ran_out() from None
        self.guard.count(received)
        return received

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Send some of the data before the deadline."""
        self.settimeout(self.guard.left())
        try:
            return super().send(data, flags)
        except TimeoutError:
            raise self.guard.ran_out() from None

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Send all of the data before the deadline."""
        self.settimeout(self.guard.left())
        try:
            return super().sendall(data, flags)
        except TimeoutError:
            raise self.guard.ran_out() from None


class GuardedTLSSocket(GuardedSocket, ssl.SSLSocket):
    """The same over TLS. The handshake has one total timeout: that of the socket below."""


def dial(addresses: tuple[str, ...], port: int, guard: Guard) -> GuardedSocket:
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


def _dial_one(address: str, port: int, guard: Guard, candidates: int) -> GuardedSocket:
    connection = GuardedSocket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.guard = guard
        connection.settimeout(guard.left() / candidates)
        connection.connect((address, port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(guard.left())  # for the handshake of TLS, which is done on it
    except BaseException:
        connection.close()
        raise
    return connection


class StrictResponse(http.client.HTTPResponse):
    """A response with complete headers. The standard library accepts truncated ones."""

    def begin(self) -> None:
        """Read status and headers.

        Raises:
            HTTPException: they are truncated or malformed.
        """
        super().begin()
        if self.msg.defects:
            self.close()
            raise http.client.HTTPException


class PlainConnection(HTTPConnection):
    """A connection without TLS, to addresses that were checked.

    Args:
        origin: the server's name and port.
        addresses: its IP addresses, as text; at least one.
        guard: limits of the first request.
    """

    response_class = StrictResponse

    def __init__(self, origin: Origin, addresses: tuple[str, ...], guard: Guard) -> None:
        super().__init__(origin.host, origin.port)
        self.guard = guard
        self._addresses = addresses

    def _new_conn(self) -> socket.socket:
        return dial(self._addresses, self.port, self.guard)


class TLSConnection(HTTPSConnection):
    """A connection over TLS, to addresses that were checked; the certificate must be valid for the origin's host.

    Args:
        origin: the server's name and port.
        addresses: its IP addresses, as text; at least one.
        guard: limits of the first request.
        context: TLS settings with the CAs to trust.
    """

    response_class = StrictResponse

    def __init__(self, origin: Origin, addresses: tuple[str, ...], guard: Guard, context: ssl.SSLContext) -> None:
        super().__init__(origin.host, origin.port, ssl_context=context)
        self.guard = guard
        self._addresses = addresses

    def _new_conn(self) -> socket.socket:
        return dial(self._addresses, self.port, self.guard)

    def connect(self) -> None:
        """Connect, and enforce the limits from then on."""
        super().connect()
        cast("GuardedTLSSocket", self.sock).guard = self.guard

    @property
    def is_connected(self) -> bool:
        """Whether it is open with nothing left to read, including bytes that TLS has decrypted already."""
        return super().is_connected and not cast("GuardedTLSSocket", self.sock).pending()


Connection = PlainConnection | TLSConnection
