"""One connection of a client: its bytes, its TLS and the requests on it, one after the other.

Bytes are taken from the socket in pieces of at most `PIECE_BYTES`, and no further piece while the last one is not used:
the head of a request is read as it comes, its body only as the application asks for it.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final, cast

from sealgate.process.serving.exchange import Exchange, encode_error
from sealgate.process.serving.requests import MalformedRequestError, RequestReader, scope_of
from sealgate.process.serving.tls import TLSLayer
from sealgate.process.serving.waits import Phase

if TYPE_CHECKING:
    from sealgate.process.serving.asgi import Scope
    from sealgate.process.serving.host import Host
    from sealgate.process.serving.requests import Head

#: The most bytes that are read from a socket at once; a TLS record has as many.
PIECE_BYTES: Final = 16 << 10
#: The most bytes of a request that are read and dropped after its response, so that the client gets to read that.
LINGER_BYTES: Final = 256 << 10
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.BufferedProtocol):
    """A connection.

    Args:
        server: what all connections share.
        peer: host and port of the client.
    """

    def __init__(self, server: Host[Connection], peer: tuple[str, int]) -> None:
        self._server = server
        self._waits = server.waits
        self._peer = peer
        self._transport: asyncio.Transport | None = None
        self._tls: TLSLayer | None = None
        self._reader = RequestReader(server.limits)
        self._exchange: Exchange | None = None
        #: Bytes that came while the application was at work, without TLS; with it they stay encrypted.
        self._early = b""
        self._paused = self._ended = self._done = False
        self._lingered = 0
        self._body_seconds = 0.0
        self._writable: asyncio.Future[None] | None = None

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first byte, if the server has not closed the connection by now."""
        self._transport = cast("asyncio.Transport", transport)
        if self._done:
            self._transport.abort()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return the buffer that all connections read into, one at a time."""
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes from the socket."""
        piece = self._server.buffer[:nbytes]
        if self._done:
            self._linger(nbytes)
        elif self._server.context is None:
            self._early += piece
            self._use_bytes()
        else:
            self._take_encrypted(piece)

    def eof_received(self) -> bool:
        """Close the connection, after the response if a request is complete."""
        self._ended = True
        if self._exchange is not None and self._reader.complete and not self._exchange.finished:
            self._exchange.keep_alive = False
            return True
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell the application."""
        self._transport, self._done = None, True
        self.resume_writing()
        if self._exchange is not None:
            self._exchange.disconnect()
        self._server.closed(self)

    def pause_writing(self) -> None:
        """Wait until the client reads."""
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Go on; the client has read."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # Called by the server.

    def shake_hands(self) -> None:
        """Continue the TLS handshake with the bytes that have come."""
        context = self._server.context
        if self._done or context is None:
            return
        if self._tls is None:
            self._tls = TLSLayer(context())
        try:
            self._tls.put(self._early)
            self._early = b""
            self._tls.proceed()
        except ssl.SSLError:
            self._send(self._tls.outgoing())
            self.close()
            return
        self._send(self._tls.outgoing())
        if self._tls.complete:
            self._waits.enter(self, Phase.SILENT)
            self._use_bytes()
            return
        if self._waits.phase(self) is not Phase.HANDSHAKE:
            self._waits.enter(self, Phase.HANDSHAKE, self._waits.seconds(self))
        self._resume()

    def abort(self) -> None:
        """Close the connection at once; what has not been sent is lost."""
        self._done = True
        if self._transport is not None:
            self._transport.abort()

    def fail(self, exchange: Exchange) -> None:
        """End a request that the application did not respond to."""
        if self._exchange is not exchange:
            return
        if exchange.started:
            self._server.expire(self)
        else:
            self.write(encode_error(500))
            self._close_unread()

    def announce_end(self) -> None:
        """Let the response to the request that is under way say that the connection ends with it."""
        if self._exchange is not None:
            self._exchange.keep_alive = False

    def close_idle(self) -> None:
        """Close the connection if no request is under way."""
        if self._exchange is None and self._waits.phase(self) in {Phase.SILENT, Phase.KEPT}:
            self.close()

    @property
    def unsent(self) -> bool:
        """Whether there are bytes that the client has not read."""
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def close(self) -> None:
        """Close the connection as soon as everything is sent."""
        if self._transport is None:
            return
        self._waits.enter(self, Phase.SENDING)
        if self._tls is not None:
            self._send(self._tls.close())
        self._done = True
        self._transport.close()

    # Called by the exchange.

    def want_body(self) -> None:
        """Wait for more of the body."""
        if self._transport is None:
            return
        head = self._reader.head
        if head is not None and head.expects_continue:
            head.expects_continue = False
            self.write(_CONTINUE)
        self._waits.enter(self, Phase.BODY, self._body_seconds)
        self._use_bytes()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._done:
            return
        try:
            self._send(data if self._tls is None else self._tls.encrypt(data))
        except ssl.SSLError:
            self._server.expire(self)

    async def drain(self) -> None:
        """Wait until the client has read most of what was sent."""
        if self._writable is not None and not self._writable.done():
            self._waits.enter(self, Phase.SENDING)
            await self._writable
            self._waits.leave(self)

    def answered(self, *, keep_alive: bool) -> None:
        """Go on to the next request, or close the connection."""
        if self._transport is None:
            return
        if not self._reader.complete:
            self._close_unread()
        elif not keep_alive or self._ended or self._server.draining:
            self._exchange = None
            self.close()
        else:
            self._exchange = None
            self._reader.next()
            self._waits.enter(self, Phase.KEPT)
            # In the next turn, so that clients who send without waiting take turns with the others.
            if self._unused:
                asyncio.get_running_loop().call_soon(self._use_bytes)
            else:
                self._resume()

    # Bytes.

    def _take_encrypted(self, piece: memoryview) -> None:
        if self._tls is not None and self._tls.complete:
            self._tls.put(piece)
            self._use_bytes()
            return
        self._early += piece
        if self._tls is None:
            self._waits.enter(self, Phase.HEAD)
        # Nothing more is read until it is this connection's turn.
        self._pause()
        self._server.queue_handshake(self, first=self._tls is None)

    def _use_bytes(self) -> None:
        """Read requests from the bytes that are there, as far as anything waits for them."""
        try:
            while self._wants_bytes() and (data := self._next_bytes()):
                self._read(data)
        except MalformedRequestError as error:
            self._refuse(error.status)
        except ssl.SSLError:
            self._server.expire(self)
        if self._done:
            return
        if self._unused:
            self._pause()
        elif self._wants_bytes():
            self._resume()

    @property
    def _unused(self) -> bool:
        return bool(self._early) or (self._tls is not None and self._tls.unread)

    def _wants_bytes(self) -> bool:
        return not self._done and (self._exchange is None or self._exchange.wants_body)

    def _next_bytes(self) -> bytes:
        if self._tls is None:
            data, self._early = self._early, b""
            return data
        data_or_end = self._tls.decrypt(PIECE_BYTES)
        # The client may have changed its keys.
        self._send(self._tls.outgoing())
        if data_or_end is None:
            if not self.eof_received():
                self.close()
            return b""
        return data_or_end

    def _read(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        if self._exchange is None:
            if reader.head is None:
                if self._waits.phase(self) is not Phase.HEAD:
                    self._waits.enter(self, Phase.HEAD)
                return
            self._exchange = self._begin(reader.head)
        if self._waits.phase(self) is Phase.BODY:
            self._body_seconds = self._waits.seconds(self)
        self._waits.leave(self)
        body, reader.body = reader.body, b""
        self._exchange.received(body, complete=reader.complete)

    def _begin(self, head: Head) -> Exchange:
        self._waits.leave(self)
        scope = self._scope(head)
        keep = head.keep_alive and head.version == "1.1" and not self._server.draining
        self._body_seconds = 0.0
        exchange = Exchange(self, head.method, keep_alive=keep)
        self._server.run(scope, exchange, self)
        return exchange

    def _scope(self, head: Head) -> Scope:
        scope = scope_of(head, "http" if self._tls is None else "https", self._peer, self._server.address)
        if self._tls is not None:
            extra, current = self._server.describe(self._tls.tls)
            scope.update(extra)
            head.keep_alive = head.keep_alive and current
        return scope

    # The end.

    def _refuse(self, status: int) -> None:
        """Answer a malformed request, if no response has begun; the application learns that the client is gone."""
        self._server.malformed(self._peer)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.disconnect()
        if exchange is None or not exchange.started:
            self.write(encode_error(status))
            self._close_unread()
        else:
            self._server.expire(self)

    def _close_unread(self) -> None:
        """Close the connection, but not before the client has had time to read the response.

        A system that closes a connection with unread bytes in it resets it, which may cost the client the response.
        """
        self._exchange = None
        if self._transport is None:
            return
        self._waits.enter(self, Phase.LINGERING)
        if self._tls is not None:
            self._send(self._tls.close())
        self._done = True
        if self._ended or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._early = b""
        self._resume()

    def _linger(self, size: int) -> None:
        self._lingered += size
        if self._lingered > LINGER_BYTES:
            self._server.expire(self)

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None and not self._done:
            self._transport.write(data)

    def _pause(self) -> None:
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
