"""A small HTTP server for a port of its own: metrics, and whether the process is well."""

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
    """Answer requests on a socket that listens already, from a thread that ends with the process.

    Args:
        listener: the socket.
        app: what answers.

    Returns:
        the server; `shutdown` ends it before.
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
    """One thread a connection, so that a slow reader holds up nobody else; but never many."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _SilentHandler, bind_and_activate=False)
        self._places = threading.BoundedSemaphore(MAX_SCRAPES)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Hand a connection to a thread of its own, or close it where there are too many already."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            # The thread that would have made it free did not start.
            self._places.release()
            raise

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Serve a connection, and make its place free again."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


class _SilentHandler(WSGIRequestHandler):
    """Scrapes come every few seconds and are not worth a line; a silent client is let go."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Write nothing."""
