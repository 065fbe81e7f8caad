"""Connections that one deadline and one allowance of bytes hold in check.

Timeouts of sockets are for each read, and libraries in between buffer, loop and trust lengths that the other side
sent. So the limits sit below all of them, at the socket: every receive and every send may take only what is left
until the request's deadline, and every received byte, headers and framing included, is taken off the request's
allowance. A connection that is kept and used again gets the next request's limits.
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
    """More bytes came than the request allows."""


class Guard:
    """The limits of the request that a connection is working on.

    Attributes:
        deadline: when it must be over.
        doing: what is being done, for messages ("asking registry.example.org").
        allowance: how many more bytes may come.
        received: how many bytes came.
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
        """Return the seconds left.

        Raises:
            DeadlineError: there are none.
        """
        return self.deadline.check(self.doing)

    def ran_out(self) -> DeadlineError:
        """Return the error for a wait that took all the time there was."""
        return DeadlineError(f"ran out of time while {self.doing}; try again, or raise the webhook's timeout")

    def count(self, received: int) -> None:
        """Take bytes off the allowance.

        Raises:
            FloodError: it is used up.
        """
        self.received += received
        if self.received > self.allowance:
            raise FloodError


class GuardedSocket(socket.socket):
    """A socket whose every operation keeps to its guard."""

    guard: Guard

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """Receive at most what there is room for, within the limits."""
        self.settimeout(self.guard.left())
        try:
            received = super().recv_into(buffer, nbytes or 0, flags)
        except TimeoutError:
            raise self.guard.ran_out() from None
        self.guard.count(received)
        return received

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Send some, within the time."""
        self.settimeout(self.guard.left())
        try:
            return super().send(data, flags)
        except TimeoutError:
            raise self.guard.ran_out() from None

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Send all, within the time."""
        self.settimeout(self.guard.left())
        try:
            return super().sendall(data, flags)
        except TimeoutError:
            raise self.guard.ran_out() from None


class GuardedTLSSocket(GuardedSocket, ssl.SSLSocket):
    """The same over TLS. The handshake has one total timeout already: the one of the socket it is done on."""


def dial(addresses: tuple[str, ...], port: int, guard: Guard) -> GuardedSocket:
    """Connect to the first address that answers; each but the last gets its share of the time only.

    Raises:
        OSError: none of them does.
        DeadlineError: the time ran out.
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
    """An answer whose headers are whole. The standard library takes what it gets, even half of a header."""

    def begin(self) -> None:
        """Read status and headers.

        Raises:
            HTTPException: they break off or are malformed.
        """
        super().begin()
        if self.msg.defects:
            self.close()
            raise http.client.HTTPException


class PlainConnection(HTTPConnection):
    """A connection without TLS to addresses that were vetted.

    Args:
        origin: whom it is to.
        addresses: where that is.
        guard: the limits of the request it is for.
    """

    response_class = StrictResponse

    def __init__(self, origin: Origin, addresses: tuple[str, ...], guard: Guard) -> None:
        super().__init__(origin.host, origin.port)
        self.guard = guard
        self._addresses = addresses

    def _new_conn(self) -> socket.socket:
        return dial(self._addresses, self.port, self.guard)


class TLSConnection(HTTPSConnection):
    """A connection over TLS to addresses that were vetted; the certificate must be the name's.

    Args:
        origin: whom it is to.
        addresses: where that is.
        guard: the limits of the request it is for.
        context: the authorities.
    """

    response_class = StrictResponse

    def __init__(self, origin: Origin, addresses: tuple[str, ...], guard: Guard, context: ssl.SSLContext) -> None:
        super().__init__(origin.host, origin.port, ssl_context=context)
        self.guard = guard
        self._addresses = addresses

    def _new_conn(self) -> socket.socket:
        return dial(self._addresses, self.port, self.guard)

    def connect(self) -> None:
        """Connect, and hold the socket to the limits from then on."""
        super().connect()
        cast("GuardedTLSSocket", self.sock).guard = self.guard

    @property
    def is_connected(self) -> bool:
        """Whether it is open with nothing left to read; what TLS holds back already is not seen from outside."""
        return super().is_connected and not cast("GuardedTLSSocket", self.sock).pending()


Connection = PlainConnection | TLSConnection
