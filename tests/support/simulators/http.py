"""A service in this process: real HTTP or HTTPS on 127.0.0.1, with faults that a test switches on.

What it answers is up to those who derive from `HTTPSimulator`. `tls=True` serves HTTPS with a certificate of a
CA of its own (`ca_pem`) that is valid for 127.0.0.1, localhost and the names in `names`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import trustme

from tests.support.simulators.http_faults import Faults
from tests.support.simulators.http_messages import Answer, RecordedRequest

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_TLS_RECORD = b"\x16"
_PHRASES = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    307: "Temporary Redirect",
    401: "Unauthorized",
    404: "Not Found",
}


class HTTPSimulator:
    """A threaded service, by default on 127.0.0.1. Use it as a context manager, or call `close`.

    Args:
        tls: serve HTTPS; the certificate of the CA is `ca_pem`.
        names: further names the TLS certificate is valid for.
        host_name: the host part of `host`; None for the address.
        address: where it listens.
        port: where it listens; 0 for one that is free.

    Attributes:
        host: "127.0.0.1:port", as in references.
        faults: what goes wrong; see `Faults`.
        requests: every request that arrived, in order; clear it with `requests.clear()`.
        documents: additional responses by path ("/v1/notes").
        ca_pem: PEM certificate of the CA of its TLS certificate; empty without TLS.
    """

    def __init__(
        self,
        *,
        tls: bool = False,
        names: tuple[str, ...] = (),
        host_name: str | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Start serving at once."""
        self.requests: list[RecordedRequest] = []
        self.documents: dict[str, Answer] = {}
        self.closing = threading.Event()
        self.faults = Faults(self.closing)
        self.lock = threading.RLock()
        self.ca_pem = ""
        self.tls_context = self._make_tls(names) if tls else None
        self._server = _Server(self, (address, port))
        self.scheme = "https" if tls else "http"
        self.port = self._server.server_address[1]
        self.host = f"{host_name or address}:{self.port}"
        self.url = f"{self.scheme}://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself; it already serves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Stop serving: release hanging requests, close every connection, wait for every thread."""
        self.closing.set()
        self._server.wake()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def close_idle_connections(self) -> None:
        """Close the TCP connections that clients keep alive, as a restarted server would."""
        self._server.close_connections()

    @property
    def paths(self) -> list[str]:
        """The paths of all requests so far, in order."""
        return [request.path for request in self.requests]

    def respond(self, request: RecordedRequest) -> Answer:
        """Return the faultless response to a request."""
        with self.lock:
            return self.documents.get(request.path) or Answer(
                404, {"Content-Type": "text/plain"}, b"404 page not found\n"
            )

    def _make_tls(self, names: tuple[str, ...]) -> ssl.SSLContext:
        authority = trustme.CA()
        self.ca_pem = authority.cert_pem.bytes().decode()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost", *names).configure_cert(context)
        return context


class _Server(HTTPServer):
    """One thread per connection; every connection is tracked, so that `close` ends them all."""

    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, simulator: HTTPSimulator, address: tuple[str, int]) -> None:
        self.simulator = simulator
        self.connections: dict[socket.socket, threading.Thread] = {}
        self.accepted = 0
        self.lock = threading.Lock()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        # At once, because a thread that has not started cannot be waited for.
        with self.lock:
            self.connections[request] = thread
            thread.start()

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        # Clients that disconnect early are part of many tests, so their errors are not logged.
        with contextlib.suppress(OSError, ValueError):
            self.finish_request(request, client_address)
        with self.lock:
            self.connections.pop(request, None)
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)
        request.close()

    def wake(self) -> None:
        """End the pause of the serving thread, so that `shutdown` need not wait for it; ends accepting too."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def next_connection(self) -> int:
        with self.lock:
            self.accepted += 1
            return self.accepted

    def close_connections(self) -> None:
        with self.lock:
            open_now = dict(self.connections)
        for connection, thread in open_now.items():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(10)


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive, over TLS if the simulator has it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server
    number = 0

    def setup(self) -> None:
        context = self.server.simulator.tls_context
        self._tls: ssl.SSLSocket | None = None
        if context is not None:
            # The plain socket stays with the server, which shuts it down; TLS works on a copy of it.
            self._tls = context.wrap_socket(self.request.dup(), server_side=True)
            self.request = self._tls
        super().setup()

    def finish(self) -> None:
        try:
            with contextlib.suppress(OSError):
                super().finish()
        finally:
            if self._tls is not None:
                self._tls.close()

    def handle(self) -> None:
        if self._tls is None and self.rfile.peek(1)[:1] == _TLS_RECORD:  # type: ignore[attr-defined]  # a BufferedReader
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        super().handle()

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        if not self.parse_request():
            return
        if any(len(self.headers.get_all(name, ())) > 1 for name in ("host", "content-length")):
            # As servers of clouds do (RFC 9112, 3.2 and 6.3).
            self.send_error(400, "a header line is there twice")
            return
        request = self._record()
        simulator = self.server.simulator
        fault = simulator.faults.take(self.path, self.command)
        answer = simulator.respond(request)
        if fault is not None and fault.change is not None:
            answer = fault.change(answer)
        if fault is not None and fault.send is not None:
            fault.send(self, answer)
        else:
            head, body = self.render(answer)
            self.wfile.write(head + (b"" if request.method == "HEAD" else body))
        self.wfile.flush()

    def _record(self) -> RecordedRequest:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        if headers.get("transfer-encoding") == "chunked":
            body = self._read_chunks()
        parts = urlsplit(f"http://host{self.path}")
        self.number = self.number or self.server.next_connection()
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        request = RecordedRequest(self.command, unquote(parts.path), query, headers, body, self.number)
        self.server.simulator.requests.append(request)
        return request

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def render(self, answer: Answer) -> tuple[bytes, bytes]:
        """Return the bytes of the response's head and body."""
        headers = dict(answer.headers)
        if not any(name.lower() in ("content-length", "transfer-encoding") for name in headers):
            headers["Content-Length"] = str(len(answer.body))
        if headers.get("Connection") == "close":
            self.close_connection = True
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'X')}\r\n{lines}\r\n".encode(
            "latin-1"
        ), answer.body

    def log_message(self, *_: Any) -> None:
        """Write no log: `requests` records every request."""
