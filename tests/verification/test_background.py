"""Images that a review could not wait for are verified later, as for a review that comes then."""

from __future__ import annotations

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sealgate.policies.decisions import Verdict
from sealgate.reasons import Reason
from sealgate.registry.credentials import NoCredentials
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import VerifierSettings
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.clocks import GatedClock
from tests.support.environments.verifier import PATIENCE, RELEASE, REPOSITORY, STRANGER, VerifierEnvironment, policy_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.policies.decisions import ImageVerdict
    from sealgate.references import Digest
    from sealgate.verification.observers import BackgroundResult
    from sealgate.verification.policy_sets import PolicySet

#: One verification a second, and none at once.
LIMITS = VerifierSettings(verifications_per_minute=60, burst=1)


class Background(NullObserver):
    """Notes what is reported of the background.

    Attributes:
        waiting: entries that wait or run.
        results: how the others ended.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.results: list[BackgroundResult] = []
        self._changed = threading.Condition()

    def background_waiting(self, change: int) -> None:
        with self._changed:
            self.waiting += change

    def background_ended(self, result: BackgroundResult) -> None:
        with self._changed:
            self.results.append(result)
            self._changed.notify_all()

    def wait_for(self, *results: BackgroundResult) -> None:
        """Return once these results, and no others, were reported."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.results) >= len(results), PATIENCE)
            assert sorted(self.results) == sorted(results)


class Rollout:
    """A verifier whose budget is used up, on a clock that stands until its gate is opened.

    Attributes:
        environment: the verifier, and its registry.
        background: what is reported.
        policies: the policies in force.
    """

    def __init__(self, environment: VerifierEnvironment, clock: GatedClock, background: Background) -> None:
        self.environment = environment
        self.background = background
        self.policies: PolicySet | None = RELEASE
        self.clock = clock
        self._digests: dict[str, Digest] = {}
        assert self.ask("first").verdict is Verdict.ADMIT

    def ask(self, tag: str, **review: object) -> ImageVerdict:
        """Return the verdict on a signed image of this tag, in a review that cannot wait for a slot."""
        image = self.image(tag)
        return self.environment.verify(image, seconds=0.5, current_policies=lambda: self.policies, **review)[0]

    def image(self, tag: str) -> str:
        """Return the reference of a signed image by digest."""
        if tag not in self._digests:
            self._digests[tag] = self.environment.push_signed(tag)
        return f"{self.environment.registry.host}/{REPOSITORY}@{self._digests[tag]}"

    def refuse(self, *tags: str, **review: object) -> None:
        """Have images refused for the budget."""
        for tag in tags:
            assert self.ask(tag, **review).reason is Reason.RATE_LIMITED

    def open(self) -> None:
        """Let time pass, as fast as slots are waited for."""
        self.clock.gate.set()

    @property
    def requests(self) -> int:
        return len(self.environment.registry.requests)


@contextmanager
def open_rollout() -> Iterator[Rollout]:
    clock, background = GatedClock(), Background()
    with VerifierEnvironment(LIMITS, clock, background) as environment:
        try:
            yield Rollout(environment, clock, background)
        finally:
            clock.gate.set()


@pytest.fixture
def rollout() -> Iterator[Rollout]:
    with open_rollout() as rollout:
        yield rollout


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; fail after a timeout."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_retry_finds_the_verdict_in_memory(rollout: Rollout) -> None:
    rollout.refuse("a", "b", "c")
    assert rollout.background.waiting == 3
    before = rollout.clock.monotonic()
    rollout.open()
    rollout.background.wait_for("done", "done", "done")
    assert rollout.background.waiting == 0
    assert rollout.clock.monotonic() - before >= 3
    requests = rollout.requests
    assert [rollout.ask(tag).verdict for tag in "abc"] == [Verdict.ADMIT] * 3
    assert rollout.requests == requests


def test_image_that_is_refused_often_waits_once(rollout: Rollout) -> None:
    rollout.refuse("a", "a", "a")
    assert rollout.background.waiting == 1


def test_request_that_is_not_repeated_leaves_nothing_behind(rollout: Rollout) -> None:
    image = rollout.image("a")
    assert rollout.environment.verify(image, seconds=0.5)[0].reason is Reason.RATE_LIMITED
    assert rollout.background.waiting == 0


def test_refusal_of_an_unsigned_image_is_cached_as_that_of_a_review(rollout: Rollout) -> None:
    unsigned = f"{rollout.environment.registry.host}/{REPOSITORY}@sha256:{1:064x}"
    review = {"seconds": 0.5, "current_policies": lambda: RELEASE}
    assert rollout.environment.verify(unsigned, **review)[0].reason is Reason.RATE_LIMITED
    rollout.open()
    rollout.background.wait_for("done")
    verdict = rollout.environment.verify(unsigned, **review)[0]
    assert (verdict.verdict, verdict.reason) == (Verdict.DENY, Reason.NO_SIGNATURE)


def test_review_that_verifies_first_leaves_nothing_to_do(rollout: Rollout) -> None:
    rollout.refuse("a")
    rollout.clock.advance(1)
    assert rollout.ask("a").verdict is Verdict.ADMIT
    requests = rollout.requests
    rollout.open()
    rollout.background.wait_for("known")
    assert rollout.requests == requests


def test_review_joins_the_verification_in_the_background(rollout: Rollout) -> None:
    rollout.refuse("a")
    release = threading.Event()
    fault = rollout.environment.registry.faults.wait_for("/v2/", release)
    try:
        rollout.open()
        assert fault.hit.wait(PATIENCE)
        requests = rollout.requests
        with ThreadPoolExecutor(1) as pool:
            joined = pool.submit(rollout.environment.verify, rollout.image("a"), seconds=PATIENCE)
            wait_until(lambda: bool(rollout.environment.verifier._context.wait_slots._requests))
            release.set()
            assert joined.result(PATIENCE)[0].verdict is Verdict.ADMIT
    finally:
        release.set()
    rollout.background.wait_for("done")
    # The rest of one verification: the payload of the signature.
    assert rollout.requests - requests <= 1


def test_policies_in_force_decide_what_is_verified(rollout: Rollout) -> None:
    rollout.refuse("a")
    rollout.policies = policy_set([authenticator_model("release", STRANGER)], [policy_model("production")])
    rollout.open()
    rollout.background.wait_for("done")
    assert rollout.ask("a", policies=rollout.policies).reason is Reason.INVALID_SIGNATURE


@pytest.mark.parametrize(
    "policies",
    [
        None,
        policy_set([], []),
        policy_set([authenticator_model("release", STRANGER)], []),
        policy_set([], [policy_model("production")]),
        policy_set([authenticator_model("release", STRANGER)], [policy_model("production", "docker.io/other/**")]),
    ],
    ids=["none yet", "none", "without a policy", "without the authenticator", "of another repository"],
)
def test_image_that_no_policy_asks_about_any_more_is_not_verified(rollout: Rollout, policies: PolicySet | None) -> None:
    rollout.refuse("a")
    rollout.policies = policies
    requests = rollout.requests
    rollout.open()
    rollout.background.wait_for("obsolete")
    assert rollout.requests == requests


def test_verification_without_a_result_is_not_repeated(rollout: Rollout) -> None:
    rollout.refuse("a")
    rollout.environment.registry.faults.status("/v2/", 500)
    rollout.open()
    rollout.background.wait_for("unavailable")
    assert rollout.background.waiting == 0


def test_image_still_queued_at_the_deadline_is_verified_later(rollout: Rollout) -> None:
    registry = rollout.environment.registry
    release = threading.Event()
    registry.faults.wait_for("/v2/", release)
    context = rollout.environment.verifier._context
    try:
        with ThreadPoolExecutor(1) as pool:
            review = {"seconds": 1.5, "current_policies": lambda: RELEASE}
            queued = pool.submit(rollout.environment.verify, rollout.image("a"), **review)
            wait_until(lambda: len(context.workers._queue) == 1)
            # Its slot comes before its deadline, but no time passes until then.
            context.workers.pause(registry.host, 3.0)
            assert queued.result(PATIENCE)[0].reason is Reason.RATE_LIMITED
        assert rollout.background.waiting == 1
    finally:
        release.set()


def test_shutdown_drops_what_waits_and_its_credentials(rollout: Rollout) -> None:
    credentials = NoCredentials()
    gone = weakref.ref(credentials)
    rollout.refuse("a", credentials=credentials)
    del credentials
    assert gone() is not None
    rollout.environment.verifier.close()
    rollout.background.wait_for("closed")
    # A thread may be about to let go of them.
    wait_until(lambda: gone() is None)
