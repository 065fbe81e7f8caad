"""Exchanges end in time, whatever the server does."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import trustme
from valkey.exceptions import ResponseError

from sealgate.shared_cache.connections import CONNECTIONS, Connections, ServerUnavailableError
from tests.shared_cache.environment import BRIEFLY, PATIENCE, connect
from tests.shared_cache.hostile_server import HostileServer
from tests.support.real_tools.valkey import ValkeyServer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from tests.shared_cache.hostile_server import Send


def _silent(send: Send, over: threading.Event) -> None:
    del send
    over.wait(PATIENCE)


def _trickle(send: Send, over: threading.Event) -> None:
    send(b"$1000\r\n")
    while not over.wait(BRIEFLY / 10):
        send(b"x")


def _flood(send: Send, over: threading.Event) -> None:
    send(b"$500000000\r\n")
    while not over.is_set():
        send(bytes(1 << 16))


def _nest(send: Send, over: threading.Event) -> None:
    while not over.is_set():
        send(b"*1\r\n" * 1000)


def _endless_line(send: Send, over: threading.Event) -> None:
    while not over.is_set():
        send(b"+" + bytes(1 << 16))


def _lie(send: Send, over: threading.Event) -> None:
    del over
    send(b"HTTP/1.1 200 OK\r\n\r\n")


def _huge_number(send: Send, over: threading.Event) -> None:
    del over
    send(b":" + b"9" * 10_000 + b"\r\n")


def _hang_up(send: Send, over: threading.Event) -> None:
    del send, over


@pytest.mark.parametrize("attack", [_silent, _trickle, _flood, _nest, _endless_line, _lie, _huge_number, _hang_up])
def test_hostile_response_ends_the_exchange(attack: Callable[[Send, threading.Event], None]) -> None:
    with HostileServer(attack) as server:
        connections = connect(server.port, seconds=BRIEFLY)
        try:
            # On a busy machine a connection may need several attempts.
            _until_tried(connections)
        finally:
            connections.close()


def _until_tried(connections: Connections) -> None:
    for _ in range(100):
        assert connections.wait_connected(PATIENCE)
        with pytest.raises(ServerUnavailableError) as caught:
            connections.exchange([("GET", "name")])
        if caught.value.__cause__ is not None:
            return
    raise AssertionError("no exchange was tried")


def test_server_that_is_too_slow_for_a_ping_is_not_connected_to() -> None:
    with HostileServer(_silent, greeting=b"") as server:
        connections = connect(server.port, seconds=BRIEFLY)
        try:
            assert not connections.wait_connected(10 * BRIEFLY)
            with pytest.raises(ServerUnavailableError, match="not connected"):
                connections.exchange([("GET", "name")])
        finally:
            connections.close()


@pytest.mark.real
def test_responses_come_in_the_order_of_the_commands(server: ValkeyServer) -> None:
    connections = connect(server.port)
    try:
        assert connections.wait_connected(PATIENCE)
        responses = connections.exchange([("SET", "a", b"1"), ("GET", "a"), ("LPUSH", "a", "x"), ("GET", "b")])
        assert responses[:2] == [b"OK", b"1"]
        assert isinstance(responses[2], ResponseError)
        assert responses[3] is None
        # An error response leaves the connection as it was.
        assert connections.connected
    finally:
        connections.close()


@pytest.mark.real
def test_more_threads_than_connections_are_served(server: ValkeyServer) -> None:
    connections = connect(server.port)
    try:
        assert connections.wait_connected(PATIENCE)
        with ThreadPoolExecutor(4 * CONNECTIONS) as pool:
            values = list(pool.map(lambda i: connections.exchange([("ECHO", str(i))])[0], range(200)))
        assert values == [str(i).encode() for i in range(200)]
        assert server.admin.info("clients")["connected_clients"] <= CONNECTIONS + 1
    finally:
        connections.close()


@pytest.mark.real
def test_paused_server_opens_the_circuit_until_it_answers_again(server: ValkeyServer) -> None:
    connections = connect(server.port, seconds=0.2)
    try:
        assert connections.wait_connected(PATIENCE)
        server.pause()
        for _ in itertools.takewhile(lambda _: connections.connected, range(100)):
            with pytest.raises(ServerUnavailableError):
                connections.exchange([("GET", "a")])
        with pytest.raises(ServerUnavailableError, match="not connected"):
            connections.exchange([("GET", "a")])
        server.resume()
        assert connections.wait_connected(PATIENCE)
    finally:
        server.resume()
        connections.close()


@pytest.mark.real
def test_killed_server_is_connected_to_again(server: ValkeyServer) -> None:
    connections = connect(server.port)
    try:
        assert connections.wait_connected(PATIENCE)
        server.kill()
        with pytest.raises(ServerUnavailableError):
            connections.exchange([("GET", "a")])
        assert not connections.connected
        server.start()
        assert connections.wait_connected(PATIENCE)
        assert connections.exchange([("GET", "a")]) == [None]
    finally:
        connections.close()


@pytest.mark.real
def test_tls_and_a_user_with_few_rights(tmp_path: Path) -> None:
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    pair, key, bundle = tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.crt"
    issued.cert_chain_pems[0].write_to_path(pair)
    issued.private_key_pem.write_to_path(key)
    ca.cert_pem.write_to_path(bundle)
    (tmp_path / "username").write_text("sealgate\n")
    (tmp_path / "password").write_text("secret")
    rights = "on >secret resetchannels ~sealgate:* -@all +ping +get +getrange +set +del +eval +time"
    with ValkeyServer(tls=(pair, key, bundle)) as server:
        server.admin.execute_command("ACL", "SETUSER", "sealgate", *rights.split())
        connections = connect(server.port, tls=tmp_path, host="localhost")
        try:
            assert connections.wait_connected(PATIENCE)
            permitted, forbidden = connections.exchange([("SET", "sealgate:a", b"1"), ("SET", "other", b"1")])
            assert permitted == b"OK"
            assert isinstance(forbidden, ResponseError)
        finally:
            connections.close()


@pytest.mark.real
@pytest.mark.parametrize("wrong", ["CA", "name", "password"])
def test_server_that_is_not_the_right_one_is_not_connected_to(tmp_path: Path, wrong: str) -> None:
    ca = trustme.CA()
    issued = ca.issue_cert("other.example.org" if wrong == "name" else "localhost")
    pair, key, bundle, trusted = (tmp_path / name for name in ("tls.crt", "tls.key", "server-ca.crt", "ca.crt"))
    issued.cert_chain_pems[0].write_to_path(pair)
    issued.private_key_pem.write_to_path(key)
    ca.cert_pem.write_to_path(bundle)
    (trustme.CA() if wrong == "CA" else ca).cert_pem.write_to_path(trusted)
    (tmp_path / "password").write_text("wrong" if wrong == "password" else "secret")
    with ValkeyServer("--requirepass", "secret", tls=(pair, key, bundle)) as server:
        connections = connect(server.port, tls=tmp_path, host="localhost")
        try:
            assert not connections.wait_connected(1.0)
        finally:
            connections.close()
