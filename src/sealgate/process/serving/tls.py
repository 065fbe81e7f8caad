"""TLS of one connection, over bytes in memory.

The server decides when a handshake is continued and when bytes are decrypted: neither happens because a client sent
something.
"""

from __future__ import annotations

import contextlib
import ssl


class TLSLayer:
    """The server's side of a TLS connection.

    Args:
        context: certificate, key and the rest of the settings.

    Attributes:
        tls: the state of the connection.
        complete: whether the handshake is complete.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.complete = False

    def put(self, data: bytes | memoryview) -> None:
        """Take bytes from the client; nothing is done with them yet."""
        self._incoming.write(data)

    def proceed(self) -> None:
        """Continue the handshake with the bytes that are there.

        Raises:
            ssl.SSLError: the handshake has failed.
        """
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
            self.complete = True

    def decrypt(self, limit: int) -> bytes | None:
        """Return at most `limit` bytes of what the client said; empty if more is needed; None at the end.

        Raises:
            ssl.SSLError: the bytes are not TLS.
        """
        if not (self._incoming.pending or self.tls.pending()):
            return b""
        try:
            return self.tls.read(limit) or None
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            return None

    @property
    def unread(self) -> bool:
        """Whether there are bytes of the client that were not decrypted."""
        return bool(self._incoming.pending or self.tls.pending())

    def encrypt(self, data: bytes) -> bytes:
        """Return what to send to the client so that it gets the data.

        Raises:
            ssl.SSLError: the connection is at its end.
        """
        self.tls.write(data)
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """Return what to send to the client for TLS itself; often empty."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def close(self) -> bytes:
        """End the connection; return what to send to the client."""
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        return self.outgoing()
