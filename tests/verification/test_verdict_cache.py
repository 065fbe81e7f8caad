"""Cached verdicts equal freshly computed ones."""

from __future__ import annotations

import copy
import gc
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.policies.decisions import UnmatchedImages, Verdict
from sealgate.policies.matching import Namespace
from sealgate.reasons import Reason
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import MEBIBYTE, VerifierSettings
from sealgate.verification.verdict_cache import VerdictCache
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import login
from tests.support.environments.verifier import KEY, RELEASE, REPOSITORY, STRANGER, VerifierEnvironment, policy_set
from tests.support.examples import examples
from tests.support.signers.cosign import Classic, push_classic
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.references import Digest
    from sealgate.verification.observers import CacheKind

SETTINGS = VerifierSettings(tag_seconds=30, refused_seconds=60, verified_seconds=600, verifications_per_minute=1e9)


class Counting(NullObserver):
    """Counts hits and misses of verdicts."""

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0

    def cache_hit(self, kind: CacheKind) -> None:
        self.hits += kind == "verdict"

    def cache_miss(self, kind: CacheKind) -> None:
        self.misses += kind == "verdict"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def observer() -> Counting:
    return Counting()


@pytest.fixture
def environment(clock: FakeClock, observer: Counting) -> Iterator[VerifierEnvironment]:
    with VerifierEnvironment(SETTINGS, clock, observer) as environment:
        yield environment


def by_digest(environment: VerifierEnvironment, digest: Digest) -> str:
    return f"{environment.registry.host}/{REPOSITORY}@{digest}"


def test_verdict_of_cached_parts_is_cached(environment: VerifierEnvironment, observer: Counting) -> None:
    environment.push_signed()
    answers = [environment.verify(environment.image()) for _ in range(4)]
    assert answers == answers[:1] * 4
    # The first requested its parts, the second found them in caches, the others found the verdict.
    assert (observer.misses, observer.hits) == (2, 2)


def test_cached_and_new_verdicts_keep_the_order_of_images(
    environment: VerifierEnvironment,
) -> None:
    environment.push_signed("good")
    environment.registry.push_image(REPOSITORY, "bad")
    good, bad = environment.image("good"), environment.image("bad")
    for _ in range(2):
        environment.verify(good)
    for _ in range(3):
        answers = environment.verify(bad, good, bad)
        assert [answer.verdict for answer in answers] == [Verdict.DENY, Verdict.ADMIT, Verdict.DENY]
        assert [answer.image for answer in answers] == [bad, good, bad]


def test_verdict_expires_with_the_digest_of_its_tag(environment: VerifierEnvironment, clock: FakeClock) -> None:
    environment.push_signed()
    environment.verify(environment.image())
    # Cached late in the TTL of the tag, which does not extend it.
    clock.advance(29)
    for _ in range(2):
        assert environment.verify(environment.image())[0].verdict is Verdict.ADMIT
    environment.registry.tag(REPOSITORY, "v1", environment.registry.push_image(REPOSITORY, "unsigned"))
    clock.advance(0.999)
    assert environment.verify(environment.image())[0].verdict is Verdict.ADMIT
    clock.advance(0.001)
    assert environment.verify(environment.image())[0].verdict is Verdict.DENY


def test_verdict_expires_with_its_finding(environment: VerifierEnvironment, clock: FakeClock) -> None:
    digest = environment.push_signed()
    image = by_digest(environment, digest)
    environment.verify(image)
    clock.advance(599)
    for _ in range(2):
        assert environment.verify(image)[0].verdict is Verdict.ADMIT
    environment.registry.delete(REPOSITORY, digest.replace(":", "-") + ".sig")
    clock.advance(1)
    assert environment.verify(image)[0].verdict is Verdict.DENY


def test_verdict_expires_with_its_first_finding(environment: VerifierEnvironment, clock: FakeClock) -> None:
    digest = environment.push_signed()
    image = by_digest(environment, digest)
    policies = policy_set(
        [authenticator_model("release", KEY), authenticator_model("security", STRANGER)],
        [policy_model("either", authenticators=["release", "security"], count=1)],
    )
    for _ in range(3):
        (verdict,) = environment.verify(image, policies=policies)
        assert (verdict.verdict, verdict.policies[0].satisfied) == (Verdict.ADMIT, 1)
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY), Classic(digest, STRANGER))
    clock.advance(59.999)
    assert environment.verify(image, policies=policies)[0].policies[0].satisfied == 1
    clock.advance(0.001)
    assert environment.verify(image, policies=policies)[0].policies[0].satisfied == 2


def test_verdict_expires_with_its_partial_finding(environment: VerifierEnvironment, clock: FakeClock) -> None:
    digest = environment.registry.push_image(REPOSITORY, "v1")
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY), Classic(digest, STRANGER))
    image = by_digest(environment, digest)
    one = policy_set([authenticator_model("release", KEY, STRANGER)], [policy_model("production")])
    environment.registry.faults.status("/blobs/", 503, times=1)
    for _ in range(3):
        (verdict,) = environment.verify(image, policies=one)
        assert verdict.verdict is Verdict.ADMIT
        assert verdict.policies[0].findings[0].partial
    environment.registry.faults.clear()
    clock.advance(60)
    (verdict,) = environment.verify(image, policies=one)
    assert len(verdict.policies[0].findings[0].fingerprints) == 2


def test_changed_policies_take_effect_immediately(
    environment: VerifierEnvironment,
) -> None:
    environment.push_signed()
    stranger = policy_set([authenticator_model("release", STRANGER)], [policy_model("production")])
    warn = policy_set([authenticator_model("release", STRANGER)], [policy_model("production", action="Warn")])
    none_match, unmatched = policy_set([], []), policy_set([], [], UnmatchedImages.DENY)
    expected = {
        Verdict.ADMIT: [RELEASE, none_match],
        Verdict.DENY: [stranger, unmatched],
        Verdict.WARN: [warn],
    }
    for _ in range(3):
        for verdict, sets in expected.items():
            for policies in sets:
                for _ in range(3):
                    assert environment.verify(environment.image(), policies=policies)[0].verdict is verdict


def test_changed_namespace_labels_take_effect_immediately(environment: VerifierEnvironment) -> None:
    environment.registry.push_image(REPOSITORY, "v1")
    policies = policy_set(
        [authenticator_model("release", KEY)],
        [policy_model("production", namespaceSelector={"matchLabels": {"env": "production"}})],
    )
    expected = {"lab": Verdict.ADMIT, "production": Verdict.DENY, "": Verdict.ADMIT}
    for _ in range(3):
        for env, verdict in expected.items():
            namespace = Namespace("shop", {"env": env})
            assert environment.verify(environment.image(), policies=policies, namespace=namespace)[0].verdict is verdict


def test_namespaces_with_equal_labels_share_no_verdict(environment: VerifierEnvironment) -> None:
    environment.registry.push_image(REPOSITORY, "v1")
    named = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop"]}]}
    policies = policy_set([authenticator_model("release", KEY)], [policy_model("shop", namespaceSelector=named)])
    for _ in range(3):
        assert (
            environment.verify(environment.image(), policies=policies, namespace=Namespace("lab"))[0].verdict
            is Verdict.ADMIT
        )
        assert (
            environment.verify(environment.image(), policies=policies, namespace=Namespace("shop"))[0].verdict
            is Verdict.DENY
        )


def test_refusal_of_one_user_is_not_used_for_another(environment: VerifierEnvironment) -> None:
    environment.push_signed()
    environment.registry.auth = Auth(mode="basic", users={"stranger": "secret", "member": "secret"})
    stranger, member = (login(environment.registry, name, "secret") for name in ("stranger", "member"))
    environment.registry.faults.status(r"\.sig", 404)
    for _ in range(3):
        assert environment.verify(environment.image(), credentials=stranger)[0].verdict is Verdict.DENY
    environment.registry.faults.clear()
    assert environment.verify(environment.image(), credentials=member)[0].verdict is Verdict.ADMIT
    assert environment.verify(environment.image(), credentials=stranger)[0].verdict is Verdict.DENY


def test_verdict_is_shared_between_equal_credentials_only(environment: VerifierEnvironment, observer: Counting) -> None:
    environment.push_signed()
    environment.registry.auth = Auth(mode="basic", users={"robot": "secret"})
    for _ in range(4):
        robot = login(environment.registry, "robot", "secret")
        assert environment.verify(environment.image(), credentials=robot)[0].verdict is Verdict.ADMIT
    assert (observer.misses, observer.hits) == (2, 2)
    for _ in range(4):
        (verdict,) = environment.verify(environment.image())
        assert (verdict.verdict, verdict.subject) == (Verdict.UNAVAILABLE, None)
    assert observer.hits == 2


def test_unavailable_verdict_is_not_cached(environment: VerifierEnvironment, observer: Counting) -> None:
    environment.push_signed()
    policies = policy_set(
        [authenticator_model("release", KEY)], [policy_model("both", authenticators=["release", "absent"], count=2)]
    )
    for _ in range(3):
        assert environment.verify(environment.image(), policies=policies)[0].verdict is Verdict.UNAVAILABLE
    environment.registry.faults.status("/v2/", 503)
    for _ in range(3):
        assert environment.verify(environment.image("v2"))[0].verdict is Verdict.UNAVAILABLE
    environment.registry.faults.clear()
    environment.push_signed("v2")
    assert environment.verify(environment.image("v2"))[0].verdict is Verdict.ADMIT
    assert observer.hits == 0


def test_invalid_reference_is_not_cached(environment: VerifierEnvironment, observer: Counting) -> None:
    for _ in range(3):
        assert environment.verify("Not An Image")[0].reason is Reason.INVALID_REFERENCE
    assert observer.hits == 0


def test_ttl_of_zero_caches_nothing(clock: FakeClock) -> None:
    observer = Counting()
    with VerifierEnvironment(
        VerifierSettings(tag_seconds=0, refused_seconds=0, verified_seconds=0), clock, observer
    ) as environment:
        environment.push_signed()
        for _ in range(3):
            assert environment.verify(environment.image())[0].verdict is Verdict.ADMIT
        assert observer.hits == 0


def test_verdict_cache_is_bounded(clock: FakeClock, observer: Counting) -> None:
    with VerifierEnvironment(replace(SETTINGS, cache_bytes=40_000), clock, observer) as environment:
        none_match = policy_set([], [])
        for number in range(95):
            environment.verify(environment.image(f"random-{number}"), policies=none_match)
        usage = environment.verifier.cache_usage()["verdicts"]
        assert usage.size <= 10_000
        assert usage.entries + usage.evicted == 95
        environment.verify(environment.image("random-94"), policies=none_match)
        assert observer.hits == 1


def test_full_verdict_cache_drops_the_namespace_with_most(clock: FakeClock, observer: Counting) -> None:
    with VerifierEnvironment(replace(SETTINGS, cache_bytes=40_000), clock, observer) as environment:
        none_match = policy_set([], [])
        environment.verify(environment.image(), policies=none_match, namespace=Namespace("shop"))
        for number in range(95):
            image = environment.image(f"random-{number}")
            environment.verify(image, policies=none_match, namespace=Namespace("flood"))
        environment.verify(environment.image(), policies=none_match, namespace=Namespace("shop"))
        assert observer.hits == 1


def test_estimated_size_of_verdicts_is_near_what_they_take(environment: VerifierEnvironment) -> None:
    digest = environment.push_signed()
    images = [environment.image(f"v{number}") for number in range(200)]
    for number in range(200):
        environment.registry.tag(REPOSITORY, f"v{number}", digest)
    environment.verify(*images)
    gc.collect()
    tracemalloc.start()
    try:
        # Made of what is cached, so that they are cached too.
        environment.verify(*images)
        gc.collect()
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    usage = environment.verifier.cache_usage()["verdicts"]
    assert usage.entries == 200
    assert allocated / 1.7 <= usage.size <= allocated * 1.7, allocated / 200


ACTIONS = st.sampled_from(["ask", "ask", "move to signed", "move to unsigned", "sign", "unsign"])
STEPS = st.lists(st.tuples(ACTIONS, st.sampled_from([0.0, 0.001, 10.0, 29.999, 30.0, 60.0, 299.0, 600.0])), max_size=30)


@settings(max_examples=examples(40), deadline=None)
@given(steps=STEPS)
def test_cached_verdict_equals_a_new_one(steps: list[tuple[str, float]]) -> None:
    clock = FakeClock()
    with VerifierEnvironment(SETTINGS, clock) as environment:
        signed, other = environment.push_signed(), environment.registry.push_image(REPOSITORY, "other")
        uncached = copy.copy(environment.verifier)
        uncached._context = replace(environment.verifier._context, verdicts=VerdictCache(MEBIBYTE, clock))
        images = [environment.image(), by_digest(environment, other)]
        for action, seconds in steps:
            if action == "move to signed":
                environment.registry.tag(REPOSITORY, "v1", signed)
            elif action == "move to unsigned":
                environment.registry.tag(REPOSITORY, "v1", other)
            elif action == "sign":
                push_classic(environment.registry, REPOSITORY, Classic(other, KEY))
            elif action == "unsign":
                environment.registry.delete(REPOSITORY, other.replace(":", "-") + ".sig")
            clock.advance(seconds)
            # A copy of the policies is another set, with an empty cache.
            anew = uncached.verify(images, environment.review(policies=replace(RELEASE)))
            for _ in range(2):
                # Only the mark of a cached refusal may differ: the first call has created it.
                assert [replace(verdict, cached=None) for verdict in environment.verify(*images)] == [
                    replace(verdict, cached=None) for verdict in anew
                ]
