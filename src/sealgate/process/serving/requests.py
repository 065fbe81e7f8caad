"""Requests of HTTP/1.1, parsed by llhttp in its strict mode."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httptools

from sealgate.process.serving.asgi import ARRIVED

if TYPE_CHECKING:
    from sealgate.process.serving.asgi import Scope
    from sealgate.process.serving.limits import ServingLimits


class MalformedRequestError(Exception):
    """A request that cannot be parsed, or whose head is too large.

    Args:
        status: the HTTP status code that says so.
    """

    def __init__(self, status: int = 400) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class Head:
    """Head of a request.

    Attributes:
        method: in upper case.
        target: as sent.
        version: "1.0" or "1.1".
        headers: in their order, names in lower case.
        keep_alive: whether the client keeps the connection.
        expects_continue: whether the client waits to be asked for the body.
    """

    method: str = ""
    target: bytes = b""
    version: str = "1.1"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    keep_alive: bool = False
    expects_continue: bool = False

    def split_target(self) -> tuple[bytes, bytes]:
        """Return path, still percent-encoded, and query.

        Raises:
            MalformedRequestError: the target is not one.
        """
        target = self.target
        if not target.startswith((b"/", b"*")):
            try:
                parts = urlsplit(target)
            except ValueError as error:
                raise MalformedRequestError from error
            return parts.path or b"/", parts.query
        path, _, query = target.partition(b"?")
        return path, query


class RequestReader:
    """Parses the requests of one connection, one at a time.

    A client may send the next request only after the response: bytes that follow a request in one piece with it are
    dropped, and `keep_alive` is then False.

    Args:
        limits: size of the head.

    Attributes:
        head: of the request that is being read, once it is complete.
        begun: whether the first byte of the request has been read.
        complete: whether its body is complete.
        body: content that was read and not taken.
    """

    def __init__(self, limits: ServingLimits) -> None:
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self.next()

    def next(self) -> None:
        """Begin the next request."""
        self._draft = Head()
        self._head_bytes = 0
        self.head: Head | None = None
        self.body = b""
        self.begun = False
        self.complete = False

    def feed(self, data: bytes) -> None:
        """Read bytes of the request.

        Raises:
            MalformedRequestError: they are not part of a request, or its head is too large.
        """
        self.begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request is answered as if it had not asked for another protocol, and is the last one.
            self._draft.keep_alive = False
        except httptools.HttpParserError as error:
            if not self.complete:
                cause = error.__context__
                raise MalformedRequestError(
                    cause.status if isinstance(cause, MalformedRequestError) else 400
                ) from error
            self._draft.keep_alive = False
        if self.head is None:
            self._count(len(data))

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Notice a second request in the same piece."""
        if self.complete:
            self._draft.keep_alive = False

    def on_url(self, part: bytes) -> None:
        """Take a part of the target."""
        if not self.complete:
            self._draft.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; those after the body are dropped."""
        if self.head is not None:
            self._count(len(name) + len(value))
            return
        draft, name, value = self._draft, name.lower(), value.rstrip(b" \t")
        if len(draft.headers) == self._limits.fields:
            raise MalformedRequestError(431)
        draft.headers.append((name, value))
        if name == b"expect" and value.lower() == b"100-continue":
            draft.expects_continue = True

    def on_headers_complete(self) -> None:
        """Complete the head."""
        if self.complete:
            return
        draft = self._draft
        draft.method = self._parser.get_method().decode()
        draft.version = self._parser.get_http_version()
        if draft.version not in {"1.0", "1.1"}:
            raise MalformedRequestError
        draft.keep_alive = self._parser.should_keep_alive()
        self.head = draft

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if not self.complete:
            self.body += data

    def on_message_complete(self) -> None:
        """Complete the request."""
        self.complete = True

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes:
            raise MalformedRequestError(431)


def scope_of(head: Head, scheme: str, client: tuple[str, int], server: tuple[str, int]) -> Scope:
    """Return the ASGI scope of a request that has arrived now.

    Args:
        head: the request.
        scheme: "http" or "https".
        client: host and port of the client.
        server: host and port of the server.

    Raises:
        MalformedRequestError: the target is not one.
    """
    raw_path, query = head.split_target()
    path = raw_path.decode("latin-1")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": head.version,
        "method": head.method,
        "scheme": scheme,
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": head.headers,
        "client": client,
        "server": server,
        ARRIVED: time.monotonic(),
    }
