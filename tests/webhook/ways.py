"""The two ways to the webhook's endpoints: the Flask application alone, as any WSGI server calls it, and the front.

Both get the same requests without a server, so that every test can run on both.
"""

from __future__ import annotations

import asyncio
import io
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

import pytest
from werkzeug import Response

from sealgate.process.serving.asgi import ARRIVED
from sealgate_webhook.transport.callers import CALLER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flask import Flask

    from sealgate.process.serving.asgi import Message
    from sealgate_webhook.server.front import Front
    from sealgate_webhook.transport.callers import Caller

Way = Literal["flask", "front"]

#: For tests with a server process of their own: they need the environment once, for what is around the webhook.
BY_A_SERVER = pytest.mark.parametrize("way", ["flask"])
#: Bytes of a body in one piece.
CHUNK_BYTES = 64 << 10
#: Seconds after which a body that is held counts as forgotten by its test.
PATIENCE_SECONDS = 150.0


@dataclass
class Sent:
    """A request as a client sends it.

    Attributes:
        path: with its query.
        body: sent once it is read.
        method: HTTP method.
        content_type: empty for none.
        length: Content-Length; None for the body's own, empty for none.
        chunked: whether the body is sent in chunks.
        headers: further headers.
        hold: the body is sent once this is set; None for at once.
        client: address of the client.
        arrived: when the server says that it arrived, on the clock's `monotonic`; None for not.
        caller: holder of the client certificate.
        taken: bytes of the body that the webhook has read.
    """

    path: str
    body: bytes = b""
    method: str = "POST"
    content_type: str = "application/json"
    length: str | None = None
    chunked: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None
    client: str = "192.0.2.1"
    arrived: float | None = None
    caller: Caller | None = None
    taken: int = 0

    @property
    def content_length(self) -> str:
        if self.length is not None:
            return self.length
        return "" if self.chunked else str(len(self.body))


class FlaskWay:
    """The Flask application alone.

    Args:
        app: the application.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._client = app.test_client()

    def send(self, sent: Sent) -> Response:
        overrides: dict[str, Any] = {
            "wsgi.input": _Input(sent),
            "wsgi.input_terminated": sent.chunked,
            "CONTENT_LENGTH": sent.content_length,
            "REMOTE_ADDR": sent.client,
            CALLER: sent.caller,
        }
        if sent.arrived is not None:
            overrides[ARRIVED] = sent.arrived
        return self._client.open(
            sent.path,
            method=sent.method,
            content_type=sent.content_type or None,
            headers=dict(sent.headers),
            environ_overrides=overrides,
        )

    def close(self) -> None:
        """Do nothing."""


class FrontWay:
    """The front, in an event loop of its own.

    Args:
        front: the application.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="front")
        self._thread.start()

    def send(self, sent: Sent) -> Response:
        return asyncio.run_coroutine_threadsafe(self._serve(sent), self._loop).result(2 * PATIENCE_SECONDS)

    def close(self) -> None:
        self._front.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, sent: Sent) -> Response:
        exchange = _Exchange(sent)
        await self._front(_scope(sent), exchange.receive, exchange.send)
        return exchange.response


class _Exchange:
    """The channels of one request."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._parts: Iterator[bytes] = iter(
            [sent.body[start : start + CHUNK_BYTES] for start in range(0, len(sent.body), CHUNK_BYTES)]
        )
        self.response = Response()

    async def receive(self) -> Message:
        if self._sent.hold is not None:
            assert await asyncio.get_running_loop().run_in_executor(None, self._sent.hold.wait, PATIENCE_SECONDS)
        part = next(self._parts, b"")
        self._sent.taken += len(part)
        complete = self._sent.taken == len(self._sent.body)
        if complete and not self._sent.chunked and self._sent.taken < int(self._sent.content_length or 0):
            # The client breaks off.
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": not complete}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
            self.response = Response(status=message["status"], headers=headers)
        else:
            self.response.set_data(message["body"])


def _scope(sent: Sent) -> dict[str, Any]:
    path, _, query = sent.path.partition("?")
    headers = {**sent.headers, "Content-Length": sent.content_length, "Content-Type": sent.content_type}
    if sent.chunked:
        headers["Transfer-Encoding"] = "chunked"
    return {
        "type": "http",
        "http_version": "1.1",
        "method": sent.method,
        "scheme": "https",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items() if value],
        "server": ("127.0.0.1", 8443),
        "client": (sent.client, 50000),
        CALLER: sent.caller,
        ARRIVED: sent.arrived,
    }


class _Input(io.RawIOBase):
    """The body as a WSGI server gives it."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._rest = io.BytesIO(sent.body)

    def read(self, size: int = -1) -> bytes:
        if self._sent.hold is not None:
            assert self._sent.hold.wait(PATIENCE_SECONDS)
        found = self._rest.read(size)
        self._sent.taken += len(found)
        return found
