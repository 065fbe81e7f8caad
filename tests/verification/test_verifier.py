from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sealgate.api.v1alpha1.authenticator import AuthenticatorSpec
from sealgate.findings import Outcome
from sealgate.policies.decisions import UnmatchedImages, Verdict
from sealgate.policies.matching import Namespace
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.tag_resolution import Resolved
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.clocks import FakeClock, GatedClock
from tests.support.environments.registry_clients import login
from tests.support.environments.verifier import KEY, PATIENCE, REPOSITORY, STRANGER, VerifierEnvironment, policy_set
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import fingerprint
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.findings import Finding


@pytest.fixture
def environment() -> Iterator[VerifierEnvironment]:
    with VerifierEnvironment() as environment:
        yield environment


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; fail after a timeout."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_signed_image_is_admitted_with_its_digest(environment: VerifierEnvironment) -> None:
    digest = environment.push_signed()
    (verdict,) = environment.verify(environment.image())
    assert verdict.verdict is Verdict.ADMIT
    assert verdict.subject == digest
    (finding,) = verdict.policies[0].findings
    assert finding.outcome is Outcome.VERIFIED
    assert finding.fingerprints == (fingerprint(KEY),)


def test_unsigned_and_wrongly_signed_images_are_denied_with_reasons(
    environment: VerifierEnvironment,
) -> None:
    environment.registry.push_image(REPOSITORY, "unsigned")
    environment.push_signed("stranger", STRANGER)
    unsigned, stranger = environment.verify(environment.image("unsigned"), environment.image("stranger"))
    assert (unsigned.verdict, unsigned.reason) == (Verdict.DENY, Reason.NO_SIGNATURE)
    assert stranger.verdict is Verdict.DENY
    assert stranger.policies[0].findings[0].signatures


def test_verdicts_are_ordered_and_equal_images_verified_once(
    environment: VerifierEnvironment,
) -> None:
    environment.push_signed("good")
    environment.registry.push_image(REPOSITORY, "bad")
    good, bad = environment.image("good"), environment.image("bad")
    verdicts = environment.verify(good, bad, good, bad, good)
    assert [v.verdict for v in verdicts] == [Verdict.ADMIT, Verdict.DENY] * 2 + [Verdict.ADMIT]
    assert environment.registry.paths.count(f"/v2/{REPOSITORY}/manifests/good") == 1


def test_signed_image_takes_three_requests_by_tag_and_two_by_digest(environment: VerifierEnvironment) -> None:
    digest = environment.push_signed()
    environment.verify(environment.image())
    assert len(environment.registry.paths) == 3
    other = environment.push_signed("v2")
    before = len(environment.registry.paths)
    (verdict,) = environment.verify(f"{environment.registry.host}/{REPOSITORY}@{other}")
    assert verdict.verdict is Verdict.ADMIT
    assert len(environment.registry.paths) - before == 2
    assert digest != other


def test_cached_verdict_takes_no_request(environment: VerifierEnvironment) -> None:
    environment.push_signed()
    environment.verify(environment.image())
    before = len(environment.registry.paths)
    for _ in range(5):
        (verdict,) = environment.verify(environment.image())
        assert verdict.verdict is Verdict.ADMIT
    assert len(environment.registry.paths) == before


def test_unmatched_image_needs_no_request(
    environment: VerifierEnvironment,
) -> None:
    policies = policy_set([], [], UnmatchedImages.DENY)
    (verdict,) = environment.verify(environment.image("whatever"), policies=policies)
    assert (verdict.verdict, verdict.reason) == (Verdict.DENY, Reason.NO_POLICY_MATCHES)
    assert environment.registry.paths == []


def test_an_invalid_reference_is_denied_without_any_request(environment: VerifierEnvironment) -> None:
    (verdict,) = environment.verify("Not An Image")
    assert (verdict.verdict, verdict.reason) == (Verdict.DENY, Reason.INVALID_REFERENCE)
    assert environment.registry.paths == []


def test_missing_image_is_unavailable(environment: VerifierEnvironment) -> None:
    (verdict,) = environment.verify(environment.image("absent"))
    assert (verdict.verdict, verdict.reason) == (Verdict.UNAVAILABLE, Reason.IMAGE_NOT_FOUND)


def test_policy_with_a_missing_authenticator_admits_nothing(
    environment: VerifierEnvironment,
) -> None:
    environment.push_signed()
    policies = policy_set(
        [authenticator_model("release", KEY)],
        [policy_model("production", authenticators=["release", "absent"], count=2)],
    )
    (verdict,) = environment.verify(environment.image(), policies=policies)
    assert verdict.verdict is Verdict.UNAVAILABLE
    assert "there is no Authenticator named absent" in verdict.message


def test_unusable_authenticator_admits_nothing_and_gives_the_reason(environment: VerifierEnvironment) -> None:
    environment.push_signed()
    spec = {"cosign": {"keys": [{"pem": "rubbish"}]}}
    broken = authenticator_model("broken", KEY).model_copy(update={"spec": AuthenticatorSpec.model_validate(spec)})
    policies = policy_set(
        [broken, authenticator_model("release", KEY)], [policy_model("a", authenticators=["broken"]), policy_model("b")]
    )
    (verdict,) = environment.verify(environment.image(), policies=policies)
    assert verdict.verdict is Verdict.UNAVAILABLE
    assert [result.met for result in verdict.policies] == [False, True]
    assert verdict.policies[0].findings[0].reason is Reason.AUTHENTICATOR_NOT_READY


def test_two_authenticators_need_two_different_keys(environment: VerifierEnvironment) -> None:
    environment.push_signed()
    both = policy_set(
        [authenticator_model("one", KEY), authenticator_model("two", KEY, STRANGER)],
        [policy_model("two-signers", authenticators=["one", "two"])],
    )
    (verdict,) = environment.verify(environment.image(), policies=both)
    assert verdict.verdict is Verdict.DENY
    assert (verdict.policies[0].satisfied, verdict.policies[0].required) == (1, 2)
    digest = environment.registry.push_image(REPOSITORY, "by-two")
    push_classic(environment.registry, REPOSITORY, Classic(digest, KEY), Classic(digest, STRANGER))
    (verdict,) = environment.verify(environment.image("by-two"), policies=both)
    assert verdict.verdict is Verdict.ADMIT


def test_namespace_labels_choose_the_policies(environment: VerifierEnvironment) -> None:
    environment.registry.push_image(REPOSITORY, "v1")
    policies = policy_set(
        [authenticator_model("release", KEY)],
        [policy_model("production", namespaceSelector={"matchLabels": {"env": "production"}})],
    )
    (inside,) = environment.verify(
        environment.image(), policies=policies, namespace=Namespace("shop", {"env": "production"})
    )
    (outside,) = environment.verify(environment.image(), policies=policies, namespace=Namespace("lab", {"env": "lab"}))
    assert (inside.verdict, outside.verdict) == (Verdict.DENY, Verdict.ADMIT)


def test_silent_registry_is_unavailable_at_the_deadline(environment: VerifierEnvironment) -> None:
    environment.registry.push_image(REPOSITORY, "v1")
    environment.registry.faults.hang("/v2/")
    (verdict,) = environment.verify(environment.image(), seconds=0.3)
    assert (verdict.verdict, verdict.reason) == (Verdict.UNAVAILABLE, Reason.DEADLINE_EXCEEDED)


class Verified(NullObserver):
    """Reports when a subject was verified."""

    def __init__(self) -> None:
        self.seen = threading.Event()

    def verification(self, finding: Finding, seconds: float) -> None:
        del finding, seconds
        self.seen.set()


def test_slow_image_does_not_delay_the_others_of_its_request() -> None:
    clock, verified = FakeClock(), Verified()
    with ThreadPoolExecutor(1) as pool, VerifierEnvironment(clock=clock, observer=verified) as environment:
        environment.push_signed("quick")
        environment.push_signed("slow")
        environment.registry.faults.hang("/manifests/slow")
        asked = pool.submit(environment.verify, environment.image("slow"), environment.image("quick"), seconds=10)
        assert verified.seen.wait(PATIENCE)
        # The review has the quick finding once it waits only for the slow one.
        waiters = environment.verifier._context.wait_slots._waiters
        wait_until(lambda: waiters.get(environment.registry.host) == 1)
        clock.advance(11)
        slow, quick = asked.result(PATIENCE)
    assert slow.reason is Reason.DEADLINE_EXCEEDED
    assert quick.verdict is Verdict.ADMIT


@pytest.mark.parametrize("way", ["verify", "resolve"])
def test_waiters_of_a_silent_host_are_answered_before_their_deadline(way: str) -> None:
    clock = FakeClock()
    # The registry is closed first, which ends the waits.
    with (
        ThreadPoolExecutor(10) as pool,
        VerifierEnvironment(VerifierSettings(max_waiters=3, unresponsive_after=5), clock) as environment,
    ):
        fault = environment.registry.faults.hang("/v2/")

        def ask(number: int) -> Reason:
            image = environment.image(f"v{number}")
            if way == "verify":
                return environment.verify(image)[0].reason
            found = environment.verifier.resolve([parse_reference(image)], environment.review())
            return Reason.VERIFIED if found else Reason.REGISTRY_UNAVAILABLE

        asked = [pool.submit(ask, number) for number in range(10)]
        assert fault.hit.wait(PATIENCE)
        waiters = environment.verifier._context.wait_slots._waiters
        wait_until(lambda: waiters.get(environment.registry.host) == 10)
        clock.advance(5.1)
        wait_until(lambda: sum(one.done() for one in asked) == 7)
        assert waiters[environment.registry.host] == 3
        # Requests for another host are not affected, and no other waiter is refused.
        assert environment.verify("localhost:1/team/app:v1", seconds=5)[0].reason is Reason.REGISTRY_UNAVAILABLE
        assert sum(one.done() for one in asked) == 7
        assert {one.result() for one in asked if one.done()} == {Reason.REGISTRY_UNAVAILABLE}


def test_requests_that_fail_unexpectedly_release_their_wait_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    clock = FakeClock()
    with VerifierEnvironment(VerifierSettings(max_waiters=3, unresponsive_after=5), clock) as environment:
        environment.push_signed("later")
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            for number in range(3):
                with pytest.raises(RuntimeError):
                    environment.verify(environment.image(f"v{number}"))
        clock.advance(60)
        assert environment.verify(environment.image("later"))[0].verdict is Verdict.ADMIT


def test_work_runs_on_after_the_deadline_for_the_next_request() -> None:
    clock, let_go = FakeClock(), threading.Event()
    with ThreadPoolExecutor(1) as pool, VerifierEnvironment(clock=clock) as environment:
        environment.push_signed()
        fault = environment.registry.faults.wait_for("/blobs/", let_go)
        asked = pool.submit(environment.verify, environment.image(), seconds=10)
        assert fault.hit.wait(PATIENCE)
        clock.advance(11)
        (late,) = asked.result(PATIENCE)
        assert late.verdict is Verdict.UNAVAILABLE
        let_go.set()
        (verdict,) = environment.verify(environment.image())
        assert verdict.verdict is Verdict.ADMIT
        assert len(environment.registry.paths) == 3


def test_moved_tag_is_another_subject_once_it_is_resolved_again() -> None:
    clock = FakeClock()
    with VerifierEnvironment(clock=clock) as environment:
        environment.push_signed()
        assert environment.verify(environment.image())[0].verdict is Verdict.ADMIT
        moved = environment.registry.push_image(REPOSITORY, "other")
        environment.registry.tag(REPOSITORY, "v1", moved)
        clock.advance(VerifierSettings().tag_seconds)
        (verdict,) = environment.verify(environment.image())
        assert (verdict.verdict, verdict.subject) == (Verdict.DENY, moved)


def test_image_signed_after_a_refusal_is_admitted_once_it_expires() -> None:
    clock = FakeClock()
    with VerifierEnvironment(clock=clock) as environment:
        digest = environment.registry.push_image(REPOSITORY, "v1")
        image = f"{environment.registry.host}/{REPOSITORY}@{digest}"
        assert environment.verify(image)[0].verdict is Verdict.DENY
        push_classic(environment.registry, REPOSITORY, Classic(digest, KEY))
        assert environment.verify(image)[0].verdict is Verdict.DENY
        clock.advance(VerifierSettings().refused_seconds)
        assert environment.verify(image)[0].verdict is Verdict.ADMIT


def test_exhausted_budget_is_answered_with_when_to_retry() -> None:
    clock = FakeClock()
    with VerifierEnvironment(VerifierSettings(verifications_per_minute=1, burst=1), clock) as environment:
        environment.push_signed("v1")
        environment.push_signed("v2")
        assert environment.verify(environment.image("v1"), seconds=10)[0].verdict is Verdict.ADMIT
        (second,) = environment.verify(environment.image("v2"), seconds=10)
        assert (second.verdict, second.reason) == (Verdict.UNAVAILABLE, Reason.RATE_LIMITED)
        assert "retry in 60 s" in second.message
        clock.advance(60)
        assert environment.verify(environment.image("v2"))[0].verdict is Verdict.ADMIT


def test_budget_that_is_free_before_the_deadline_is_waited_for() -> None:
    clock = FakeClock()
    with VerifierEnvironment(VerifierSettings(verifications_per_minute=60, burst=1), clock) as environment:
        environment.push_signed("v1")
        environment.push_signed("v2")
        verdicts = environment.verify(environment.image("v1"), environment.image("v2"), seconds=20)
        assert [v.verdict for v in verdicts] == [Verdict.ADMIT, Verdict.ADMIT]
        assert sum(clock.slept) == pytest.approx(1.0)


def test_pause_of_a_registry_holds_all_work_for_it_and_is_answered_at_once() -> None:
    clock = GatedClock()
    with ThreadPoolExecutor(1) as pool, VerifierEnvironment(clock=clock) as environment:
        environment.push_signed("v1")
        environment.push_signed("v2")
        environment.registry.faults.rate_limit("/manifests/v1", "20")
        first = pool.submit(environment.verify, environment.image("v1"), seconds=60)
        hosts = environment.verifier._context.workers._queue.hosts
        wait_until(lambda: hosts.pace(environment.registry.host).paused_until == 20)
        (refused,) = environment.verify(environment.image("v2"), seconds=10)
        assert (refused.verdict, refused.reason) == (Verdict.UNAVAILABLE, Reason.RATE_LIMITED)
        assert "limits its rate; retry in 20 s" in refused.message
        assert len(environment.registry.requests) == 1
        clock.gate.set()
        assert first.result(PATIENCE)[0].verdict is Verdict.ADMIT
        assert clock.monotonic() >= 20


def test_refusal_without_access_is_not_used_for_callers_with_access(environment: VerifierEnvironment) -> None:
    environment.push_signed()
    environment.registry.auth = Auth(mode="bearer", anonymous=True, users={"member": "secret"})
    environment.registry.faults.status(r"\.sig", 404)  # how some registries answer who may not see a repository
    (stranger,) = environment.verify(environment.image())
    assert (stranger.verdict, stranger.reason) == (Verdict.DENY, Reason.NO_SIGNATURE)
    environment.registry.faults.clear()
    (member,) = environment.verify(environment.image(), credentials=login(environment.registry, "member", "secret"))
    assert member.verdict is Verdict.ADMIT


def test_anonymous_caller_joins_no_call_of_callers_with_credentials(environment: VerifierEnvironment) -> None:
    digest = environment.push_signed()
    image = f"{environment.registry.host}/{REPOSITORY}@{digest}"
    environment.registry.auth = Auth(mode="basic", users={"member": "secret"})
    (stranger,) = environment.verify(image)
    (member,) = environment.verify(image, credentials=login(environment.registry, "member", "secret"))
    assert (stranger.verdict, stranger.reason) == (Verdict.UNAVAILABLE, Reason.REGISTRY_UNAUTHORIZED)
    assert member.verdict is Verdict.ADMIT


def test_simultaneous_requests_share_one_verification(environment: VerifierEnvironment) -> None:
    environment.push_signed()
    with ThreadPoolExecutor(64) as pool:
        verdicts = list(pool.map(lambda _: environment.verify(environment.image())[0].verdict, range(300)))
    assert verdicts == [Verdict.ADMIT] * 300
    assert len(environment.registry.paths) == 3


def test_resolving_returns_the_digests_found_in_time() -> None:
    clock = FakeClock()
    with ThreadPoolExecutor(1) as pool, VerifierEnvironment(clock=clock) as environment:
        digest = environment.push_signed()
        environment.registry.faults.hang("/manifests/slow")
        references = [parse_reference(environment.image(tag)) for tag in ("slow", "absent", "v1", "v1")]
        asked = pool.submit(environment.verifier.resolve, references, environment.review(seconds=10))
        context = environment.verifier._context
        wait_until(lambda: len(context.answers) == 1)
        wait_until(lambda: context.wait_slots._waiters.get(environment.registry.host) == 1)
        clock.advance(11)
        assert asked.result(PATIENCE) == {references[-1]: Resolved(digest)}
        # From the cache now: neither the clock nor the registry is needed.
        requests = len(environment.registry.requests)
        assert environment.verifier.resolve(references[-1:], environment.review()) == {references[-1]: Resolved(digest)}
        assert len(environment.registry.requests) == requests


def test_all_references_are_resolved_at_the_same_time(environment: VerifierEnvironment) -> None:
    tags = [f"v{number}" for number in range(30)]
    references = [parse_reference(environment.image(tag)) for tag in tags]
    for tag in tags:
        environment.push_signed(tag)
    # A host that has responded gets more than a few workers.
    environment.verifier.resolve(references[:1], environment.review())
    environment.registry.requests.clear()
    release = threading.Event()
    environment.registry.faults.wait_for("/manifests/v", release)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(environment.verifier.resolve, references, environment.review())
        wait_until(lambda: len(environment.registry.requests) == 29)
        release.set()
        assert set(asked.result(PATIENCE)) == set(references)


def test_registry_named_only_by_an_authenticator_is_literal() -> None:
    signatures = authenticator_model("release", KEY, signatureRepository="10.0.0.5:5000/signatures")
    policies = policy_set([signatures], [policy_model("production", "registry.example.org/**")])
    assert policies.literal_hosts == {"10.0.0.5:5000", "registry.example.org"}
