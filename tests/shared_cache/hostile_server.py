"""A server that logs clients in and then sends whatever a test wants."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    #: Sends bytes to the client; raises OSError once the client is gone.
    Send = Callable[[bytes], None]


class HostileServer:
    """Answers the first PING of each connection, and the next command with `attack`; a context manager.

    Args:
        attack: called with a function that sends bytes, and with an event that is set when the test is over.
        greeting: the answer to the PING.
    """

    def __init__(self, attack: Callable[[Send, threading.Event], None], greeting: bytes = b"+PONG\r\n") -> None:
        over = self._over = threading.Event()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    if self.request.recv(1 << 16):
                        self.request.sendall(greeting)
                    if self.request.recv(1 << 16):
                        attack(self.request.sendall, over)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        port: int = self._server.server_address[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
