"""One request and its response, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
import http
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealgate.process.serving.asgi import Message

_BODILESS: Final = frozenset({204, 304})


class Channel(Protocol):
    """What an exchange needs of its connection."""

    def want_body(self) -> None:
        """Wait for more of the body, which `Exchange.received` gets."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes; a connection that is closed drops them."""
        ...

    async def drain(self) -> None:
        """Wait until the client has read most of what was sent."""
        ...

    def answered(self, *, keep_alive: bool) -> None:
        """Go on to the next request, or close the connection."""
        ...


class Exchange:
    """The channels of one request.

    Args:
        channel: the connection.
        method: of the request.

    Attributes:
        started: whether the response has begun.
        finished: whether the response is complete.
        keep_alive: whether the connection is kept after it.
    """

    def __init__(self, channel: Channel, method: str, *, keep_alive: bool) -> None:
        self._channel = channel
        self._method = method
        self._body = b""
        self._body_complete = self._body_taken = self._disconnected = False
        self._waiter: asyncio.Future[None] | None = None
        self._head: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self.keep_alive = keep_alive
        self.started = self.finished = False

    async def receive(self) -> Message:
        """Return the next part of the body; then wait until the client is gone."""
        while not (self._disconnected or self._body or (self._body_complete and not self._body_taken)):
            self._waiter = asyncio.get_running_loop().create_future()
            if not self._body_complete:
                self._channel.want_body()
            await self._waiter
        if self._disconnected:
            return {"type": "http.disconnect"}
        body, self._body = self._body, b""
        self._body_taken = self._body_complete
        return {"type": "http.request", "body": body, "more_body": not self._body_complete}

    async def send(self, message: Message) -> None:
        """Send a part of the response.

        Raises:
            RuntimeError: the application sends it in the wrong order.
        """
        if self._disconnected:
            return
        if message["type"] == "http.response.start" and self._head is None:
            self._head = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body" and self._head is not None and not self.finished:
            self._send_body(message.get("body", b""), last=not message.get("more_body", False))
            if not self.finished:
                await self._channel.drain()
        else:
            raise RuntimeError(f"the application sent {message['type']} out of order")

    def _send_body(self, body: bytes, *, last: bool) -> None:
        if self._head is not None and not self.started:
            self.started = True
            head = self._encode_head(*self._head, len(body) if last else None)
            bodiless = self._method == "HEAD" or self._head[0] in _BODILESS
            self._channel.write(head if bodiless else head + body)
        elif body and self._method != "HEAD":
            self._channel.write(body)
        if last:
            self.finished = True
            self._channel.answered(keep_alive=self.keep_alive)
            self.disconnect()

    def _encode_head(self, status: int, headers: list[tuple[bytes, bytes]], length: int | None) -> bytes:
        """Return the head of the response; one whose length is not known ends with the connection."""
        names = {name.lower(): value for name, value in headers}
        if b"content-length" not in names and status not in _BODILESS:
            if length is None:
                self.keep_alive = False
            else:
                headers.append((b"content-length", str(length).encode()))
        if names.get(b"connection", b"").lower() == b"close":
            self.keep_alive = False
        elif not self._body_complete:
            # The rest of it is not read.
            self.keep_alive = False
            headers.append((b"connection", b"close"))
        elif not self.keep_alive:
            headers.append((b"connection", b"close"))
        return encode_head(status, headers)

    # Called by the connection.

    def received(self, body: bytes, *, complete: bool) -> None:
        """Take a part of the body."""
        self._body += body
        self._body_complete = complete
        self._wake()

    def disconnect(self) -> None:
        """Tell the application that the client is gone; whatever it sends is dropped."""
        self._disconnected = True
        self._wake()

    @property
    def wants_body(self) -> bool:
        """Whether the application waits for a part of the body."""
        return self._waiter is not None and not self._waiter.done() and not self._body_complete

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Date:
    """The Date field, formatted once a second."""

    def __init__(self) -> None:
        self._second, self._line = 0, b""

    def line(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second, self._line = second, b"date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
        return self._line


_DATE: Final = _Date()


def encode_head(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a response's head as it is sent, with the date."""
    lines = b"".join(b"%s: %s\r\n" % field for field in headers)
    return b"HTTP/1.1 %d %s\r\n%s%s\r\n" % (status, _REASONS.get(status, b""), _DATE.line(), lines)


def encode_error(status: int) -> bytes:
    """Return a whole response that says what is wrong with a request, and closes the connection."""
    text = _REASONS[status] + b"\n"
    headers: list[tuple[bytes, Any]] = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]
    return encode_head(status, headers) + text


_REASONS: Final = {status.value: status.phrase.encode() for status in http.HTTPStatus}
