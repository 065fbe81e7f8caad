"""Bodies received in the event loop.

A small body is received at once, even while large ones are received. So that clients that send slowly, or not to the
end, hold nothing that another needs, small bodies together have a limit of bytes: the one that has been under way
longest is given up for a new one. API servers send a small body in one piece.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sealgate_webhook.reviews.request import MAX_REVIEW_BYTES
from sealgate_webhook.server.heads import broken_off, busy, too_large

if TYPE_CHECKING:
    from sealgate.process.serving.asgi import Receive

#: The most bytes of small bodies that are received at once.
MAX_SMALL_BYTES: Final = 16 << 20


async def receive_body(receive: Receive, length: int) -> bytes:
    """Return the body of a request.

    Args:
        receive: the request's channel.
        length: its Content-Length, at most `MAX_REVIEW_BYTES`; -1 if that is not known.

    Raises:
        RefusedRequestError: it is too large, or broke off.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise broken_off()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_REVIEW_BYTES:
            raise too_large()
        parts.append(part)
        more = message.get("more_body", False)
    if size < length:
        raise broken_off()
    return parts[0] if len(parts) == 1 else b"".join(parts)


class SmallBodies:
    """Small bodies that are being received. For one event loop.

    Args:
        limit: the most bytes at once, at least those of one.
    """

    def __init__(self, limit: int = MAX_SMALL_BYTES) -> None:
        self._free = limit
        #: The bytes that each task receives, the oldest first.
        self._sizes: dict[asyncio.Task[object], int] = {}
        self._given_up: set[asyncio.Task[object]] = set()

    async def receive(self, receive: Receive, length: int) -> bytes:
        """Return the body of the current task's request.

        Args:
            receive: the request's channel.
            length: its Content-Length.

        Raises:
            RefusedRequestError: it broke off, or was given up for a newer one.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a coroutine that runs has one
        while self._sizes and length > self._free:
            self._give_up(next(iter(self._sizes)))
        self._sizes[task] = length
        self._free -= length
        try:
            return await receive_body(receive, length)
        except asyncio.CancelledError:
            if task not in self._given_up:
                raise
            task.uncancel()
            raise busy() from None
        finally:
            self._free += self._sizes.pop(task, 0)
            self._given_up.discard(task)

    def _give_up(self, task: asyncio.Task[object]) -> None:
        self._free += self._sizes.pop(task)
        self._given_up.add(task)
        task.cancel()
