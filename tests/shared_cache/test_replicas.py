"""Verifiers of replicas that share a server: fewer requests, and no verdict that none would give alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealgate.clocks import SystemClock
from sealgate.policies.decisions import Verdict
from sealgate.shared_cache.budgets import SharedBudgets
from sealgate.shared_cache.flights import SharedFlights
from sealgate.shared_cache.level import SharedCache
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.verifier import Verifier
from tests.shared_cache.environment import BRIEFLY, PATIENCE, Replica
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.clocks import FakeClock
from tests.support.environments.verifier import KEY, REPOSITORY, STRANGER, VerifierEnvironment, policy_set
from tests.support.examples import examples
from tests.support.real_tools.valkey import ValkeyServer
from tests.support.signers.cosign import Classic, push_classic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any, Self

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict

pytestmark = pytest.mark.real
OTHER_KEY = policy_set([authenticator_model("release", STRANGER)], [policy_model("production")])


class Replicas:
    """One registry, and the verifiers of some replicas that share a server; a context manager."""

    def __init__(
        self, server: ValkeyServer, count: int = 2, clock: Clock | None = None, seconds: float = PATIENCE, **limits: Any
    ) -> None:
        self.server = server
        self._stack = ExitStack()
        self._limits = VerifierSettings(**limits)
        self.environment = VerifierEnvironment(settings=self._limits, clock=clock or FakeClock())
        self._caches = [Replica(server.port, clock=self.environment.clock, seconds=seconds) for _ in range(count)]

    def __enter__(self) -> Self:
        self._stack.enter_context(self.environment)
        self.verifiers = [self._open(self._stack.enter_context(cache)) for cache in self._caches]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def restart(self) -> None:
        """Replace the verifiers by new ones with empty caches."""
        for verifier in self.verifiers:
            verifier.close()
        self.verifiers = [self._open(cache) for cache in self._caches]

    def verify(self, replica: int, image: str, **review: Any) -> ImageVerdict:
        (verdict,) = self.verifiers[replica].verify([image], self.environment.review(**review))
        return verdict

    @property
    def requests(self) -> int:
        return len(self.environment.registry.requests)

    def _open(self, cache: Replica) -> Verifier:
        limits = self._limits
        shared = SharedCache(
            cache.store,
            SharedFlights(cache.store, cache.clock, cache.observer),
            SharedBudgets(limits.verifications_per_minute, limits.burst, cache.store, cache.observer),
            limits,
            cache.clock,
        )
        verifier = Verifier(self.environment.client, cache.clock, limits, shared=shared)
        self._stack.callback(verifier.close)
        return verifier


def test_image_that_one_replica_verified_costs_another_nothing(server: ValkeyServer) -> None:
    with Replicas(server) as replicas:
        replicas.environment.push_signed("v1")
        replicas.environment.registry.push_image(REPOSITORY, "v2")
        for tag, verdict in (("v1", Verdict.ADMIT), ("v2", Verdict.DENY)):
            image = replicas.environment.image(tag)
            first = replicas.verify(0, image)
            requests = replicas.requests
            assert (first.verdict, replicas.verify(1, image)) == (verdict, first)
            assert replicas.requests == requests


def test_shared_finding_uses_no_budget(server: ValkeyServer) -> None:
    with Replicas(server, verifications_per_minute=1.0, burst=1) as replicas:
        replicas.environment.push_signed("v1")
        assert replicas.verify(0, replicas.environment.image()).verdict is Verdict.ADMIT
        assert replicas.verify(1, replicas.environment.image()).verdict is Verdict.ADMIT


def test_replicas_together_keep_to_the_budget(server: ValkeyServer) -> None:
    with Replicas(server, clock=SystemClock(), verifications_per_minute=1.0, burst=3) as replicas:
        for number in range(8):
            replicas.environment.push_signed(f"v{number}")
        verdicts = [replicas.verify(number % 2, replicas.environment.image(f"v{number}")) for number in range(8)]
        assert [verdict.verdict for verdict in verdicts] == [Verdict.ADMIT] * 3 + [Verdict.UNAVAILABLE] * 5
        assert "which all replicas share" in str(verdicts[-1])


@pytest.mark.usefixtures("long_leases")
def test_attack_30_one_verification_for_all_replicas(server: ValkeyServer) -> None:
    with Replicas(server, 3, clock=SystemClock()) as replicas:
        digest = replicas.environment.push_signed("v1")
        image = replicas.environment.image()
        with ThreadPoolExecutor(12) as pool:
            verdicts = list(pool.map(lambda number: replicas.verify(number % 3, image).verdict, range(60)))
        assert verdicts == [Verdict.ADMIT] * 60
        signature = f"/manifests/{digest.replace(':', '-')}.sig"
        asked = [request for request in replicas.environment.registry.requests if request.path.endswith(signature)]
        assert len(asked) == 1


def test_attack_31_replicas_agree_within_the_ttl_of_a_refusal(server: ValkeyServer) -> None:
    clock = FakeClock()
    with Replicas(server, clock=clock) as replicas:
        environment = replicas.environment
        image = environment.image()
        digest = environment.registry.push_image(REPOSITORY, "v1")
        assert [replicas.verify(number, image).verdict for number in (0, 1)] == [Verdict.DENY] * 2
        push_classic(environment.registry, REPOSITORY, Classic(digest, KEY))
        clock.advance(30.0)
        assert [replicas.verify(number, image).verdict for number in (1, 0)] == [Verdict.ADMIT] * 2


def test_attack_27_other_keys_get_nothing_of_a_finding(server: ValkeyServer) -> None:
    with Replicas(server) as replicas:
        replicas.environment.push_signed("v1")
        assert replicas.verify(0, replicas.environment.image()).verdict is Verdict.ADMIT
        assert replicas.verify(1, replicas.environment.image(), policies=OTHER_KEY).verdict is Verdict.DENY


def test_attack_28_unavailable_is_not_shared(server: ValkeyServer) -> None:
    with Replicas(server) as replicas:
        image = replicas.environment.image()
        assert replicas.verify(0, image).verdict is Verdict.UNAVAILABLE
        replicas.environment.push_signed("v1")
        assert replicas.verify(1, image).verdict is Verdict.ADMIT


@pytest.mark.parametrize("loss", ["killed", "paused"])
def test_replicas_work_alone_without_the_server(server: ValkeyServer, loss: str) -> None:
    with Replicas(server, clock=SystemClock(), seconds=BRIEFLY) as replicas:
        replicas.environment.push_signed("v1")
        replicas.environment.registry.push_image(REPOSITORY, "v2")
        (server.kill if loss == "killed" else server.pause)()
        for number in (0, 1):
            assert replicas.verify(number, replicas.environment.image("v1")).verdict is Verdict.ADMIT
            assert replicas.verify(number, replicas.environment.image("v2")).verdict is Verdict.DENY


def test_full_server_admits_what_is_signed_and_nothing_else(server: ValkeyServer) -> None:
    with Replicas(server) as replicas:
        replicas.environment.push_signed("v1")
        replicas.environment.registry.push_image(REPOSITORY, "v2")
        server.admin.config_set("maxmemory", 1)
        for number in (0, 1):
            assert replicas.verify(number, replicas.environment.image("v1")).verdict is Verdict.ADMIT
            assert replicas.verify(number, replicas.environment.image("v2")).verdict is Verdict.DENY


@pytest.fixture(scope="module")
def two_images() -> Iterator[Replicas]:
    """A signed image v1 and an unsigned one v2."""
    with ValkeyServer() as server, Replicas(server) as replicas:
        replicas.environment.push_signed("v1")
        replicas.environment.registry.push_image(REPOSITORY, "v2")
        yield replicas


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_attack_86_no_content_of_the_server_admits_an_unsigned_image(two_images: Replicas, data: st.DataObject) -> None:
    """Names and values are recorded, swapped among each other, cut and replaced by garbage."""
    replicas, admin = two_images, two_images.server.admin
    admin.flushall()
    replicas.restart()
    signed, unsigned = (replicas.environment.image(tag) for tag in ("v1", "v2"))
    for image in (signed, unsigned):
        replicas.verify(0, image)
    names = sorted(name for name in admin.keys() if b":budget:" not in name)  # noqa: SIM118 - a command
    values = [admin.get(name) for name in names]
    assert len(names) == 4
    replaced = st.one_of(
        st.sampled_from(values),
        st.binary(max_size=100),
        st.tuples(st.sampled_from(values), st.integers(0, 200)).map(lambda cut: cut[0][: cut[1]]),
    )
    for name in names:
        admin.set(name, data.draw(replaced))
    replicas.restart()
    for number in (0, 1):
        assert replicas.verify(number, unsigned).verdict is Verdict.DENY
        assert replicas.verify(number, signed).verdict is Verdict.ADMIT
