"""Tenants that take what others need: lookups, workers, budgets; a second tenant is served meanwhile."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from sealgate.http import dns
from sealgate.http.dns import KEEP_SECONDS, SystemResolver
from sealgate.http.pools import IDLE_SECONDS
from sealgate.policies.decisions import Verdict
from sealgate.policies.matching import Namespace
from sealgate.reasons import Reason
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import VerifierSettings
from tests.support.clocks import FakeClock, GatedClock
from tests.support.environments.verifier import PATIENCE, REPOSITORY, VerifierEnvironment
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable

FLOOD, OTHER = Namespace("flood"), Namespace("other")


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; fail after a timeout."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# 51: workers ---------------------------------------------------------------------------------------------------------


def running_of(environment: VerifierEnvironment, host: str) -> int:
    """Return how many tasks run for a host."""
    queue = environment.verifier._context.workers._queue
    return sum(of.shares.in_use for of in queue.hosts if of.name == host)


@pytest.mark.parametrize("answered_before", [False, True])
def test_attack_51_pod_of_256_images_on_dead_hosts_leaves_workers_to_others(*, answered_before: bool) -> None:
    clock = FakeClock()
    with ExitStack() as stack:
        dead = [stack.enter_context(RegistrySimulator()) for _ in range(8)]
        pool = stack.enter_context(ThreadPoolExecutor(1))
        hosts = frozenset(registry.host for registry in dead)
        environment = stack.enter_context(VerifierEnvironment(clock=clock, insecure=hosts))
        environment.push_signed("v1")
        environment.push_signed("v2")
        if answered_before:
            environment.verify(*(f"{host}/app:v1" for host in hosts), namespace=FLOOD)
        for registry in dead:
            registry.faults.hang("/v2/")
        images = [f"{host}/app:n{number}" for host in hosts for number in range(32)]
        assert len(images) == 256
        flood = pool.submit(environment.verify, *images, namespace=FLOOD)
        wait_until(lambda: sum(running_of(environment, host) for host in hosts) >= 32)
        # A registry that was never asked before, and then one that has answered.
        assert environment.verify(environment.image("v1"), namespace=OTHER)[0].verdict is Verdict.ADMIT
        assert environment.verify(environment.image("v2"), namespace=OTHER)[0].verdict is Verdict.ADMIT
        assert not flood.done()
        clock.advance(PATIENCE + 1)
        assert {verdict.verdict for verdict in flood.result(PATIENCE)} == {Verdict.UNAVAILABLE}
        for registry in dead:
            registry.close()


def test_attack_51_slow_repository_of_one_tenant_leaves_its_registry_to_others() -> None:
    clock = FakeClock()
    with ThreadPoolExecutor(1) as pool, VerifierEnvironment(clock=clock) as environment:
        environment.push_signed("v1")
        environment.push_signed("v2")
        environment.registry.faults.hang("/v2/flood/")
        assert environment.verify(environment.image("v1"), namespace=OTHER)[0].verdict is Verdict.ADMIT
        images = [environment.image(f"n{number}", "flood/app") for number in range(256)]
        flood = pool.submit(environment.verify, *images, namespace=FLOOD)
        wait_until(lambda: running_of(environment, environment.registry.host) == VerifierSettings().host_concurrency)
        assert environment.verify(environment.image("v2"), namespace=OTHER)[0].verdict is Verdict.ADMIT
        clock.advance(PATIENCE + 1)
        assert {verdict.verdict for verdict in flood.result(PATIENCE)} == {Verdict.UNAVAILABLE}


def test_attack_51_requests_that_wait_for_dead_hosts_give_their_threads_up() -> None:
    clock, settings = FakeClock(), VerifierSettings(max_waiters=8, max_waiting=16)
    with ExitStack() as stack:
        dead = [stack.enter_context(RegistrySimulator()) for _ in range(4)]
        # As many threads as the server has.
        server = stack.enter_context(ThreadPoolExecutor(16))
        hosts = [registry.host for registry in dead]
        environment = stack.enter_context(VerifierEnvironment(settings, clock, insecure=frozenset(hosts)))
        for registry in dead:
            registry.faults.hang("/v2/")
        environment.push_signed("v1")
        floods = [
            server.submit(environment.verify, f"{hosts[number % 4]}/app:n{number}", namespace=FLOOD)
            for number in range(16)
        ]
        waiting = environment.verifier._context.wait_slots._requests
        wait_until(lambda: waiting.get(FLOOD.name) == 16)
        clock.advance(settings.unresponsive_after + 0.1)
        other = server.submit(environment.verify, environment.image("v1"), namespace=OTHER)
        assert other.result(PATIENCE)[0].verdict is Verdict.ADMIT
        wait_until(lambda: sum(flood.done() for flood in floods) == 8)
        for registry in dead:
            registry.close()


# 52: names under silent name servers ---------------------------------------------------------------------------------


class SilentNameServers:
    """Lookups of which those under `silent*.test` get no answer until the test is over.

    Attributes:
        asked: the silent names that are being looked up.
        over: set when the test is over.
    """

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.over = threading.Event()

    def __call__(self, host: str) -> tuple[str, ...]:
        if "silent" in host:
            self.asked.add(host)
            self.over.wait()
        return ("127.0.0.1",)


def environment_with_names(clock: FakeClock, servers: SilentNameServers) -> VerifierEnvironment:
    """Return an environment whose registry has a name, which these name servers resolve."""
    registry = RegistrySimulator(host_name="registry.example.test")
    return VerifierEnvironment(clock=clock, registry=registry, resolver=SystemResolver(clock, servers))


def test_attack_52_silent_names_leave_lookups_to_names_that_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "MAX_NEW_LOOKUPS", 16)
    clock, servers = FakeClock(), SilentNameServers()
    with ThreadPoolExecutor(1) as pool, environment_with_names(clock, servers) as environment:
        environment.push_signed("v1")
        environment.push_signed("v2")
        assert environment.verify(environment.image("v1"), namespace=OTHER)[0].verdict is Verdict.ADMIT
        # No address and no connection is left from before.
        clock.advance(KEEP_SECONDS + IDLE_SECONDS + 1)
        silent = [f"n{number}.silent{number % 20}.test/app:v1" for number in range(100)]
        flood = pool.submit(environment.verify, *silent, namespace=FLOOD)
        wait_until(lambda: len(servers.asked) == 16)
        assert environment.verify(environment.image("v2"), namespace=OTHER)[0].verdict is Verdict.ADMIT
        clock.advance(PATIENCE + 1)
        assert {verdict.verdict for verdict in flood.result(PATIENCE)} == {Verdict.UNAVAILABLE}
        servers.over.set()


def test_attack_52_silent_names_of_one_domain_leave_lookups_to_new_names() -> None:
    clock, servers = FakeClock(), SilentNameServers()
    with ThreadPoolExecutor(1) as pool, environment_with_names(clock, servers) as environment:
        environment.push_signed("v1")
        flood = pool.submit(
            environment.verify, *(f"n{number}.silent.test/app:v1" for number in range(100)), namespace=FLOOD
        )
        wait_until(lambda: len(servers.asked) > 1)
        assert environment.verify(environment.image("v1"), namespace=OTHER)[0].verdict is Verdict.ADMIT
        clock.advance(PATIENCE + 1)
        assert {verdict.verdict for verdict in flood.result(PATIENCE)} == {Verdict.UNAVAILABLE}
        servers.over.set()


# 53: budgets ---------------------------------------------------------------------------------------------------------


class Refusals(NullObserver):
    """Counts what budgets did not allow."""

    def __init__(self) -> None:
        self.count = 0

    def rate_limited(self, host: str) -> None:
        del host
        self.count += 1


def test_attack_53_digests_that_do_not_exist_leave_the_budget_to_others() -> None:
    clock, refusals = GatedClock(), Refusals()
    settings = VerifierSettings(verifications_per_minute=60, burst=5)
    with ThreadPoolExecutor(2) as pool, VerifierEnvironment(settings, clock, refusals) as environment:
        repository = f"{environment.registry.host}/{REPOSITORY}"
        digest = environment.push_signed("v1")
        queue = environment.verifier._context.workers._queue
        made_up = [f"{repository}@sha256:{number:064x}" for number in range(500)]
        flood = pool.submit(environment.verify, *made_up, namespace=FLOOD, seconds=10)
        # 5 at once and 10 in the 10 s that the review has; the rest is refused at once.
        wait_until(lambda: refusals.count == 485)
        assert len(queue) == 10
        other = pool.submit(environment.verify, f"{repository}@{digest}", namespace=OTHER, seconds=3)
        wait_until(lambda: len(queue) == 11)
        clock.gate.set()
        assert other.result(PATIENCE)[0].verdict is Verdict.ADMIT
        reasons = Counter(verdict.reason for verdict in flood.result(PATIENCE))
    assert reasons[Reason.RATE_LIMITED] >= 485
    assert set(reasons) <= {Reason.RATE_LIMITED, Reason.NO_SIGNATURE, Reason.IMAGE_NOT_FOUND, Reason.DEADLINE_EXCEEDED}
