"""Attacks through what is verified in the background: floods, memory, and credentials that stay."""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING

import pytest

from sealgate.policies.decisions import Verdict
from sealgate.policies.matching import Namespace
from sealgate.reasons import Reason
from sealgate.registry.credentials import NoCredentials
from sealgate.verification import background_queue
from sealgate.verification.background_queue import MAX_SECONDS
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import VerifierSettings
from tests.support.clocks import GatedClock
from tests.support.environments.registry_clients import login
from tests.support.environments.verifier import PATIENCE, RELEASE, REPOSITORY, VerifierEnvironment
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from sealgate.findings import Finding
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.verification.observers import BackgroundResult
    from sealgate.verification.policy_sets import PolicySet

FLOOD, OTHER = Namespace("flood"), Namespace("other")
LIMITS = VerifierSettings(verifications_per_minute=60, burst=5)


class Counts(NullObserver):
    """Counts verifications, and what waits for the background.

    Attributes:
        verifications: how many were made.
        waiting: how many wait for the background.
        ended: how many no longer do.
    """

    def __init__(self) -> None:
        self.verifications = 0
        self.waiting = 0
        self.ended = 0
        self._changed = threading.Condition()

    def verification(self, finding: Finding, seconds: float) -> None:
        del finding, seconds
        with self._changed:
            self.verifications += 1

    def background_waiting(self, change: int) -> None:
        with self._changed:
            self.waiting += change

    def background_ended(self, result: BackgroundResult) -> None:
        del result
        with self._changed:
            self.ended += 1
            self._changed.notify_all()

    def wait_for_ended(self, count: int) -> None:
        """Return once so many wait no more."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.ended >= count, PATIENCE)


class HaltedClock(GatedClock):
    """A clock whose gate can be closed again.

    Attributes:
        halted: how many sleep behind the closed gate.
    """

    def __init__(self) -> None:
        super().__init__()
        self.halted = 0

    def sleep(self, seconds: float) -> None:
        if not self.gate.is_set():
            self.halted += 1
            assert self.gate.wait(100)
            self.halted -= 1
        super().sleep(seconds)

    def halt(self) -> None:
        """Close the gate, and return once the only thread that sleeps does so behind it."""
        self.gate.clear()
        end = time.monotonic() + PATIENCE
        while not self.halted:
            assert time.monotonic() < end
            time.sleep(0.01)


def release() -> PolicySet:
    """Return the policies in force."""
    return RELEASE


def digests(environment: VerifierEnvironment, count: int) -> list[str]:
    """Return images with digests that do not exist."""
    return [f"{environment.registry.host}/{REPOSITORY}@sha256:{number:064x}" for number in range(count)]


@pytest.mark.parametrize("background", [False, True])
def test_attack_176_flood_in_the_background_delays_no_review(*, background: bool) -> None:
    clock, counts = HaltedClock(), Counts()
    with VerifierEnvironment(LIMITS, clock, counts) as environment:
        try:
            signed = [f"{environment.registry.host}/{REPOSITORY}@{environment.push_signed(f'v{n}')}" for n in range(5)]
            assert environment.verify(signed[0], namespace=OTHER)[0].verdict is Verdict.ADMIT
            current = release if background else None
            flood = digests(environment, 200)
            environment.verify(*flood, namespace=FLOOD, seconds=0.1, current_policies=current)
            assert counts.waiting == (196 if background else 0)
            clock.advance(60)
            clock.gate.set()
            if background:
                counts.wait_for_ended(20)
                clock.halt()
            # All slots of the burst but one are there for the reviews of others, at any time.
            verdicts = environment.verify(*signed[1:], namespace=OTHER, seconds=0.1)
            assert {verdict.verdict for verdict in verdicts} == {Verdict.ADMIT}
            assert counts.verifications <= LIMITS.burst + clock.monotonic() * LIMITS.verifications_per_minute / 60
        finally:
            clock.gate.set()


def test_attack_177_flood_for_the_background_fills_no_memory_and_displaces_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background_queue, "MAX_BYTES", 40_000)
    clock, counts = GatedClock(), Counts()
    with VerifierEnvironment(LIMITS, clock, counts) as environment:
        try:
            host = environment.registry.host
            signed = f"{host}/{REPOSITORY}@{environment.push_signed('v1')}"
            environment.verify(f"{host}/{REPOSITORY}@{environment.push_signed('v2')}", namespace=OTHER)
            flood = digests(environment, 300)
            environment.verify(*flood, namespace=FLOOD, seconds=0.1, current_policies=release)
            assert 10 < counts.waiting < 40_000 / 1_536
            before = counts.waiting
            other = {"namespace": OTHER, "seconds": 0.1, "current_policies": release}
            assert environment.verify(signed, **other)[0].reason is Reason.RATE_LIMITED
            assert counts.waiting == before
            ended = counts.ended
            clock.gate.set()
            # It has the second turn at the latest.
            counts.wait_for_ended(ended + 3)
            assert environment.verify(signed, **other)[0].verdict is Verdict.ADMIT
        finally:
            clock.gate.set()


def test_attack_178_background_uses_the_credentials_of_its_own_namespace() -> None:
    clock, counts = GatedClock(), Counts()
    with VerifierEnvironment(LIMITS, clock, counts) as environment:
        try:
            registry = environment.registry
            signed = [f"{registry.host}/{REPOSITORY}@{environment.push_signed(f'v{n}')}" for n in range(2)]
            registry.auth = Auth("basic", users={"robot": "s3cret"})
            member, guess = login(registry, "robot", "s3cret"), login(registry, "robot", "a guess")
            assert environment.verify(signed[0], credentials=member)[0].verdict is Verdict.ADMIT
            environment.verify(*digests(environment, 4), credentials=member)
            for namespace, credentials in ((FLOOD, guess), (OTHER, member)):
                review = {"namespace": namespace, "credentials": credentials, "seconds": 0.1}
                verdict = environment.verify(signed[1], current_policies=release, **review)[0]
                assert verdict.reason is Reason.RATE_LIMITED
            assert counts.waiting == 2
            clock.gate.set()
            counts.wait_for_ended(2)
            assert environment.verify(signed[1], namespace=OTHER, credentials=member)[0].verdict is Verdict.ADMIT
            assert environment.verify(signed[1], namespace=FLOOD, credentials=guess)[0].verdict is not Verdict.ADMIT
        finally:
            clock.gate.set()


def test_attack_178_credentials_of_what_no_review_asks_for_any_more_are_gone() -> None:
    clock, counts = GatedClock(), Counts()
    with VerifierEnvironment(LIMITS, clock, counts) as environment:
        try:
            image = f"{environment.registry.host}/{REPOSITORY}@{environment.push_signed('v1')}"
            environment.verify(image)
            environment.verify(*digests(environment, 4))
            credentials: CredentialProvider = NoCredentials()
            gone = weakref.ref(credentials)
            (late,) = digests(environment, 5)[4:]
            environment.verify(late, credentials=credentials, seconds=0.1, current_policies=release)
            del credentials
            assert counts.waiting == 1
            assert gone() is not None
            clock.advance(MAX_SECONDS)
            clock.gate.set()
            counts.wait_for_ended(1)
            # A thread may be about to let go of them.
            end = time.monotonic() + PATIENCE
            while gone() is not None:
                assert time.monotonic() < end
                time.sleep(0.01)
        finally:
            clock.gate.set()
