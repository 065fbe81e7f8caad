"""gunicorn's threaded worker, hardened against slow, silent and many clients.

The webhook's port can be reached from every pod unless a NetworkPolicy says otherwise, and a webhook that does not
respond is, with `failurePolicy: Ignore`, a webhook that admits. So an idle client must not hold a thread:

- a connection gets a thread when its first bytes are there, not before;
- handshake and request must arrive within `IO_SECONDS` of that, and the response must be read as fast, or the
  connection is closed;
- when connections run out, the one that has been idle longest is closed;
- the time that a request waits for a thread counts towards its deadline.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gunicorn.workers.gthread import TConn, ThreadWorker

from sealgate_webhook.server.endpoints import ARRIVED, RECEIVED

if TYPE_CHECKING:
    from collections import deque

    from gunicorn._types import _EnvironType, _ResponseBodyType, _StartResponseType
    from gunicorn.http.message import Request

#: WSGI environment key of the connection, with TLS an `ssl.SSLSocket`; gunicorn's own.
SOCKET: Final = "gunicorn.socket"
#: WSGI environment key of a function that has the connection closed after the response.
CLOSE: Final = "sealgate.close"
#: The most seconds that a client may take to send a request, handshake included, or to read a response. The API server
#: needs milliseconds.
IO_SECONDS: Final = 5.0
#: How long a new connection may stay silent; it holds no thread.
SILENCE_SECONDS: Final = 10.0
#: The most seconds that count between two checks for slow clients, which happen about once a second. When more have
#: passed, this process itself was suspended, which is not the clients' fault.
_CHECK_SECONDS: Final = 2.0


class WebhookWorker(ThreadWorker):
    """The worker process of the webhook."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own arguments, passed on
        super().__init__(*args, **kwargs)
        #: Connections that a thread waits for, to receive or to send, each with the moment since when; see `_awake`.
        self._waited_for: dict[TConn, float] = {}
        #: Time of the last check, on the monotonic clock, and the seconds for which this process was awake until then.
        self._checked_at, self._awake_until_check = time.monotonic(), 0.0
        #: Connections with a request that was there to be read, each with the moment when.
        self._arrived: dict[TConn, float] = {}
        self._current = threading.local()

    def load_wsgi(self) -> None:
        """Load the application; each request gets the time of its arrival in its WSGI environment."""
        super().load_wsgi()
        application = self.wsgi

        def application_with_times(environ: _EnvironType, start_response: _StartResponseType) -> _ResponseBodyType:
            connection = self._current.connection
            environ[CLOSE] = self._current.request.force_close
            environ[ARRIVED] = self._arrived.pop(connection)
            environ[RECEIVED] = partial(self._waited_for.pop, connection, None)
            try:
                return application(environ, start_response)
            finally:
                self._waited_for[connection] = self._awake()

        self.wsgi = application_with_times

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection and wait, without a thread, for its first bytes."""
        if self.nr_conns >= self.worker_connections - 1:
            self._close_most_idle()
        try:
            client, address = listener.accept()
        except OSError as error:
            # Usually the client has gone. Without descriptors, an idle connection has to be closed.
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                self._close_most_idle()
            return
        self.nr_conns += 1
        connection = TConn(self.cfg, client, address, listener.getsockname())
        connection.timeout = time.monotonic() + SILENCE_SECONDS
        self.pending_conns.append(connection)
        self.poller.register(client, selectors.EVENT_READ, partial(self.on_pending_socket_readable, connection))

    def enqueue_req(self, conn: TConn) -> None:
        """Record the arrival of a request and hand it to the thread pool."""
        self._arrived[conn] = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> bool:
        """Receive a request and respond to it; runs in a thread."""
        self._current.connection = conn
        self._waited_for[conn] = self._awake()
        try:
            return super().handle(conn)
        finally:
            self._waited_for.pop(conn, None)
            self._arrived.pop(conn, None)

    def handle_request(self, req: Request, conn: TConn) -> bool:
        """Respond to a request."""
        self._current.request = req
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Close connections of silent or slow clients; called about once a second."""
        super().murder_pending()
        # In this order: a thread that reads in between takes the moment for later than it is, never for earlier.
        self._awake_until_check, self._checked_at = self._awake(), time.monotonic()
        too_old = self._awake_until_check - IO_SECONDS
        for connection, since in list(self._waited_for.items()):
            if since < too_old:
                # Only ends the thread's wait, which then closes it. The plain socket's method: an SSLSocket's own
                # would take the TLS state away under the thread.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def _awake(self) -> float:
        """Return the seconds for which this process has been awake."""
        return self._awake_until_check + min(time.monotonic() - self._checked_at, _CHECK_SECONDS)

    def _close_most_idle(self) -> None:
        queues: tuple[deque[TConn], ...] = (self.pending_conns, self.keepalived_conns)
        for queue in queues:
            if queue:
                connection = queue.popleft()
                self.poller.unregister(connection.sock)
                self.nr_conns -= 1
                connection.close()
                return
