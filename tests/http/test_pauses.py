"""Rate limits of servers are honoured, shared between callers, and bounded."""

from __future__ import annotations

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import RateLimitedError, UnavailableError
from sealgate.http.pauses import Pauses
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import client_for, repository_of, session_of
from tests.support.simulators.registry import RegistrySimulator


@pytest.mark.parametrize(
    ("retry_after", "slept"),
    [
        ("7", 7.0),
        ("Sat, 21 Nov 2026 12:00:09 GMT", 9.0),
        ("Sat, 21 Nov 2026 12:00:09", 9.0),
        (None, 2.0),
        ("soon", 2.0),
        ("-5", 2.0),
        ("99999999999999999999", 300.0),
        ("Sun, 21 Nov 2027 12:00:00 GMT", 300.0),
    ],
)
def test_status_429_is_retried_after_its_pause(retry_after: str | None, slept: float) -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        registry.faults.rate_limit("manifests", retry_after)
        session_of(client, clock=clock, seconds=1000).manifest(repository_of(registry), "v1")
        assert clock.slept == [slept]
        assert len(registry.requests) == 2


@pytest.mark.parametrize("retry_after", ["0", "Fri, 20 Nov 2026 12:00:00 GMT"])
def test_a_pause_that_is_over_already_needs_no_waiting(retry_after: str) -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        registry.faults.rate_limit("manifests", retry_after)
        session_of(client, clock=clock).manifest(repository_of(registry), "v1")
        assert clock.slept == []


def test_pause_beyond_the_deadline_is_reported_immediately() -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        registry.faults.rate_limit("manifests/v1", "60")
        for reference in ("v1", "v2"):
            with pytest.raises(RateLimitedError, match="retry in 60 s") as limited:
                session_of(client, clock=clock, seconds=30).manifest(repository_of(registry), reference)
            assert limited.value.retry_after == 60
        assert clock.slept == []
        assert len(registry.requests) == 1


def test_caller_waits_for_a_pause_that_another_one_caused() -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        registry.faults.rate_limit("manifests", "60")
        with pytest.raises(RateLimitedError):
            session_of(client, clock=clock, seconds=30).manifest(repository_of(registry), "v1")
        clock.advance(20)
        session_of(client, clock=clock, seconds=100).manifest(repository_of(registry), "v1")
        assert clock.slept == [40]


def test_a_second_429_is_not_waited_for() -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry, client_for(registry, clock=clock) as client:
        registry.faults.rate_limit("manifests", "5", times=None)
        with pytest.raises(RateLimitedError):
            session_of(client, clock=clock, seconds=1000).manifest(repository_of(registry), "v1")
        assert len(registry.requests) == 2


def test_only_a_503_with_retry_after_is_a_pause() -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        registry.faults.answer("manifests", 503, {"Retry-After": "3"}, times=1)
        session_of(client, clock=clock).manifest(repository_of(registry), "v1")
        assert clock.slept == [3]
        registry.faults.answer("manifests", 503)
        with pytest.raises(UnavailableError, match="503"):
            session_of(client, clock=clock).manifest(repository_of(registry), "v1")


def test_pause_of_one_host_does_not_affect_others() -> None:
    clock = FakeClock()
    with RegistrySimulator() as one, RegistrySimulator() as other, client_for(one, other, clock=clock) as client:
        other.push_image("team/app", "v1")
        one.faults.rate_limit("manifests", "60")
        with pytest.raises(RateLimitedError):
            session_of(client, clock=clock, seconds=30).manifest(repository_of(one), "v1")
        session_of(client, clock=clock, seconds=30).manifest(repository_of(other), "v1")
        assert clock.slept == []


def test_pauses_are_bounded_in_number() -> None:
    clock = FakeClock()
    pauses = Pauses(clock)
    for number in range(2000):
        pauses.begin(f"host{number}", "100")
    pauses.wait("host0", Deadline.after(clock, 10))  # forgotten in favour of later ones
    with pytest.raises(RateLimitedError):
        pauses.wait("host1999", Deadline.after(clock, 10))
    clock.advance(101)
    pauses.begin("another", "1")
    pauses.wait("host1999", Deadline.after(clock, 10))
    assert clock.slept == []


def test_a_longer_pause_is_not_cut_short_by_a_shorter_one() -> None:
    pauses = Pauses(FakeClock())
    pauses.begin("host", "100")
    pauses.begin("host", "1")
    assert pauses.error("host").retry_after == 100
