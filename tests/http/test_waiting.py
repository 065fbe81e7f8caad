"""A connection waits for its peer only where it must, and never beyond the deadline."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
import trustme

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import DeadlineError
from sealgate.http.connections import Connection, Guard
from sealgate.http.tls import make_context
from sealgate.http.urls import Origin
from tests.support.environments.registry_clients import silent_server

if TYPE_CHECKING:
    from collections.abc import Iterator

#: More than the buffers of both ends of a connection hold.
LARGE = b"x" * (16 << 20)


class Side:
    """TLS of a server for 127.0.0.1, and the client's context that trusts it; neither without TLS."""

    def __init__(self, *, tls: bool) -> None:
        self.server = self.client = None
        if tls:
            authority = trustme.CA()
            self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(self.server)
            self.client = make_context(authority.cert_pem.bytes().decode())

    @contextlib.contextmanager
    def connect(self, host: str, seconds: float) -> Iterator[Connection]:
        name, _, port = host.partition(":")
        deadline = Deadline.after(SystemClock(), seconds)
        guard = Guard(deadline, "testing", len(LARGE) * 2)
        scheme = "http" if self.client is None else "https"
        connection = Connection(Origin(scheme, name, int(port)), (name,), guard, self.client)
        connection.connect()
        try:
            yield connection
        finally:
            connection.close()


@contextlib.contextmanager
def echo(tls: ssl.SSLContext | None) -> Iterator[str]:
    """Send back what one client sends, once it has sent all of `LARGE`; yield `host:port`."""

    def serve(listener: socket.socket) -> None:
        accepted = listener.accept()[0]
        with accepted if tls is None else tls.wrap_socket(accepted, server_side=True) as connection:
            received = bytearray()
            while len(received) < len(LARGE):
                received += connection.recv(1 << 20)
            connection.sendall(received)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(100)


@pytest.mark.parametrize("tls", [False, True])
def test_large_messages_are_sent_and_received_in_parts(*, tls: bool) -> None:
    side = Side(tls=tls)
    with echo(side.server) as host, side.connect(host, 30) as connection:
        connection.send(LARGE)
        received = bytearray()
        while len(received) < len(LARGE):
            received += connection.receive()
    assert received == LARGE


@pytest.mark.parametrize("tls", [False, True])
def test_nothing_waits_for_a_silent_peer_beyond_the_deadline(*, tls: bool) -> None:
    side = Side(tls=tls)
    with silent_server(side.server) as host, side.connect(host, 30) as connection:
        connection.guard.renew(Deadline.after(SystemClock(), 0.05), "testing", 1)
        with pytest.raises(DeadlineError, match="testing"):
            connection.receive()
        connection.guard.renew(Deadline.after(SystemClock(), 0.2), "testing", 1)
        with pytest.raises(DeadlineError, match="testing"):
            connection.send(LARGE)


def test_a_peer_that_is_gone_is_noticed_without_waiting() -> None:
    side = Side(tls=False)
    with silent_server() as host, side.connect(host, 30) as connection:
        assert connection.is_connected
        connection.close()
        assert not connection.is_connected
