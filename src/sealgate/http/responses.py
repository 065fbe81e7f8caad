"""Parser of HTTP/1.1 responses that arrive in pieces.

The grammar is that of llhttp in its strict mode (through httptools), which refuses a response that two programs could
frame differently: two lengths, a length beside chunks, line ends that are not CR LF, folded headers. This module adds
what a parser of single messages does not know: the request that is answered, the end of the connection, and the limits
of the head. The head is collected before it is parsed, so that one sent byte by byte costs no more than any other.
"""

from __future__ import annotations

import httptools

#: Maximum bytes of the status line and headers of one response.
MAX_HEAD_BYTES = 64 << 10
#: Responses of status 1xx that may come before the response itself.
MAX_INFORMATIONAL = 16

_BEGINNING = b"HTTP/"
_HEAD_END = b"\r\n\r\n"
_INFORMATIONAL = range(100, 200)
_SWITCHING_PROTOCOLS = 101
#: Frequent names of headers in both spellings, so that they need not be decoded each time.
_NAMES = {
    spelling.encode(): name.lower()
    for name in (
        "Cache-Control",
        "Connection",
        "Content-Length",
        "Content-Type",
        "Date",
        "Docker-Content-Digest",
        "Docker-Distribution-Api-Version",
        "Etag",
        "Server",
        "Strict-Transport-Security",
        "Vary",
        "X-Content-Type-Options",
    )
    for spelling in (name, name.lower())
}


class HeadTooLargeError(Exception):
    """The headers do not end within the limit."""


class InvalidResponseError(Exception):
    """The response is not valid HTTP, or ends too early. The text is a cause without foreign text."""


class NoResponseError(InvalidResponseError):
    """The connection ended before the first byte of a response."""


class ResponseParser:
    """Parses one response.

    Args:
        bodiless: whether the response has no body whatever its headers state, because it answers a HEAD.

    Attributes:
        status: the HTTP status; 0 until the head is complete.
        headers: values by name in lower case, those of one name joined by a comma; empty until the head is complete.
        body: the bytes of the body so far; a transfer encoding is removed.
        complete: whether the response was received to its end.
        reusable: whether the connection may be used for another request; final once the response is complete.
    """

    def __init__(self, *, bodiless: bool) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.complete = False
        self.reusable = False
        self._bodiless = bodiless
        self._head = bytearray()
        self._informational = 0
        self._begin()

    @property
    def length(self) -> int:
        """The bytes of the body that the head declares; 0 if it declares none, or nothing of it is still to come."""
        return 0 if self.complete else int(self.headers.get("content-length", 0))

    def feed(self, data: bytes) -> None:
        """Parse the next bytes from the connection.

        Args:
            data: the bytes; empty when the other side has closed the connection.

        Raises:
            InvalidResponseError: they are not, or do not complete, a valid response.
            HeadTooLargeError: the head has more than `MAX_HEAD_BYTES`, or too many informational responses precede it.
        """
        over = self.complete
        if not data:
            self._end()
        elif self.status:
            self._parse(data)
        else:
            self._collect(data)
        if self.complete and not over:
            # The two refer to each other: without this, each response would be garbage that only the collector finds.
            del self._parser

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    def _collect(self, data: bytes) -> None:
        """Add bytes to the head, and parse it once it is complete, with what follows it."""
        if not self._head and data.startswith(_BEGINNING):
            # Most heads arrive in one piece.
            end = data.find(_HEAD_END) + len(_HEAD_END)
            if len(_HEAD_END) <= end <= MAX_HEAD_BYTES:
                self._parse_head(data[:end], data[end:])
                return
        searched = max(len(self._head) - len(_HEAD_END) + 1, 0)
        self._head += data
        if not self._head.startswith(_BEGINNING[: len(self._head)]):
            raise InvalidResponseError("its answer is not HTTP")
        end = self._head.find(_HEAD_END, searched)
        if end + len(_HEAD_END) > MAX_HEAD_BYTES or (end < 0 and len(self._head) > MAX_HEAD_BYTES):
            raise HeadTooLargeError
        if end < 0:
            return
        received = bytes(self._head)
        self._head.clear()
        self._parse_head(received[: end + len(_HEAD_END)], received[end + len(_HEAD_END) :])

    def _parse_head(self, head: bytes, rest: bytes) -> None:
        self._parse(head)
        status = self._parser.get_status_code()
        if status in _INFORMATIONAL:
            self._skip_informational(status, rest)
            return
        self.status = status
        if self._bodiless and not self.complete:
            self.complete, self.reusable = True, self._keeps_alive()
        if rest:
            self._parse(rest)

    def _skip_informational(self, status: int, rest: bytes) -> None:
        if status == _SWITCHING_PROTOCOLS:
            raise InvalidResponseError("its answer is not HTTP")
        self._informational += 1
        if self._informational > MAX_INFORMATIONAL:
            raise HeadTooLargeError
        self.headers.clear()
        self.complete = self.reusable = False
        self._begin()
        if rest:
            self._collect(rest)

    def _parse(self, data: bytes) -> None:
        if self.complete:
            self.reusable = False  # bytes that belong to no request
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise InvalidResponseError("its answer is not HTTP") from error
            self.reusable = False

    def _end(self) -> None:
        """Take the end of the connection as that of the response, if nothing else ends it."""
        if not self.status:
            if self._head or self._informational:
                raise InvalidResponseError("the answer ends too early")
            raise NoResponseError("the connection was closed without an answer")
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            raise InvalidResponseError("the answer ends too early")
        self.complete, self.reusable = True, False

    def _keeps_alive(self) -> bool:
        """Return whether the head lets the connection be used again; for a response that has no body."""
        options = {option.strip().lower() for option in self.headers.get("connection", "").split(",")}
        return "keep-alive" in options if self._parser.get_http_version() == "1.0" else "close" not in options

    # Called by httptools ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Refuse to use the connection again where another response follows without a request."""
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; one after the body (a trailer) is ignored."""
        if self.status or self.complete:
            return
        key = _NAMES.get(name) or name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_body(self, data: bytes) -> None:
        """Append a piece of the body."""
        if not self.complete:
            self.body += data

    def on_message_complete(self) -> None:
        """Note the end of the response."""
        if not self.complete:
            self.complete, self.reusable = True, self._parser.should_keep_alive()
