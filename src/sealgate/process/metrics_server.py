"""HTTP server of the metrics port, for metrics and health checks."""

from __future__ import annotations

import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    import socket
    from wsgiref.types import WSGIApplication

#: Connections that are served at once; Prometheus and the kubelet need one each.
MAX_SCRAPES: Final = 16


def serve_in_thread(listener: socket.socket, app: WSGIApplication) -> WSGIServer:
    """Serve a WSGI application on a listening socket, from a daemon thread.

    Args:
        listener: the socket.
        app: the application.

    Returns:
        the server; `shutdown` stops it.
    """
    server = _Server(listener.getsockname()[:2])
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = listener.getsockname()[:2]
    server.setup_environ()
    server.set_app(app)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Server(ThreadingMixIn, WSGIServer):
    """One thread for each connection, so that a slow client does not delay others; bounded in number."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _SilentHandler, bind_and_activate=False)
        self._slots = threading.BoundedSemaphore(MAX_SCRAPES)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Serve a connection in a thread of its own, or close it if there are too many."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            # The thread that would have released the slot did not start.
            self._slots.release()
            raise

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Serve a connection and release its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()


class _SilentHandler(WSGIRequestHandler):
    """Scrapes come every few seconds and are not worth a line; a silent client is let go."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Write nothing."""
