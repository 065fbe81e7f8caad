"""Requests and responses of HTTP/1.1, as clients send and read them."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from sealgate.process.serving.asgi import ARRIVED
from sealgate.process.serving.limits import ServingLimits
from tests.process.serving.environment import Application, ask, head, is_cut_off, response, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.process.serving.asgi import Receive, Scope, Send
    from tests.process.serving.environment import Loops, Serving


@pytest.fixture
def app() -> Application:
    return Application()


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def served(request: pytest.FixtureRequest, app: Application, loops: Loops) -> Iterator[Serving]:
    with serving(app, ServingLimits(), loops, tls=request.param) as served:
        yield served


def test_bodies_of_every_length_come_back(served: Serving) -> None:
    with served.open() as client:
        for size in (0, 1, 16 << 10, (16 << 10) + 1, 3_000_000):
            body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            client.sendall(head("/", f"Content-Length: {len(body)}", method="POST") + body)
            assert response(client)[2] == body


def test_chunked_bodies_come_back(served: Serving) -> None:
    with served.open() as client:
        for _ in range(2):
            client.sendall(head("/", "Transfer-Encoding: chunked", method="POST"))
            for size in (1, 20_000, 300):
                client.sendall(f"{size:x};extension=1\r\n".encode() + b"x" * size + b"\r\n")
            client.sendall(b"0\r\nTrailer: of the body\r\n\r\n")
            assert response(client)[2] == b"x" * 20_301


def test_scope_describes_the_request(app: Application, served: Serving) -> None:
    before = time.monotonic()
    with served.open() as client:
        client.sendall(head("/a%20b/c?d=e%20f", "X-One: 1", "X-One:  2 "))
        assert response(client)[0] == 200
        (scope,) = app.scopes
        assert before <= scope.pop(ARRIVED) <= time.monotonic()
        assert scope == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https" if hasattr(client, "cipher") else "http",
            "path": "/a b/c",
            "raw_path": b"/a%20b/c",
            "query_string": b"d=e%20f",
            "root_path": "",
            "headers": [(b"host", b"server"), (b"x-one", b"1"), (b"x-one", b"2")],
            "client": client.getsockname(),
            "server": served.address,
        }


def test_head_may_come_byte_by_byte(served: Serving) -> None:
    with served.open() as client:
        for byte in head("/slow?query"):
            client.sendall(bytes((byte,)))
        assert response(client)[0] == 200


def test_absolute_target_is_a_path(app: Application, served: Serving) -> None:
    with served.open() as client:
        client.sendall(head("http://server:8080/path?query"))
        assert response(client)[0] == 200
    assert (app.scopes[0]["path"], app.scopes[0]["query_string"]) == ("/path", b"query")


def test_client_that_waits_to_be_asked_is_asked_for_its_body(app: Application, served: Serving) -> None:
    with served.open() as client:
        client.sendall(head("/wait", "Content-Length: 2", "Expect: 100-continue", method="POST"))
        assert app.entered.wait(150)
        app.go.set()
        asked = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.recv(len(asked)) == asked
        client.sendall(b"ok")
        assert response(client)[2] == b"ok"


def test_client_that_is_refused_is_not_asked_for_its_body(served: Serving) -> None:
    with served.open() as client:
        client.sendall(head("/refuse", "Content-Length: 2", "Expect: 100-continue", method="POST"))
        status, headers, _ = response(client)
        assert (status, headers["connection"]) == (413, "close")
        assert is_cut_off(client)


def test_refusal_reaches_a_client_that_is_still_sending(served: Serving) -> None:
    with served.open() as client:
        client.sendall(head("/refuse", "Content-Length: 200000", method="POST") + b"x" * 100_000)
        assert response(client)[0] == 413
        assert is_cut_off(client)


def test_client_that_goes_on_sending_after_a_refusal_is_closed(served: Serving) -> None:
    with served.open() as client:
        client.sendall(head("/refuse", "Content-Length: 2000000000", method="POST"))
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while True:
                client.sendall(b"x" * 65536)
        assert is_cut_off(client)


def test_head_has_the_fields_of_a_response_without_its_body(served: Serving) -> None:
    with served.open() as client:
        client.sendall(head("/refuse", method="HEAD"))
        connection = http.client.HTTPResponse(client, method="HEAD")
        connection.begin()
        assert (connection.status, connection.getheader("Content-Length"), connection.read()) == (413, "10", b"")
        assert ask(client) == 200


@pytest.mark.parametrize("fields", [("Connection: close",), ("Connection: Upgrade", "Upgrade: h2c")])
def test_connection_is_closed_where_the_client_does_not_keep_it(served: Serving, fields: tuple[str, ...]) -> None:
    with served.open() as client:
        client.sendall(head("/", *fields))
        status, headers, _ = response(client)
        assert (status, headers["connection"]) == (200, "close")
        assert is_cut_off(client)


def test_old_clients_are_answered_and_closed(served: Serving) -> None:
    with served.open() as client:
        client.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert response(client)[1]["connection"] == "close"
        assert is_cut_off(client)


def test_requests_sent_ahead_are_answered_in_turn_or_not_at_all(app: Application, served: Serving) -> None:
    with served.open() as client:
        client.sendall(head("/wait"))
        assert app.entered.wait(150)
        client.sendall(head("/second"))
        app.go.set()
        assert [response(client)[0] for _ in range(2)] == [200, 200]
        # In one piece with the first, the second is not read: the client has to send it again.
        client.sendall(head("/first") + head("/lost"))
        assert response(client)[1]["connection"] == "close"
        assert is_cut_off(client)
    assert [scope["path"] for scope in app.scopes] == ["/wait", "/second", "/first"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nNo colon\r\n\r\n", 400),
        (head("http://[::1/path"), 400),
        (head("/", "Content-Length: 1", "Content-Length: 2", method="POST"), 400),
        (head("/", "Content-Length: 1", "Transfer-Encoding: chunked", method="POST"), 400),
        (head("/", "Transfer-Encoding: chunked, gzip", method="POST"), 400),
        (head("/", "Content-Length: -1", method="POST"), 400),
        (head("/", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n", 400),
        (head("/", f"X: {'x' * 64_000}"), 431),
        (head("/" + "x" * 64_000), 431),
        (head("/", *["X: 1"] * 100), 431),
    ],
)
def test_malformed_requests_are_refused_and_logged_without_their_content(
    served: Serving, request_bytes: bytes, status: int
) -> None:
    with served.open() as client:
        client.sendall(request_bytes)
        assert response(client)[0] == status
        assert is_cut_off(client)
    line = json.loads(served.log.getvalue())
    assert (line["msg"], line["client"]) == ("malformed request; connection closed", "127.0.0.1")
    with served.open() as client:
        assert ask(client) == 200


def test_application_that_fails_costs_its_request_only(served: Serving) -> None:
    with served.open() as client:
        client.sendall(head("/fail"))
        status, headers, _ = response(client)
        assert (status, headers["connection"]) == (500, "close")
    assert "an unforeseen fault" in json.loads(served.log.getvalue())["exception"]
    with served.open() as client:
        assert ask(client) == 200


def test_response_of_unknown_length_ends_with_the_connection(loops: Loops) -> None:
    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
        await send({"type": "http.response.body"})

    with serving(stream, ServingLimits(), loops) as served:
        connection = http.client.HTTPConnection(*served.address, timeout=150)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"x" * 1_000_000
        connection.close()


def test_response_that_breaks_off_is_not_taken_for_a_whole_one(loops: Loops) -> None:
    async def break_off(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    with serving(break_off, ServingLimits(), loops) as served:
        connection = http.client.HTTPConnection(*served.address, timeout=150)
        connection.request("GET", "/")
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            connection.getresponse().read()
        connection.close()


def test_connection_is_closed_where_the_application_says_so(loops: Loops) -> None:
    async def close(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"connection", b"close"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body"})

    with serving(close, ServingLimits(), loops) as served, served.open() as client:
        assert ask(client) == 204
        assert is_cut_off(client)
