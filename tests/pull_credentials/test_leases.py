"""Leases: one request for all that need a secret, renewed before its end, failures cached."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import DeadlineError, RateLimitedError, UnauthorizedError, UnavailableError
from sealgate.http.metadata import MetadataClient
from sealgate.pull_credentials.leases import MAX_BACKOFF, MIN_AGE, MIN_BACKOFF, LoginLease
from sealgate.registry.credentials import Login
from tests.support.clocks import FakeClock
from tests.support.environments.pull_credentials import ControlledLogin, Results, RoutedServices

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "registry.example.org"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def login() -> Iterator[ControlledLogin]:
    login = ControlledLogin()
    yield login
    login.gate.set()


@pytest.fixture
def results() -> Results:
    return Results()


@pytest.fixture
def lease(login: ControlledLogin, clock: FakeClock, results: Results) -> Iterator[LoginLease]:
    with RoutedServices({}, clock) as services:
        yield LoginLease(HOST, "aws", login, services, MetadataClient(), clock, results)


def soon(clock: FakeClock, seconds: float = 30) -> Deadline:
    return Deadline.after(clock, seconds)


def test_secret_is_obtained_once_for_all_that_need_it(
    lease: LoginLease, login: ControlledLogin, clock: FakeClock
) -> None:
    login.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(lease.obtain, soon(clock)) for _ in range(8)]
        assert login.entered.wait(60)
        login.gate.set()
        assert {future.result(60) for future in waiting} == {Login("robot", "s3cr3t")}
    assert login.logins == 1


def test_secret_is_renewed_before_its_end_without_a_wait(
    lease: LoginLease, login: ControlledLogin, clock: FakeClock, results: Results
) -> None:
    first = lease.obtain(soon(clock))
    clock.advance(3600 * 0.6)
    assert lease.obtain(soon(clock)) == first
    assert login.logins == 1
    clock.advance(3600 * 0.2)
    login.answer = Login("robot", "second")
    login.gate.clear()
    assert lease.obtain(soon(clock)) == first  # while the request for the next one is under way
    login.gate.set()
    results.wait_for(2)
    assert lease.obtain(soon(clock)) == Login("robot", "second")
    assert login.logins == 2


def test_secret_is_used_to_its_end_while_the_cloud_fails(
    lease: LoginLease, login: ControlledLogin, clock: FakeClock, results: Results
) -> None:
    first = lease.obtain(soon(clock))
    login.answer = UnavailableError("sts cannot be reached")
    clock.advance(3600 * 0.8)
    assert lease.obtain(soon(clock)) == first
    results.wait_for(2)
    assert lease.obtain(soon(clock)) == first
    clock.advance(3600 * 0.2)
    with pytest.raises(UnavailableError, match="sts cannot be reached"):
        lease.obtain(soon(clock))


def test_expired_secret_is_not_returned(lease: LoginLease, login: ControlledLogin, clock: FakeClock) -> None:
    lease.obtain(soon(clock))
    clock.advance(3600 - 59)
    login.answer = Login("robot", "second")
    assert lease.obtain(soon(clock)) == Login("robot", "second")


def test_failure_names_registry_identity_reason_and_remedy_always_in_the_same_words(
    lease: LoginLease, login: ControlledLogin, clock: FakeClock, results: Results
) -> None:
    login.answer = UnauthorizedError("AWS STS answers 403 AccessDenied")
    with pytest.raises(UnavailableError) as caught:
        lease.obtain(soon(clock))
    assert not isinstance(caught.value, UnauthorizedError)
    said = (
        "no pull credentials for registry.example.org by the test's identity: AWS STS answers 403 AccessDenied; "
        "do what the test says"
    )
    assert caught.value.message == f"{said}; the cloud is asked again in a few minutes at most"
    assert results.problems == [("aws", said)]
    clock.advance(MIN_BACKOFF / 2)
    with pytest.raises(UnavailableError) as again:
        lease.obtain(soon(clock))
    assert again.value.message == caught.value.message


def test_failures_are_cached_for_longer_each_time(lease: LoginLease, login: ControlledLogin, clock: FakeClock) -> None:
    login.answer = UnavailableError("no")
    for pause in (MIN_BACKOFF, 2 * MIN_BACKOFF, 4 * MIN_BACKOFF):
        before = login.logins
        for _ in range(50):
            with pytest.raises(UnavailableError):
                lease.obtain(soon(clock))
        assert login.logins == before + 1
        clock.advance(pause * 1.2)
    for _ in range(20):
        with pytest.raises(UnavailableError):
            lease.obtain(soon(clock))
        clock.advance(MAX_BACKOFF * 1.2)
    login.answer = Login("robot", "s3cr3t")
    assert lease.obtain(soon(clock)).username == "robot"


def test_cloud_that_asks_for_a_pause_gets_it(lease: LoginLease, login: ControlledLogin, clock: FakeClock) -> None:
    login.answer = RateLimitedError("sts limits its rate", retry_after=120)
    with pytest.raises(UnavailableError, match="sts limits its rate"):
        lease.obtain(soon(clock))
    login.answer = Login("robot", "s3cr3t")
    clock.advance(119)
    with pytest.raises(UnavailableError, match="sts limits its rate"):
        lease.obtain(soon(clock))
    clock.advance(2)
    assert lease.obtain(soon(clock)).username == "robot"


def test_deadline_of_the_caller_bounds_the_wait_and_ends_no_request(
    lease: LoginLease, login: ControlledLogin, clock: FakeClock, results: Results
) -> None:
    login.gate.clear()
    with pytest.raises(DeadlineError, match=r"obtaining pull credentials for registry\.example\.org by the test's"):
        lease.obtain(soon(clock, 0.01))
    login.gate.set()
    results.wait_for(1)
    assert lease.obtain(soon(clock)) == Login("robot", "s3cr3t")
    assert login.logins == 1


def test_refused_secret_is_renewed_once_it_is_old(
    lease: LoginLease, login: ControlledLogin, clock: FakeClock, results: Results
) -> None:
    first = lease.obtain(soon(clock))
    for _ in range(100):
        lease.refused(first)
    assert lease.obtain(soon(clock)) == first
    clock.advance(MIN_AGE)
    lease.refused(Login("robot", "another"))
    assert lease.obtain(soon(clock)) == first
    assert login.logins == 1
    lease.refused(first)
    login.answer = Login("robot", "second")
    assert lease.obtain(soon(clock)) == first  # and the request for the next one is sent
    results.wait_for(2)
    assert lease.obtain(soon(clock)) == Login("robot", "second")
    assert login.logins == 2


def test_unexpected_exception_is_a_failure_without_its_text(
    lease: LoginLease, login: ControlledLogin, clock: FakeClock
) -> None:
    login.answer = KeyError("s3cr3t")
    with pytest.raises(UnavailableError, match="unexpected KeyError") as caught:
        lease.obtain(soon(clock))
    assert "s3cr3t" not in caught.value.message


def test_process_without_threads_is_a_failure(
    lease: LoginLease, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(UnavailableError, match="the process cannot start a thread"):
            lease.obtain(soon(clock))
    clock.advance(MIN_BACKOFF * 1.2)
    assert lease.obtain(soon(clock)).username == "robot"
