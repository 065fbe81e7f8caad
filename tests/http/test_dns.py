"""DNS lookups: bounded by the caller's deadline, one per name at a time, with a concurrency limit."""

from __future__ import annotations

import socket
import threading

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import DeadlineError, UnavailableError
from sealgate.http import dns as resolution
from sealgate.http.dns import SystemResolver
from tests.support.clocks import FakeClock


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


def test_lookups_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "MAX_LOOKUPS", 1)
    answer = threading.Event()

    def lookup(_: str) -> tuple[str, ...]:
        answer.wait()
        return ("192.0.2.1",)

    resolver = SystemResolver(SystemClock(), lookup)
    with pytest.raises(DeadlineError):
        resolver.resolve("a.example.org", _soon(0.05))
    with pytest.raises(UnavailableError, match="too many other lookups"):
        resolver.resolve("b.example.org", _soon())
    answer.set()
    assert resolver.resolve("a.example.org", _soon()) == ("192.0.2.1",)


def test_lookup_that_failed_to_start_is_retried_by_the_next_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = SystemResolver(SystemClock(), lambda _: ("192.0.2.1",))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError):
            resolver.resolve("a.example.org", _soon())
    assert resolver.resolve("a.example.org", _soon(10)) == ("192.0.2.1",)
