"""What one client may take, and what all of them may: nothing that another needs."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from sealgate.process.serving.limits import ServingLimits
from tests.process.serving.environment import (
    PATIENCE_SECONDS,
    Application,
    ask,
    eventually,
    head,
    is_answered,
    is_cut_off,
    response,
    serving,
)

if TYPE_CHECKING:
    from tests.process.serving.environment import Loops

#: Times that end within a test, and times that do not.
SHORT, LONG = 0.2, 600.0
PATIENT = ServingLimits(io=LONG, silence=LONG, keep_alive=LONG, check=0.02)


def limits(io: float = LONG, silence: float = LONG, keep_alive: float = LONG, connections: int = 2000) -> ServingLimits:
    return ServingLimits(connections=connections, io=io, silence=silence, keep_alive=keep_alive, check=0.02)


@pytest.mark.parametrize(
    ("short", "sent"),
    [
        (limits(silence=SHORT), b""),
        (limits(io=SHORT), b"GET / HT"),
        (limits(io=SHORT), head("/", "Content-Length: 9", method="POST") + b"12345678"),
        (limits(io=SHORT), head("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\n"),
        (limits(keep_alive=SHORT), head()),
    ],
    ids=["silent", "head", "body", "chunk", "kept"],
)
def test_client_that_sends_nothing_more_is_closed(loops: Loops, short: ServingLimits, sent: bytes) -> None:
    with serving(Application(), short, loops) as served, served.connect() as client:
        client.sendall(sent)
        assert is_cut_off(client)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"], ids=["silent", "handshake"])
def test_half_open_handshake_is_closed(loops: Loops, sent: bytes) -> None:
    with serving(Application(), limits(io=SHORT, silence=SHORT), loops, tls=True) as served, served.connect() as client:
        client.sendall(sent)
        assert is_cut_off(client)


def test_a_handshake_without_a_request_is_closed(loops: Loops) -> None:
    with serving(Application(), limits(silence=SHORT), loops, tls=True) as served:

        def is_closed() -> bool:
            # On a busy machine the handshake may begin too late.
            with contextlib.suppress(OSError), served.open() as client:
                return is_cut_off(client)
            return False

        eventually(is_closed)


def test_what_is_no_handshake_is_closed(loops: Loops) -> None:
    with serving(Application(), PATIENT, loops, tls=True) as served, served.connect() as client:
        client.sendall(head())
        assert is_cut_off(client)


@pytest.mark.parametrize(
    "beginning", [head("/", "Content-Length: 1000000", method="POST"), b"GET / HTTP/1.1\r\n"], ids=["body", "head"]
)
def test_dribbling_client_has_no_more_time_than_a_silent_one(loops: Loops, beginning: bytes) -> None:
    with serving(Application(), limits(io=SHORT), loops) as served, served.connect() as client:
        client.sendall(beginning)
        with contextlib.suppress(ConnectionError):
            while True:
                client.sendall(b"a")
                threading.Event().wait(0.01)
        assert is_cut_off(client)


@pytest.mark.parametrize("tls", [False, True])
def test_response_that_is_not_read_is_given_up(loops: Loops, tls: bool) -> None:  # noqa: FBT001
    with serving(Application(), limits(io=SHORT), loops, tls=tls) as served:
        with served.open() as client:
            client.sendall(head("/large"))
            eventually(lambda: served.connections == 0)
        # On a busy machine the other client may be too slow itself.
        eventually(lambda: is_answered(served))


def test_application_learns_that_its_client_is_gone(loops: Loops) -> None:
    app = Application()
    with serving(app, PATIENT, loops) as served:
        with served.connect() as client:
            client.sendall(head("/", "Content-Length: 9", method="POST"))
            eventually(lambda: app.scopes)
        assert app.gone.wait(150)
        eventually(lambda: served.connections == 0)


def test_long_work_of_the_application_is_not_the_clients_fault(
    loops: Loops,
) -> None:
    app = Application()
    short = ServingLimits(io=SHORT, silence=SHORT, keep_alive=SHORT, check=0.02)
    with serving(app, short, loops) as served, contextlib.ExitStack() as stack:
        clients: list[socket.socket] = []

        def has_entered() -> bool:
            # On a busy machine the request may be sent too late.
            clients.append(stack.enter_context(served.connect()))
            clients[-1].sendall(head("/wait"))
            return app.entered.wait(10)

        eventually(has_entered)
        with served.connect() as silent:
            # Closed after as much time as any client has.
            assert is_cut_off(silent)
        app.go.set()
        assert response(clients[-1])[0] == 200


def test_bodies_are_read_only_as_they_are_asked_for(loops: Loops) -> None:
    app = Application()
    with serving(app, PATIENT, loops) as served, served.connect() as client:
        # More than the buffers of a connection hold.
        size = 32 << 20
        client.sendall(head("/wait", f"Content-Length: {size}", method="POST"))
        assert app.entered.wait(150)
        client.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < size:
                sent += client.send(b"x" * 65536)
        assert sent < size
        client.settimeout(PATIENCE_SECONDS)
        app.go.set()
        client.sendall(b"x" * (size - sent))
        status, headers, _ = response(client)
        assert (status, headers["content-length"]) == (200, str(size))


@pytest.mark.parametrize("tls", [False, True])
def test_slow_clients_of_every_kind_delay_no_other(loops: Loops, tls: bool) -> None:  # noqa: FBT001
    with serving(Application(), PATIENT, loops, tls=tls) as served, contextlib.ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(served.connect())
            stack.enter_context(served.connect()).sendall(b"\x16\x03\x01" if tls else b"POST / HTT")
        for _ in range(4):
            half = stack.enter_context(served.open())
            half.sendall(head("/", "Content-Length: 100", method="POST") + b"half")
            unread = stack.enter_context(served.open())
            unread.sendall(head("/large"))
        with served.open() as client:
            assert [ask(client) for _ in range(3)] == [200] * 3


def test_when_connections_run_out_the_most_idle_one_makes_room(
    loops: Loops,
) -> None:
    app = Application()
    with serving(app, limits(connections=5), loops) as served, contextlib.ExitStack() as stack:
        busy = stack.enter_context(served.connect())
        busy.sendall(head("/wait"))
        assert app.entered.wait(150)
        kept = [stack.enter_context(served.connect()) for _ in range(2)]
        assert [ask(client) for client in kept] == [200, 200]
        silent = [stack.enter_context(served.connect()) for _ in range(3)]
        # One more than may be open: the first that never sent anything goes, then the others, then the kept ones.
        assert is_cut_off(silent[0])
        assert [ask(stack.enter_context(served.connect())) for _ in range(3)] == [200] * 3
        assert is_cut_off(silent[1])
        assert is_cut_off(silent[2])
        assert is_cut_off(kept[0])
        assert ask(kept[1]) == 200
        assert served.crowded == {"connections"}
        app.go.set()
        assert response(busy)[0] == 200


def test_when_all_connections_are_at_work_a_new_one_is_closed(loops: Loops) -> None:
    app = Application()
    with serving(app, limits(connections=3), loops) as served, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(served.connect()) for _ in range(3)]
        for client in busy:
            client.sendall(head("/wait"))
        eventually(lambda: len(app.scopes) == 3)
        with served.connect() as client:
            assert is_cut_off(client)
        assert served.crowded == {"connections"}
        app.go.set()
        assert [response(client)[0] for client in busy] == [200] * 3
        with served.connect() as client:
            assert ask(client) == 200


def test_accepting_goes_on_once_descriptors_are_free(loops: Loops) -> None:
    app = Application()
    with serving(app, PATIENT, loops) as served, contextlib.ExitStack() as stack:
        busy, idle = stack.enter_context(served.connect()), stack.enter_context(served.connect())
        busy.sendall(head("/wait"))
        assert app.entered.wait(150)
        assert ask(idle) == 200
        late = stack.enter_context(socket.socket())
        late.settimeout(60)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            late.connect(served.address)
            # The idle connection is closed, which is not enough here; the one at work stays.
            assert is_cut_off(idle)
            eventually(lambda: not served.server._accepting)
            assert served.crowded == {"descriptors"}
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert ask(late) == 200
        app.go.set()
        assert response(busy)[0] == 200


def test_connection_closes_in_the_turn_in_which_another_needs_its_place(
    loops: Loops,
) -> None:
    app = Application()
    with serving(app, limits(connections=2), loops) as served, contextlib.ExitStack() as stack:
        idle, busy = served.connect(), stack.enter_context(served.connect())
        assert [ask(client) for client in (idle, busy)] == [200, 200]
        busy.sendall(head("/block"))
        assert app.blocked.wait(150)
        idle.close()
        new = stack.enter_context(served.connect())
        new.sendall(head())
        app.unblock.set()
        assert response(new)[0] == 200
        assert response(busy)[0] == 200
        assert ask(busy) == 200


def test_handshakes_under_way_are_bounded_in_number(loops: Loops) -> None:
    few = ServingLimits(handshakes=4, io=LONG, silence=LONG, check=0.02)
    with serving(Application(), few, loops, tls=True) as served, contextlib.ExitStack() as stack:
        half_open = [stack.enter_context(served.connect()) for _ in range(6)]
        for client in half_open:
            client.sendall(served.client_hello())
        assert is_cut_off(half_open[0])
        assert is_cut_off(half_open[1])
        with served.open() as client:
            assert ask(client) == 200
        assert served.crowded == {"handshakes"}


def test_flood_of_handshakes_delays_established_connections_by_few_of_them(
    loops: Loops,
) -> None:
    app = Application()
    with serving(app, PATIENT, loops, tls=True) as served, contextlib.ExitStack() as stack:
        blocking, other = stack.enter_context(served.open()), stack.enter_context(served.open())
        assert ask(other) == 200
        flood = [stack.enter_context(served.connect()) for _ in range(50)]
        eventually(lambda: served.connections == 52)
        app.count = lambda: served.contexts_made
        blocking.sendall(head("/block"))
        assert app.blocked.wait(150)
        for client in flood:
            client.sendall(served.client_hello())
        other.sendall(head("/block"))
        app.blocked.clear()
        app.unblock.set()
        # This request is read in the same turn as all of the flood, and is answered after a few of its handshakes.
        assert app.blocked.wait(150)
        assert response(other)[0] == 200
        eventually(lambda: served.contexts_made == 52)
        assert [count - 2 < 10 for count in app.counts] == [True, True]


def test_stopping_finishes_requests_and_closes_idle_connections(
    loops: Loops,
) -> None:
    app = Application()
    with serving(app, PATIENT, loops) as served, contextlib.ExitStack() as stack:
        silent, idle, busy, sending = (stack.enter_context(served.connect()) for _ in range(4))
        assert ask(idle) == 200
        busy.sendall(head("/wait"))
        assert app.entered.wait(150)
        sending.sendall(b"GET / HTTP/1.1\r\n")
        assert ask(stack.enter_context(served.connect())) == 200
        served.stop()
        assert is_cut_off(silent)
        assert is_cut_off(idle)
        sending.sendall(b"Host: server\r\n\r\n")
        app.go.set()
        for client in (busy, sending):
            status, headers, _ = response(client)
            assert (status, headers["connection"]) == (200, "close")
            assert is_cut_off(client)
        served.wait()


def test_request_that_comes_while_the_server_stops_is_answered(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sealgate.process.serving.server.QUIET_SECONDS", 60.0)
    app = Application()
    with serving(app, PATIENT, loops) as served, contextlib.ExitStack() as stack:
        kept, busy = (stack.enter_context(served.connect()) for _ in range(2))
        assert ask(kept) == 200
        busy.sendall(head("/wait"))
        assert app.entered.wait(150)
        served.stop()
        eventually(lambda: served.server.draining)
        app.go.set()
        assert response(busy)[1]["connection"] == "close"
        kept.sendall(head("/"))
        status, headers, _ = response(kept)
        assert (status, headers["connection"]) == (200, "close")
        served.wait()
