"""Attacks on the caches in any order of events: no verdict that a cold start refuses now, save within the TTLs.

What one caller is answered must follow from the registry as it was within the TTL of each part, under the policies of
now, with what this caller may read. `tests.support.environments.registry_history` has the rules, and is itself compared
with cold starts.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sealgate.http.pauses import DEFAULT_PAUSE
from sealgate.policies.decisions import Verdict
from sealgate.references import Digest
from sealgate.verification.settings import VerifierSettings
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.clocks import FakeClock
from tests.support.environments.registry_history import (
    NO_CACHE,
    Permitted,
    Question,
    RegistryHistory,
    Rule,
)
from tests.support.environments.replicas import Replica
from tests.support.environments.verifier import KEY, PATIENCE, STRANGER, policy_set
from tests.support.examples import examples
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from concurrent.futures import Future

    from sealgate.policies.decisions import ImageVerdict
    from sealgate.verification.policy_sets import PolicySet

LIMITS = VerifierSettings(
    tag_seconds=30, refused_seconds=60, verified_seconds=600, cache_bytes=5000, verifications_per_minute=1e9
)
#: The longest time that a response is on its way, in seconds: shorter than the timeout of a verification.
HELD_SECONDS = 20.0
RELEASE, SECURITY = authenticator_model("release", KEY), authenticator_model("security", STRANGER)
BOTH = ["release", "security"]
#: Policies in force, and what each requires. In the second, the key of an authenticator has changed.
POLICIES: list[tuple[PolicySet, Rule]] = [
    (policy_set([RELEASE], [policy_model()]), Rule(("release",), 1)),
    (policy_set([authenticator_model("release", STRANGER)], [policy_model()]), Rule(("stranger",), 1)),
    (
        policy_set([RELEASE, SECURITY], [policy_model(authenticators=BOTH, count=2)]),
        Rule(("release", "stranger"), 2),
    ),
    (
        policy_set([RELEASE, SECURITY], [policy_model(authenticators=BOTH, count=1)]),
        Rule(("release", "stranger"), 1),
    ),
    (policy_set([RELEASE], [policy_model(action="Warn")]), Rule(("release",), 1, Verdict.WARN)),
    (policy_set([RELEASE], [policy_model("other", "registry.example.org/**")]), Rule((), 0)),
]
TAGS = ("v1", "v2")
CALLERS = st.sampled_from(["robot", "member", "anonymous", "guess"])
#: A tag, or the number of an image that is named by its digest.
IMAGES = st.one_of(st.sampled_from(TAGS), st.integers(0, 1))
#: The users that may read; None for every caller.
READERS = st.sampled_from([None, {"robot"}, {"member"}, {"robot", "member"}, set()])
SECONDS = st.sampled_from([0.001, 1.0, 5.0, 15.0, 29.999, 30.0, 60.0, 299.0, 600.0])


class Waiting(NamedTuple):
    """A review that is not answered yet."""

    question: Question
    asked_at: float
    verdict: Future[ImageVerdict]


class Interleavings(RuleBasedStateMachine):
    """Two replicas and one registry, in which everything may change at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.registry = RegistrySimulator().__enter__()
        self.history = RegistryHistory(self.registry, self.clock)
        self.pool = ThreadPoolExecutor(16)
        self.failing: int | None = None
        self.gate: threading.Event | None = None
        self.hit = threading.Event()
        self.held_seconds = 0.0
        self.waiting: list[Waiting] = []
        self.replicas: list[Replica] = []

    @initialize(readers=READERS)
    def start(self, readers: set[str] | None) -> None:
        for tag in TAGS:
            self.history.push(tag)
        self.history.sign(self.history.digests[0], "release")
        self.change_readers(readers)
        # The replicas start when what was before counts no longer.
        self.clock.advance(LIMITS.verified_seconds)
        self.replicas = [self._replica() for _ in range(2)]

    def _replica(self, limits: VerifierSettings = LIMITS) -> Replica:
        return Replica(self.registry, self.clock, limits)

    # What changes ----------------------------------------------------------------------------------------------------

    @rule(tag=st.sampled_from(TAGS), number=st.sampled_from([0, 1, None]))
    def move_tag(self, tag: str, number: int | None) -> None:
        """Let a tag name another digest, or none."""
        if number is None:
            self.history.untag(tag)
        else:
            self.history.move(tag, self.history.digests[number])

    @rule(number=st.integers(0, 1), signers=st.sets(st.sampled_from(["release", "stranger"])))
    def sign(self, number: int, signers: set[str]) -> None:
        self.history.sign(self.history.digests[number], *sorted(signers))

    @rule(readers=READERS)
    def change_readers(self, readers: set[str] | None) -> None:
        """Let only some users read, or every caller."""
        if readers is None:
            self.history.open()
        else:
            self.history.admit(*sorted(readers))

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        if self.gate is not None:
            seconds = min(seconds, HELD_SECONDS - self.held_seconds)
            self.held_seconds += seconds
        self.clock.advance(seconds)

    @precondition(lambda self: self.failing is None)
    @rule(path=st.sampled_from(["/v2/", "/manifests/v", r"\.sig", "/blobs/"]), status=st.sampled_from([429, 500, 503]))
    def fail(self, path: str, status: int) -> None:
        self.failing = status
        self.registry.faults.status(path, status)

    @precondition(lambda self: self.failing is not None and self.gate is None)
    @rule()
    def recover(self) -> None:
        self.registry.faults.clear()
        if self.failing == 429:
            self.clock.advance(DEFAULT_PAUSE)
        self.failing = None

    @precondition(lambda self: self.gate is None and self.failing is None)
    @rule(path=st.sampled_from(["/manifests/v", r"\.sig", "/blobs/"]))
    def hold_response(self, path: str) -> None:
        """Let the next response to such a request arrive late: it is made now, and whatever changes follows it."""
        self.gate, self.held_seconds = threading.Event(), 0.0
        self.hit = self.registry.faults.wait_for(path, self.gate, times=1).hit
        self.history.hold()

    @precondition(lambda self: self.gate is not None)
    @rule()
    def release_response(self) -> None:
        assert self.gate is not None
        self.gate.set()
        for waiting in self.waiting:
            waiting.verdict.result(PATIENCE)
            # Its registry may have failed meanwhile.
            self._check(waiting, trouble=True)
        self.waiting.clear()
        self.gate = None
        self.history.release()
        if self.failing is None:
            self.registry.faults.clear()

    @rule(replica=st.integers(0, 1))
    def restart(self, replica: int) -> None:
        if self.gate is None:
            self.replicas[replica].close()
            self.replicas[replica] = self._replica()

    # What is asked ---------------------------------------------------------------------------------------------------

    @rule(
        replica=st.integers(0, 1),
        policies=st.sampled_from(POLICIES),
        callers=st.lists(CALLERS, min_size=1, max_size=4),
        image=IMAGES,
    )
    def ask(self, replica: int, policies: tuple[PolicySet, Rule], callers: list[str], image: str | int) -> None:
        for caller in callers:
            self._ask(replica, policies[0], self._question(policies[1], caller, image))

    @rule(replica=st.integers(0, 1), caller=CALLERS, first=st.integers(0, 1 << 200))
    def flood(self, replica: int, caller: str, first: int) -> None:
        """Ask about digests that do not exist, so that other entries are evicted."""
        for number in range(first, first + 5):
            digest = Digest(f"sha256:{number:064x}")
            self._ask(replica, POLICIES[0][0], Question(POLICIES[0][1], caller, digest=digest))

    @precondition(lambda self: self.gate is None)
    @rule(policies=st.sampled_from(POLICIES), caller=CALLERS, image=IMAGES)
    def start_cold(self, policies: tuple[PolicySet, Rule], caller: str, image: str | int) -> None:
        """Hold the model to what a webhook answers that has just been started."""
        question = self._question(policies[1], caller, image)
        cold = self._replica(NO_CACHE)
        verdict = cold.ask(policies[0], caller, _suffix(question))
        cold.close()
        permitted = self._permitted(question, self.clock.monotonic(), NO_CACHE)
        assert Permitted(verdict.verdict, verdict.subject) in permitted
        assert len(permitted) == 1 or self.failing is not None

    @precondition(lambda self: self.gate is None and self.failing is None)
    @rule(policies=st.sampled_from(POLICIES), caller=CALLERS)
    def agree(self, policies: tuple[PolicySet, Rule], caller: str) -> None:
        """Once nothing has changed for as long as any answer is cached, all replicas answer like a cold start."""
        self.clock.advance(LIMITS.verified_seconds)
        cold = self._replica(NO_CACHE)
        for image in (*TAGS, 0, 1):
            suffix = _suffix(self._question(policies[1], caller, image))
            answers = {
                (verdict.verdict, verdict.subject)
                for verdict in (replica.ask(policies[0], caller, suffix) for replica in (cold, *self.replicas))
            }
            assert len(answers) == 1
        cold.close()

    @invariant()
    def caches_are_bounded(self) -> None:
        for replica in self.replicas:
            assert sum(usage.size for usage in replica.verifier.cache_usage().values()) <= LIMITS.cache_bytes

    def teardown(self) -> None:
        if self.gate is not None:
            self.release_response()
        self.pool.shutdown()
        self.registry.__exit__(None, None, None)
        for replica in self.replicas:
            replica.close()

    def _question(self, rule: Rule, caller: str, image: str | int) -> Question:
        if isinstance(image, str):
            return Question(rule, caller, tag=image)
        return Question(rule, caller, digest=self.history.digests[image])

    def _ask(self, replica: int, policies: PolicySet, question: Question) -> None:
        """Ask a replica, and check its verdict once no held response keeps it back."""
        asked_at = self.clock.monotonic()
        verdict = self.pool.submit(self.replicas[replica].ask, policies, question.caller, _suffix(question))
        waiting = Waiting(question, asked_at, verdict)
        if self.gate is None:
            waiting.verdict.result(PATIENCE)
            self._check(waiting)
        else:
            waiting.verdict.add_done_callback(lambda _: self.hit.set())
            assert self.hit.wait(PATIENCE)
            self.waiting.append(waiting)

    def _check(self, waiting: Waiting, *, trouble: bool = False) -> None:
        verdict = waiting.verdict.result()
        permitted = self._permitted(waiting.question, waiting.asked_at, LIMITS, trouble=trouble)
        assert Permitted(verdict.verdict, verdict.subject) in permitted

    def _permitted(
        self, question: Question, since: float, ttls: VerifierSettings, *, trouble: bool = False
    ) -> set[Permitted]:
        return self.history.permitted(question, since, ttls, trouble=trouble or self.failing is not None)


def _suffix(question: Question) -> str:
    return f"@{question.digest}" if question.tag is None else f":{question.tag}"


def test_attack_27_no_order_of_events_admits_what_a_cold_start_refuses() -> None:
    run_state_machine_as_test(
        Interleavings,
        settings=settings(
            max_examples=examples(12), stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow]
        ),
    )


#: What happens to the registry, and for how long replicas may answer differently then.
CHANGES = {"move": LIMITS.tag_seconds, "sign": LIMITS.refused_seconds, "delete": LIMITS.verified_seconds}


@settings(max_examples=examples(15))
@given(
    changes=st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=4),
    asked=st.lists(st.integers(0, 1), max_size=4),
)
def test_attack_31_replicas_agree_once_the_ttl_of_a_change_has_passed(changes: list[str], asked: list[int]) -> None:
    clock = FakeClock()
    with RegistrySimulator() as registry:
        history = RegistryHistory(registry, clock)
        images = [history.push(tag) for tag in TAGS]
        history.sign(images[0], "release")
        replicas = [Replica(registry, clock, LIMITS) for _ in range(2)]
        for number, change in enumerate(changes):
            for replica in asked:
                _answers(replicas[replica : replica + 1])
            if change == "move":
                history.move("v1", images[number % 2])
            else:
                history.sign(images[0], *(["release"] if change == "sign" else []))
            for replica in reversed(asked):
                _answers(replicas[replica : replica + 1])
            clock.advance(CHANGES[change])
            cold = Replica(registry, clock, NO_CACHE)
            assert len(_answers([cold, *replicas])) == 1
            cold.close()
        for one in replicas:
            one.close()


def _answers(replicas: list[Replica]) -> set[tuple[Permitted, ...]]:
    policies, _ = POLICIES[0]
    return {
        tuple(
            Permitted(verdict.verdict, verdict.subject)
            for verdict in (replica.ask(policies, "anonymous", f":{tag}") for tag in TAGS)
        )
        for replica in replicas
    }
