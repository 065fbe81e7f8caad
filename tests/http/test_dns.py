"""DNS lookups: bounded by the caller's deadline, one per name at a time, with a concurrency limit."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import DeadlineError, UnavailableError
from sealgate.http import dns as resolution
from sealgate.http.dns import SystemResolver
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 100


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; fail after a timeout."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def _soon(seconds: float = 30) -> Deadline:
    return Deadline.after(SystemClock(), seconds)


def test_the_machines_own_names_resolve() -> None:
    assert set(SystemResolver(SystemClock()).resolve("localhost", _soon())) & {"127.0.0.1", "::1"}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "169.254.169.254"])
def test_an_address_is_its_own(host: str) -> None:
    def lookup(_: str) -> tuple[str, ...]:
        raise AssertionError

    assert SystemResolver(SystemClock(), lookup).resolve(host, _soon()) == (host,)


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1"])
def test_numeric_host_spellings_resolve_to_addresses(host: str) -> None:
    assert SystemResolver(SystemClock()).resolve(host, _soon()) == ("127.0.0.1",)


def test_addresses_are_kept_for_a_moment() -> None:
    clock, asked = FakeClock(), []

    def lookup(host: str) -> tuple[str, ...]:
        asked.append(host)
        return ("192.0.2.1",)

    resolver = SystemResolver(clock, lookup)
    for _ in range(3):
        assert resolver.resolve("a.example.org", _soon()) == ("192.0.2.1",)
    assert len(asked) == 1
    clock.advance(resolution.KEEP_SECONDS + 1)
    resolver.resolve("a.example.org", _soon())
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label too long"), "not a valid name"),
        (OSError(), "not a valid name"),
    ],
)
def test_failed_lookups_are_reported_and_retried(error: Exception, why: str) -> None:
    asked = []

    def lookup(host: str) -> tuple[str, ...]:
        asked.append(host)
        raise error

    resolver = SystemResolver(SystemClock(), lookup)
    for _ in range(2):
        with pytest.raises(UnavailableError, match=f"does not resolve: {why}"):
            resolver.resolve("a.example.org", _soon())
    assert len(asked) == 2


def test_silent_dns_server_is_asked_once_within_the_deadline() -> None:
    answer, asked = threading.Event(), []

    def lookup(host: str) -> tuple[str, ...]:
        asked.append(host)
        answer.wait()
        return ("192.0.2.1",)

    resolver = SystemResolver(SystemClock(), lookup)
    for _ in range(2):
        with pytest.raises(DeadlineError, match=r"looking up a\.example\.org"):
            resolver.resolve("a.example.org", _soon(0.05))
    answer.set()
    assert resolver.resolve("a.example.org", _soon()) == ("192.0.2.1",)
    assert asked == ["a.example.org"]


def test_frozen_clock_does_not_make_a_lookup_endless() -> None:
    answer = threading.Event()

    def lookup(_: str) -> tuple[str, ...]:
        answer.wait()
        return ()

    with pytest.raises(UnavailableError, match="in time"):
        SystemResolver(SystemClock(), lookup).resolve("a.example.org", Deadline.after(FakeClock(), 0.05))
    answer.set()


class NameServers:
    """Lookups of which some stay silent until `answer` is set.

    Attributes:
        silent: ends of names that get no answer before that.
        answer: lets the silent ones answer.
        running: names that are being looked up, in order.
    """

    def __init__(self, *silent: str) -> None:
        self.silent = silent
        self.answer = threading.Event()
        self.running: list[str] = []

    def __call__(self, host: str) -> tuple[str, ...]:
        self.running.append(host)
        if host.endswith(self.silent):
            self.answer.wait()
        return ("192.0.2.1",)

    def count(self, part: str) -> int:
        """Return how many names with a part are, or were, looked up."""
        return len([host for host in self.running if part in host])


def _ask(resolver: SystemResolver, hosts: list[str]) -> list[Future[tuple[str, ...]]]:
    """Resolve each host in a thread of its own."""
    pool = ThreadPoolExecutor(len(hosts))
    asked = [pool.submit(resolver.resolve, host, _soon()) for host in hosts]
    pool.shutdown(wait=False)
    return asked


def _silent_hosts(count: int, domains: int) -> list[str]:
    return [f"n{number}.silent{number % domains}.test" for number in range(count)]


def test_names_of_one_domain_take_few_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "MAX_DOMAIN_LOOKUPS", 2)
    servers = NameServers("silent0.test")
    resolver = SystemResolver(SystemClock(), servers)
    asked = _ask(resolver, _silent_hosts(20, 1))
    wait_until(lambda: len(resolver._under_way) == 20 and servers.count("silent") >= 2)
    assert resolver.resolve("registry.example.org", _soon()) == ("192.0.2.1",)
    assert servers.count("silent") == 2
    servers.answer.set()
    assert {one.result(PATIENCE) for one in asked} == {("192.0.2.1",)}


def test_names_that_resolved_before_keep_lookups_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "MAX_NEW_LOOKUPS", 3)
    clock, servers = FakeClock(), NameServers(".test")
    resolver = SystemResolver(clock, servers)
    resolver.resolve("registry.example.org", _soon())
    clock.advance(resolution.KEEP_SECONDS + 1)
    asked = _ask(resolver, _silent_hosts(10, 10))
    wait_until(lambda: len(resolver._under_way) == 10 and servers.count("silent") >= 3)
    assert resolver.resolve("registry.example.org", _soon()) == ("192.0.2.1",)
    assert servers.count("silent") == 3
    servers.answer.set()
    assert {one.result(PATIENCE) for one in asked} == {("192.0.2.1",)}


def test_waiting_lookups_of_the_domains_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "MAX_NEW_LOOKUPS", 1)
    monkeypatch.setattr(resolution, "MAX_DOMAIN_LOOKUPS", 1)
    servers = NameServers("silent0.test")
    resolver = SystemResolver(SystemClock(), servers)
    asked = _ask(resolver, _silent_hosts(5, 1))
    wait_until(lambda: len(resolver._under_way) == 5)
    asked += _ask(resolver, ["registry.example.org"])
    wait_until(lambda: len(resolver._under_way) == 6)
    servers.answer.set()
    assert {one.result(PATIENCE) for one in asked} == {("192.0.2.1",)}
    assert servers.running.index("registry.example.org") <= 2


def test_waiting_lookups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "MAX_LOOKUPS", 1)
    monkeypatch.setattr(resolution, "MAX_WAITING_LOOKUPS", 0)
    servers = NameServers("silent0.test")
    resolver = SystemResolver(SystemClock(), servers)
    asked = _ask(resolver, _silent_hosts(1, 1))
    wait_until(lambda: len(servers.running) == 1)
    with pytest.raises(UnavailableError, match="too many other lookups wait"):
        resolver.resolve("b.example.org", _soon())
    servers.answer.set()
    assert asked[0].result(PATIENCE) == ("192.0.2.1",)
    assert resolver.resolve("b.example.org", _soon()) == ("192.0.2.1",)


def test_waiting_lookup_is_dropped_when_no_caller_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "MAX_LOOKUPS", 1)
    clock, servers = FakeClock(), NameServers("silent0.test")
    resolver = SystemResolver(clock, servers)
    asked = _ask(resolver, _silent_hosts(1, 1))
    wait_until(lambda: len(servers.running) == 1)
    with pytest.raises(UnavailableError):
        resolver.resolve("late.example.org", Deadline.after(clock, 0.05))
    clock.advance(1)
    servers.answer.set()
    asked[0].result(PATIENCE)
    wait_until(lambda: not resolver._under_way)
    assert "late.example.org" not in servers.running


def test_lookup_that_failed_to_start_is_retried_by_the_next_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = SystemResolver(SystemClock(), lambda _: ("192.0.2.1",))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError):
            resolver.resolve("a.example.org", _soon())
    assert resolver.resolve("a.example.org", _soon(10)) == ("192.0.2.1",)
