"""Mirrors are used first, with their own credentials; a failing mirror falls back to the origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import ForbiddenAddressError, RateLimitedError, UnauthorizedError, VerificationError
from sealgate.references import Repository
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import client_for, docker_config, session_of
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.simulators.http_messages import Answer


@pytest.fixture(name="origin")
def _origin() -> Iterator[RegistrySimulator]:
    with RegistrySimulator() as origin:
        origin.push_image("team/app", "v1")
        yield origin


@pytest.fixture(name="mirror")
def _mirror() -> Iterator[RegistrySimulator]:
    with RegistrySimulator() as mirror:
        yield mirror


def test_mirror_is_used_instead_of_the_origin(origin: RegistrySimulator, mirror: RegistrySimulator) -> None:
    digest = mirror.push_image("team/app", "v1")
    with client_for(origin, mirror, mirrors={origin.host: mirror.host}) as client:
        assert session_of(client).manifest(Repository(origin.host, "team/app"), "v1").digest == digest
    assert origin.requests == []


def test_mirror_miss_falls_back_to_the_origin(origin: RegistrySimulator, mirror: RegistrySimulator) -> None:
    with client_for(origin, mirror, mirrors={origin.host: mirror.host}) as client:
        session_of(client).manifest(Repository(origin.host, "team/app"), "v1")
    assert mirror.paths == origin.paths == ["/v2/team/app/manifests/v1"]


def test_mirror_without_referrers_falls_back_to_the_origin(
    origin: RegistrySimulator, mirror: RegistrySimulator
) -> None:
    subject = origin.push_image("team/app", "v1")
    mirror.push_image("team/app", "v1")
    origin.push_artifact("team/app", None, ((b"1", "a/b", {}),), subject=subject)
    with client_for(origin, mirror, mirrors={origin.host: mirror.host}) as client:
        assert len(session_of(client).referrers(Repository(origin.host, "team/app"), subject, 10)) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_mirror_that_fails_is_passed_over(origin: RegistrySimulator, mirror: RegistrySimulator, status: int) -> None:
    mirror.faults.status("manifests", status)
    with client_for(origin, mirror, mirrors={origin.host: mirror.host}) as client:
        session_of(client).manifest(Repository(origin.host, "team/app"), "v1")
    assert len(origin.requests) == 1


def test_a_mirror_that_hangs_leaves_time_for_the_origin(origin: RegistrySimulator, mirror: RegistrySimulator) -> None:
    clock = FakeClock()

    def let_half_of_the_time_pass(answer: Answer) -> Answer:
        clock.advance(31)
        return answer

    mirror.push_image("team/app", "v1")
    mirror.faults.add(Fault("manifests", let_half_of_the_time_pass))
    with client_for(origin, mirror, clock=clock, mirrors={origin.host: mirror.host}) as client:
        session_of(client, clock=clock, seconds=60).manifest(Repository(origin.host, "team/app"), "v1")
    assert len(origin.requests) == len(mirror.requests) == 1


def test_unreachable_mirror_is_skipped(origin: RegistrySimulator, mirror: RegistrySimulator) -> None:
    mirror.close()
    with client_for(origin, mirror, mirrors={origin.host: mirror.host}) as client:
        session_of(client).manifest(Repository(origin.host, "team/app"), "v1")
    assert len(origin.requests) == 1


def test_a_mirror_that_lies_is_a_refusal(origin: RegistrySimulator, mirror: RegistrySimulator) -> None:
    digest = mirror.push_image("team/app", "v1")
    mirror.faults.body("manifests", b"{}")
    with client_for(origin, mirror, mirrors={origin.host: mirror.host}) as client, pytest.raises(VerificationError):
        session_of(client).manifest(Repository(origin.host, "team/app"), digest)
    assert origin.requests == []


def test_a_mirror_that_refuses_is_a_refusal(origin: RegistrySimulator, mirror: RegistrySimulator) -> None:
    mirror.faults.status("manifests", 403)
    with client_for(origin, mirror, mirrors={origin.host: mirror.host}) as client, pytest.raises(UnauthorizedError):
        session_of(client).manifest(Repository(origin.host, "team/app"), "v1")
    assert origin.requests == []


def test_a_mirror_that_limits_its_rate_is_left_alone(origin: RegistrySimulator, mirror: RegistrySimulator) -> None:
    mirror.faults.rate_limit("manifests", "60")
    with client_for(origin, mirror, mirrors={origin.host: mirror.host}) as client, pytest.raises(RateLimitedError):
        session_of(client).manifest(Repository(origin.host, "team/app"), "v1")
    assert origin.requests == []


def test_a_mirror_at_a_forbidden_address_is_refused(origin: RegistrySimulator) -> None:
    with client_for(origin, mirrors={origin.host: "169.254.169.254"}) as client, pytest.raises(ForbiddenAddressError):
        session_of(client).manifest(Repository(origin.host, "team/app"), "v1")
    assert origin.requests == []


def test_each_gets_its_own_credentials(mirror: RegistrySimulator) -> None:
    with RegistrySimulator(auth=Auth("basic", users={"for-origin": "1"})) as origin:
        mirror.auth = Auth("basic", users={"for-mirror": "2"})
        origin.push_image("team/app", "v1")
        credentials = docker_config(
            {
                origin.host: {"username": "for-origin", "password": "1"},
                mirror.host: {"username": "for-mirror", "password": "2"},
            }
        )
        with client_for(origin, mirror, mirrors={origin.host: mirror.host}) as client:
            session_of(client, credentials).manifest(Repository(origin.host, "team/app"), "v1")
        assert len({request.headers.get("authorization") for request in origin.requests + mirror.requests}) == 3
