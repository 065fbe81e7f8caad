"""Attacks on the caches and on error handling, through the verifier."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import DeadlineError, SealgateError, UnavailableError, VerificationError
from sealgate.policies.decisions import UnmatchedImages, Verdict
from sealgate.policies.matching import Namespace
from sealgate.reasons import Reason
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.verifier import Verifier
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.clocks import FakeClock
from tests.support.environments.verifier import KEY, REPOSITORY, STRANGER, VerifierEnvironment, policy_set
from tests.support.examples import examples
from tests.support.signers.cosign import Classic, push_classic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.clocks import Deadline
    from sealgate.http.interface import Services
    from sealgate.references import Repository
    from sealgate.registry.callers import Access
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.interface import Registry


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def environment(clock: FakeClock) -> Iterator[VerifierEnvironment]:
    with VerifierEnvironment(clock=clock) as environment:
        yield environment


# 4, 27, 29: findings are cached by digest, never by tag ---------------------------------------------------------------


def test_attack_04_moved_tag_is_denied_once_it_is_resolved_again(
    environment: VerifierEnvironment, clock: FakeClock
) -> None:
    environment.push_signed()
    assert environment.verify(environment.image())[0].verdict is Verdict.ADMIT
    environment.registry.tag(REPOSITORY, "v1", environment.registry.push_image(REPOSITORY, "unsigned"))
    clock.advance(VerifierSettings().tag_seconds)
    assert environment.verify(environment.image())[0].verdict is Verdict.DENY


def test_attack_04_verdict_names_the_verified_digest(
    environment: VerifierEnvironment,
) -> None:
    digest = environment.push_signed()
    (verdict,) = environment.verify(environment.image())
    environment.registry.tag(REPOSITORY, "v1", environment.registry.push_image(REPOSITORY, "unsigned"))
    assert verdict.subject == digest


def test_attack_27_moved_tag_never_gets_the_old_verdict(environment: VerifierEnvironment, clock: FakeClock) -> None:
    signed = environment.push_signed()
    unsigned = environment.registry.push_image(REPOSITORY, "unsigned")
    for moves in range(4):
        target = unsigned if moves % 2 else signed
        environment.registry.tag(REPOSITORY, "v1", target)
        clock.advance(VerifierSettings().tag_seconds)
        (verdict,) = environment.verify(environment.image())
        assert verdict.subject == target
        assert verdict.verdict is (Verdict.DENY if target == unsigned else Verdict.ADMIT)


def test_attack_27_a_changed_key_is_in_force_with_the_next_review(environment: VerifierEnvironment) -> None:
    environment.push_signed()
    before = policy_set([authenticator_model("release", KEY)], [policy_model("production")])
    after = policy_set([authenticator_model("release", STRANGER)], [policy_model("production")])
    assert environment.verify(environment.image(), policies=before)[0].verdict is Verdict.ADMIT
    assert environment.verify(environment.image(), policies=after)[0].verdict is Verdict.DENY


def test_attack_27_changed_option_holds_for_the_next_review(environment: VerifierEnvironment) -> None:
    environment.push_signed()
    before = policy_set([authenticator_model("release", KEY)], [policy_model("production")])
    after = policy_set(
        [authenticator_model("release", KEY, annotations={"env": "production"})], [policy_model("production")]
    )
    assert environment.verify(environment.image(), policies=before)[0].verdict is Verdict.ADMIT
    assert environment.verify(environment.image(), policies=after)[0].reason is Reason.ANNOTATION_MISMATCH


def test_attack_27_finding_serves_only_its_own_authenticator(
    environment: VerifierEnvironment,
) -> None:
    environment.push_signed()
    both = policy_set(
        [authenticator_model("release", KEY), authenticator_model("security", STRANGER)],
        [policy_model("easy"), policy_model("hard", authenticators=["security"])],
    )
    easy_only = policy_set([authenticator_model("release", KEY)], [policy_model("easy")])
    assert environment.verify(environment.image(), policies=easy_only)[0].verdict is Verdict.ADMIT
    assert environment.verify(environment.image(), policies=both)[0].verdict is Verdict.DENY


def test_attack_27_same_bytes_elsewhere_are_verified_there(environment: VerifierEnvironment) -> None:
    environment.push_signed()
    assert environment.verify(environment.image())[0].verdict is Verdict.ADMIT
    environment.registry.push_image("other/app", "v1")
    (verdict,) = environment.verify(environment.image(repository="other/app"))
    assert verdict.verdict is Verdict.DENY


def test_attack_27_a_cached_finding_admits_as_a_new_one(environment: VerifierEnvironment) -> None:
    environment.push_signed()
    first, second = (environment.verify(environment.image())[0] for _ in range(2))
    assert first == second


# 28: what could not be found out is never a verdict -----------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 401, 403])
def test_attack_28_a_transient_failure_is_not_cached(environment: VerifierEnvironment, status: int) -> None:
    environment.push_signed()
    environment.registry.faults.status("/v2/", status)
    (failed,) = environment.verify(environment.image())
    assert failed.verdict is Verdict.UNAVAILABLE
    environment.registry.faults.clear()
    assert environment.verify(environment.image())[0].verdict is Verdict.ADMIT


def test_attack_28_withdrawn_signature_expires_as_stated(environment: VerifierEnvironment, clock: FakeClock) -> None:
    digest = environment.push_signed()
    image = f"{environment.registry.host}/{REPOSITORY}@{digest}"
    assert environment.verify(image)[0].verdict is Verdict.ADMIT
    environment.registry.delete(REPOSITORY, digest.replace(":", "-") + ".sig")
    clock.advance(VerifierSettings().verified_seconds)
    assert environment.verify(image)[0].verdict is Verdict.DENY


def test_attack_29_random_names_do_not_make_memory_grow(clock: FakeClock) -> None:
    limits = VerifierSettings(cache_bytes=50_000, verifications_per_minute=1e9)
    with VerifierEnvironment(limits, clock) as environment:
        digest = environment.push_signed()
        for number in range(200):
            environment.registry.tag(REPOSITORY, f"random-{number}", digest)
            environment.verify(environment.image(f"random-{number}"))
        assert environment.verify(environment.image())[0].verdict is Verdict.ADMIT
        assert sum(usage.size for usage in environment.verifier.cache_usage().values()) <= 50_000


@pytest.mark.parametrize("flood", ["tags", "digests"])
def test_attack_29_one_namespace_evicts_nothing_of_others(clock: FakeClock, flood: str) -> None:
    limits = VerifierSettings(cache_bytes=50_000, verifications_per_minute=1e9)
    shop, evil = Namespace("shop"), Namespace("evil")
    with VerifierEnvironment(limits, clock) as environment:
        digests = [environment.push_signed(f"v{number}") for number in range(20)]
        images = [environment.image(f"v{number}") for number in range(20)]
        for image in images:
            environment.verify(image, namespace=shop)
        for number in range(200):
            environment.registry.tag(REPOSITORY, f"random-{number}", digests[0])
            made_up = f"{environment.registry.host}/{REPOSITORY}@sha256:{number:064x}"
            environment.verify(environment.image(f"random-{number}") if flood == "tags" else made_up, namespace=evil)
        assert environment.verifier.cache_usage()["answers"].evicted > 0
        requests = len(environment.registry.requests)
        assert {verdict.verdict for verdict in environment.verify(*images, namespace=shop)} == {Verdict.ADMIT}
        assert len(environment.registry.requests) == requests


# 30: a stampede is one verification ---------------------------------------------------------------------------------


def test_attack_30_three_hundred_reviews_are_one_verification(
    environment: VerifierEnvironment,
) -> None:
    environment.push_signed()
    with ThreadPoolExecutor(100) as pool:
        verdicts = list(pool.map(lambda _: environment.verify(environment.image())[0].verdict, range(300)))
    assert set(verdicts) == {Verdict.ADMIT}
    assert sorted(environment.registry.paths) == sorted(set(environment.registry.paths))
    assert len(environment.registry.paths) == 3


# 31: replicas disagree no longer than their caches last, and never about what runs ------------------------------------


def test_attack_31_replica_agrees_again_once_its_refusal_expires(
    environment: VerifierEnvironment, clock: FakeClock
) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    other = Verifier(environment.client, clock)
    assert environment.verify(environment.image())[0].verdict is Verdict.DENY
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY))
    assert other.verify((environment.image(),), environment.review())[0].verdict is Verdict.ADMIT
    clock.advance(VerifierSettings().refused_seconds)
    assert environment.verify(environment.image())[0].verdict is Verdict.ADMIT
    other.close()


def test_attack_31_pin_of_one_replica_is_what_another_verifies(
    environment: VerifierEnvironment, clock: FakeClock
) -> None:
    environment.push_signed()
    (pinned,) = environment.verify(environment.image())
    environment.registry.tag(REPOSITORY, "v1", environment.registry.push_image(REPOSITORY, "unsigned"))
    other = Verifier(environment.client, clock)
    judged = other.verify((f"{environment.image()}@{pinned.subject}", environment.image()), environment.review())
    assert [verdict.verdict for verdict in judged] == [Verdict.ADMIT, Verdict.DENY]
    assert judged[0].subject == pinned.subject
    clock.advance(VerifierSettings().tag_seconds)
    assert environment.verify(environment.image())[0].verdict is Verdict.DENY
    other.close()


# 17: no way from an error to "admit" ---------------------------------------------------------------------------------

ERRORS: list[type[BaseException]] = [
    SealgateError,
    VerificationError,
    UnavailableError,
    DeadlineError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    OSError,
    TimeoutError,
    RecursionError,
    MemoryError,
    AssertionError,
    StopIteration,
    UnicodeDecodeError,
]


def _raise(kind: type[BaseException]) -> Any:
    raise UnicodeDecodeError("utf-8", b"", 0, 1, "") if kind is UnicodeDecodeError else kind("from deep inside")


class BrokenNetwork:
    """A network that raises in one step: handing out sessions (0, 1), or at the first to third read (2 to 4)."""

    def __init__(self, network: RegistryClient, error: type[BaseException], step: int) -> None:
        self._network = network
        self._error = error
        self._step = step

    def session(self, credentials: CredentialProvider, deadline: Deadline, literal_hosts: frozenset[str]) -> Registry:
        if self._step == 0:
            _raise(self._error)
        return _BrokenSession(self._network.session(credentials, deadline, literal_hosts), self)

    def services(self, deadline: Deadline) -> Services:
        if self._step == 1:
            _raise(self._error)
        return self._network.services(deadline)

    def locations(self, repository: Repository) -> tuple[Repository, ...]:
        return self._network.locations(repository)

    def needs_credentials(self, repository: Repository) -> bool:
        return self._network.needs_credentials(repository)

    def on_pause(self, listener: Callable[[str, float], None]) -> None:
        self._network.on_pause(listener)

    def count(self) -> None:
        self._step -= 1
        if self._step == 1:
            _raise(self._error)


class _BrokenSession:
    def __init__(self, session: Registry, network: BrokenNetwork) -> None:
        self._session = session
        self._network = network

    @property
    def access(self) -> Access:
        return self._session.access

    def __getattr__(self, name: str) -> Any:
        self._network.count()
        return getattr(self._session, name)


@settings(max_examples=examples(60), deadline=None)
@given(error=st.sampled_from(ERRORS), step=st.integers(0, 4))
def test_attack_17_no_error_in_any_step_admits(error: type[BaseException], step: int) -> None:
    clock = FakeClock()
    with VerifierEnvironment(clock=clock) as environment:
        environment.push_signed()
        verifier = Verifier(BrokenNetwork(environment.client, error, step), clock)
        (verdict,) = verifier.verify([environment.image()], environment.review())
        verifier.close()
    assert verdict.verdict in (Verdict.DENY, Verdict.UNAVAILABLE)
    assert "from deep inside" not in verdict.message or issubclass(error, SealgateError)


@settings(max_examples=examples(40), deadline=None)
@given(
    actions=st.lists(st.sampled_from(["Enforce", "Warn", "Audit"]), min_size=1, max_size=4),
    signed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_attack_17_no_policy_weakens_another_in_any_order(*, actions: list[str], signed: bool, seed: int) -> None:
    policies = [policy_model(f"policy-{n}", action=action) for n, action in enumerate(actions)]
    shuffled = random.Random(seed).sample(policies, len(policies))  # noqa: S311 - it shuffles a test
    with VerifierEnvironment() as environment:
        if signed:
            environment.push_signed()
        else:
            environment.registry.push_image(REPOSITORY, "v1")
        verdicts = {
            environment.verify(environment.image(), policies=policy_set([authenticator_model("release", KEY)], order))[
                0
            ].verdict
            for order in (policies, shuffled)
        }
    worst = Verdict.DENY if "Enforce" in actions else Verdict.WARN if "Warn" in actions else Verdict.ADMIT
    assert verdicts == {Verdict.ADMIT if signed else worst}


def test_attack_17_passed_deadline_admits_nothing(
    environment: VerifierEnvironment,
) -> None:
    environment.push_signed()
    assert environment.verify(environment.image(), seconds=0)[0].verdict is Verdict.UNAVAILABLE
    assert environment.verify(environment.image(), seconds=-1)[0].verdict is Verdict.UNAVAILABLE


def test_attack_17_only_unmatched_images_need_no_signature(
    environment: VerifierEnvironment,
) -> None:
    environment.registry.push_image(REPOSITORY, "v1")
    covered = policy_set([authenticator_model("release", KEY)], [policy_model("production")], UnmatchedImages.ADMIT)
    assert environment.verify(environment.image(), policies=covered)[0].verdict is Verdict.DENY
    assert (
        environment.verify(environment.image(), policies=covered, namespace=Namespace("any"))[0].verdict is Verdict.DENY
    )


def test_attack_08_one_signature_under_two_tags_is_one_signer(environment: VerifierEnvironment) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY), Classic(digest, KEY))
    twice = policy_set(
        [authenticator_model("one", KEY), authenticator_model("two", KEY, STRANGER)],
        [policy_model("two", authenticators=["one", "two"], count=2)],
    )
    (verdict,) = environment.verify(environment.image(), policies=twice)
    assert (verdict.verdict, verdict.policies[0].satisfied) == (Verdict.DENY, 1)
