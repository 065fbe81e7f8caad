"""Types and scope keys of ASGI 3 applications, as far as servers and applications here use them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Scope key of the time (`time.monotonic`, float) when the head of a request was complete.
ARRIVED: Final = "sealgate.arrived"


async def respond(
    send: Send, status: int, body: bytes, content_type: bytes = b"text/plain; charset=utf-8", *, close: bool = False
) -> None:
    """Send a whole response.

    Args:
        send: the request's channel.
        status: HTTP status code.
        body: content.
        content_type: media type of the content.
        close: whether the connection is closed after it.
    """
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
