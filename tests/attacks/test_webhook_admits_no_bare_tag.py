"""At the webhook: a Pod gets in only with the digests that were verified, however `/mutate` failed to write them."""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.http.settings import HostSettings
from sealgate.registry.client import RegistryClient
from sealgate_webhook.admission.workloads import AdmissionRules
from tests.support.builders.objects import authenticator, policy
from tests.support.clocks import FakeClock
from tests.support.signers.private_keys import new_key
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.registry import RegistrySimulator
from tests.webhook.admission.test_mutate import apply, operations
from tests.webhook.environment import UNKNOWN_NAMESPACES, WebhookEnvironment
from tests.webhook.objects import GROUPS, pod, review, workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.clocks import Deadline
    from sealgate.policies.matching import Namespace
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.session import Session
    from tests.support.simulators.http_faults import Faults
    from tests.support.simulators.http_messages import Answer
    from tests.webhook.environment import ReviewAnswer

#: A moment that only a broken test waits for, seconds.
PATIENCE = 150.0


@pytest.fixture
def environment(environment: WebhookEnvironment) -> WebhookEnvironment:
    environment.rules = AdmissionRules(require_digests=True)
    return environment


def mutate(environment: WebhookEnvironment, obj: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return the object as `/mutate` leaves it."""
    operation = "UPDATE" if "oldObject" in members else "CREATE"
    return apply(operations(environment.mutate(review(obj, operation, **members))), obj)


def wait_until(condition: Callable[[], bool]) -> None:
    """Return as soon as something is so; fail when it does not come to pass."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def images(obj: dict[str, Any], containers: str = "containers") -> list[str]:
    return [container["image"] for container in obj["spec"][containers]]


def not_pinned(answer: ReviewAnswer) -> bool:
    """Return whether an answer says that an image could not be pinned, and to try again."""
    if answer.allowed:
        return False
    return answer.code == 503 and "could not be pinned" in answer.message and "try again" in answer.message


@pytest.mark.parametrize(
    "break_registry",
    [
        pytest.param(lambda faults: faults.status("/manifests/v1", 503), id="503"),
        pytest.param(lambda faults: faults.status("/manifests/v1", 500), id="500"),
        pytest.param(lambda faults: faults.rate_limit("/manifests/v1", "1", times=None), id="429"),
        pytest.param(lambda faults: faults.drop("/manifests/v1"), id="connection lost"),
    ],
)
def test_attack_42_failing_mutate_requests_admit_no_tag(
    environment: WebhookEnvironment, break_registry: Callable[[Faults], object]
) -> None:
    environment.clock = FakeClock()
    image = environment.sign("team/app", "v1")
    break_registry(environment.registry.faults)
    left = mutate(environment, pod(image))
    assert images(left) == [image]
    environment.registry.faults.clear()
    environment.clock.advance(120)
    assert not_pinned(environment.validate(review(left)))
    # What is tried again is pinned and gets in.
    assert environment.validate(review(mutate(environment, pod(image)))).allowed


def test_attack_42_an_internal_error_in_mutate_gets_no_tag_in(environment: WebhookEnvironment) -> None:
    class BrokenOnce:
        broken = True

        def get(self, name: str) -> Namespace:
            if self.broken:
                raise RuntimeError(name)
            return environment.source.get(name)

        def cached(self, name: str) -> Namespace | None:
            return None if self.broken else environment.source.get(name)

    namespaces = environment.namespaces = BrokenOnce()
    image = environment.sign("team/app", "v1")
    left = mutate(environment, pod(image))
    assert images(left) == [image]
    namespaces.broken = False
    assert not_pinned(environment.validate(review(left)))


def test_attack_42_internal_error_leaves_other_images_pinned(environment: WebhookEnvironment) -> None:
    class FailsOnce(RegistryClient):
        """A registry client that fails once, in a way that was not foreseen."""

        #: Taken by the first of several threads.
        failure = threading.Lock()

        def session(
            self, credentials: CredentialProvider, deadline: Deadline, literal_hosts: frozenset[str] = frozenset()
        ) -> Session:
            if self.failure.acquire(blocking=False):
                raise ZeroDivisionError
            return super().session(credentials, deadline, literal_hosts)

    client = environment.network = FailsOnce(
        HostSettings(insecure=frozenset({environment.registry.host})), clock=environment.clock
    )
    with contextlib.closing(client):
        signed = [environment.sign("team/app", f"v{number}") for number in range(3)]
        left = mutate(environment, pod(*signed))
        assert sum("@" in image for image in images(left)) == 2
        assert environment.metric("sealgate_internal_errors_total") == 1
        assert not_pinned(environment.validate(review(left)))


def test_attack_42_slow_host_leaves_images_of_a_fast_one_pinned(environment: WebhookEnvironment) -> None:
    with RegistrySimulator() as slow:
        clock = environment.clock = FakeClock()
        hosts = frozenset({environment.registry.host, slow.host})
        client = environment.network = RegistryClient(HostSettings(insecure=hosts), clock=clock)
        environment.write(policy("all", "**"))
        fast, hanging = environment.sign("team/app", "v1"), f"{slow.host}/team/app:v1"
        fault, release = slow.faults.hang("/v2/"), threading.Event()
        answered = environment.registry.faults.wait_for("/manifests/v1", release)
        with contextlib.closing(client), ThreadPoolExecutor(2) as pool:
            asked = pool.submit(mutate, environment, pod(hanging, fast))
            assert fault.hit.wait(PATIENCE)
            assert answered.hit.wait(PATIENCE)
            # One who waits for the same tag, and so knows when it has been resolved.
            witness = pool.submit(mutate, environment, pod(fast))
            wait_until(lambda: environment.metric("sealgate_single_flight_joins_total", work="tag") == 1)
            release.set()
            pinned = f"{fast}@{environment.digest('team/app', 'v1')}"
            assert images(witness.result(PATIENCE)) == [pinned]
            clock.advance(30)
            assert images(asked.result(PATIENCE)) == [hanging, pinned]


def test_attack_42_thirty_images_are_resolved_at_the_same_time(environment: WebhookEnvironment) -> None:
    signed = [environment.sign("team/app", f"v{number}") for number in range(30)]
    # A host that has responded gets more than a few workers.
    mutate(environment, pod(environment.sign("team/app", "first")))
    everyone = threading.Barrier(30)

    def answer_together(answer: Answer) -> Answer:
        everyone.wait(PATIENCE)
        return answer

    environment.registry.faults.add(Fault("/manifests/v", answer_together))
    left = mutate(environment, pod(*signed))
    assert all("@sha256:" in image for image in images(left))
    assert environment.validate(review(left)).allowed


def test_attack_42_later_webhook_that_restores_a_tag_is_refused(environment: WebhookEnvironment) -> None:
    image, other = environment.sign("team/app", "v1"), environment.sign("team/app", "v2")
    pinned = mutate(environment, pod(image))
    assert environment.validate(review(pinned)).allowed
    for put_back in (image, other):
        changed = copy.deepcopy(pinned)
        changed["spec"]["containers"][0]["image"] = put_back
        answer = environment.validate(review(changed))
        assert not_pinned(answer)
        assert answer.response["auditAnnotations"] == {"container.main-0": f"not verified: NotPinned: {put_back}"}


@pytest.mark.parametrize("field", ["init", "ephemeral", "volumes"])
def test_attack_42_no_list_of_a_pod_takes_a_bare_tag(environment: WebhookEnvironment, field: str) -> None:
    image = environment.sign("team/app", "v1")
    lists: dict[str, Any] = {field: (image,)}
    pinned = f"{image}@{environment.digest('team/app', 'v1')}"
    answer = environment.validate(review(pod(pinned, **lists)))
    assert not_pinned(answer)
    assert environment.validate(review(mutate(environment, pod(image, **lists)))).allowed


def test_attack_42_ephemeral_container_is_pinned_to_its_digest(environment: WebhookEnvironment) -> None:
    running, debug = environment.push("team/old", "v1"), environment.sign("team/debug", "v1")
    old, new = pod(running), pod(running, ephemeral=(debug,))
    members: dict[str, Any] = {"oldObject": old, "subResource": "ephemeralcontainers"}
    answer = environment.validate(review(new, "UPDATE", **members))
    assert not_pinned(answer)
    assert answer.message.startswith("spec.ephemeralContainers[0]: ")
    pinned = mutate(environment, new, **members)
    assert images(pinned) == [running]
    assert images(pinned, "ephemeralContainers") == [f"{debug}@{environment.digest('team/debug', 'v1')}"]
    assert environment.validate(review(pinned, "UPDATE", **members)).allowed


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"app": "web"}},
        {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1"}]},
        {"finalizers": ["example.com/keep"]},
    ],
)
def test_attack_42_running_pod_can_be_labelled_and_finalised(
    environment: WebhookEnvironment, change: dict[str, Any]
) -> None:
    old = pod(environment.push("team/old", "v1"), init=(environment.push("team/first", "v1"),))
    new = copy.deepcopy(old)
    new["metadata"].update(change)
    asked = len(environment.registry.requests)
    for before, after in ((old, new), (new, old)):
        assert mutate(environment, after, oldObject=before) == after
        assert environment.validate(review(after, "UPDATE", oldObject=before)).allowed
    assert len(environment.registry.requests) == asked


def test_attack_42_update_needs_a_digest_only_for_changed_images(environment: WebhookEnvironment) -> None:
    running, changed = environment.push("team/old", "v1"), environment.sign("team/app", "v2")
    old, new = pod(running, environment.push("team/old", "v2")), pod(running, changed)
    answer = environment.validate(review(new, "UPDATE", oldObject=old))
    assert not_pinned(answer)
    assert answer.message.startswith("spec.containers[1]: ")
    assert "spec.containers[0]" not in answer.message
    pinned = mutate(environment, new, oldObject=old)
    assert images(pinned) == [running, f"{changed}@{environment.digest('team/app', 'v2')}"]
    assert environment.validate(review(pinned, "UPDATE", oldObject=old)).allowed


def test_attack_42_a_refusal_says_more_than_a_missing_digest(environment: WebhookEnvironment) -> None:
    signed, unsigned = environment.sign("team/app", "v1"), environment.push("team/app", "v2")
    answer = environment.validate(review(pod(signed, unsigned)))
    assert (answer.allowed, answer.code) == (False, 403)
    first, second = answer.message.splitlines()
    assert "could not be pinned" in first
    assert "could not be pinned" not in second
    environment.registry.faults.status("/manifests/v3", 503)
    down = environment.validate(review(pod(environment.sign("team/app", "v3"))))
    assert (down.code, "could not be pinned" in down.message) == (503, False)


def test_attack_42_a_missing_digest_changes_no_other_verdict(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    for _ in range(3):
        assert not_pinned(environment.validate(review(pod(image))))
        assert environment.validate(review(workload("Deployment", image))).allowed
        assert environment.validate(review(mutate(environment, pod(image)))).allowed
    assert environment.metric("sealgate_image_verdicts_total", verdict="unavailable", reason="NotPinned") == 3


@pytest.mark.parametrize("kind", sorted(set(GROUPS) - {"Pod"}))
def test_attack_42_templates_keep_their_tags(environment: WebhookEnvironment, kind: str) -> None:
    assert environment.validate(review(workload(kind, environment.sign("team/app", "v1")))).allowed


@pytest.mark.parametrize("action", ["Warn", "Audit"])
def test_attack_42_images_that_no_policy_enforces_keep_their_tags(environment: WebhookEnvironment, action: str) -> None:
    environment.write(policy("all", "**", action=action))
    assert environment.validate(review(pod(environment.sign("team/app", "v1")))).allowed


def test_attack_42_exempt_image_keeps_its_tag_without_a_request(environment: WebhookEnvironment) -> None:
    image = environment.push("team/app", "v1")
    exempt = policy("others", "**", action="Exempt")
    environment.write(exempt, policy("all", "**/other"))
    assert images(mutate(environment, pod(image))) == [image]
    assert environment.validate(review(pod(image))).allowed
    assert not environment.registry.requests


def test_attack_42_warn_policy_does_not_excuse_a_missing_digest(environment: WebhookEnvironment) -> None:
    other = authenticator("other", new_key("ECDSA P-256", "other"))
    environment.write(policy("all", "**"), other, policy("more", "**", authenticators=("other",), action="Warn"))
    assert not_pinned(environment.validate(review(pod(environment.sign("team/app", "v1")))))


def test_attack_42_unknown_namespace_pins_and_admits_nothing(environment: WebhookEnvironment) -> None:
    environment.namespaces = UNKNOWN_NAMESPACES
    image = environment.sign("team/app", "v1")
    left = mutate(environment, pod(image))
    assert images(left) == [image]
    assert environment.validate(review(left)).code == 503
