from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import SealgateError
from sealgate.policies.decisions import UnmatchedImages
from sealgate.policies.matching import Namespace
from sealgate.references import parse_reference
from sealgate.service_secrets import NoServiceSecrets
from sealgate_webhook.backends.cluster.policies import AUTHENTICATORS, POLICIES, ClusterPolicies
from sealgate_webhook.metrics import Metrics
from tests.kubernetes.conftest import running
from tests.support.builders.objects import authenticator, policy
from tests.support.clocks import FakeClock
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.policies.matching import CompiledPolicy
    from sealgate.verification.policy_sets import PolicySet
    from tests.support.simulators.kubernetes import KubernetesSimulator

KEY = new_key("ECDSA P-256")
PATIENCE = 100.0
IMAGE = parse_reference("registry.example.org/team/app:v1")


def stored(name: str = "release", entry: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """Return an Authenticator of KEY, or of a key entry, with its status."""
    return authenticator(name, entry or KEY) | ({"status": status} if status else {})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def policies(api: KubernetesAPI, clock: FakeClock, log: FilteringBoundLogger) -> ClusterPolicies:
    return ClusterPolicies(api, UnmatchedImages.DENY, timedelta(hours=72), NoServiceSecrets(), clock, Metrics(log), log)


def wait_for(policies: ClusterPolicies, holds: Callable[[PolicySet], bool]) -> PolicySet:
    """Return the set once it satisfies the condition; fail after a timeout."""
    end = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        current = policies.current()
        if current is not None and holds(current):
            return current
        end.wait(0.02)
    raise AssertionError("the set never came to that")


def matched(current: PolicySet) -> list[str]:
    return [match.policy.name for match in current.index.match(IMAGE, Namespace("default"))]


def test_set_needs_both_kinds_to_be_listed(cluster: KubernetesSimulator, policies: ClusterPolicies) -> None:
    assert policies.current() is None
    assert "not been read" in policies.problem()
    cluster.put(AUTHENTICATORS, stored())
    cluster.put(POLICIES, policy("production", "registry.example.org/**"))
    with running(policies.tasks(), cluster):
        current = wait_for(policies, lambda _: True)
        assert policies.problem() == ""
        assert matched(current) == ["production"]
        assert not isinstance(current.checks["release"], SealgateError)
        assert current.unmatched is UnmatchedImages.DENY


def test_an_empty_cluster_has_an_empty_set(cluster: KubernetesSimulator, policies: ClusterPolicies) -> None:
    with running(policies.tasks(), cluster):
        assert matched(wait_for(policies, lambda _: True)) == []


def test_a_change_compiles_the_changed_policy_only(cluster: KubernetesSimulator, policies: ClusterPolicies) -> None:
    def compiled() -> dict[str, CompiledPolicy]:
        current = policies.current()
        assert current is not None
        return {found.name: found for found in current.index.policies}

    for name in "abc":
        cluster.put(POLICIES, policy(name))
    with running(policies.tasks(), cluster):
        wait_for(policies, lambda current: matched(current) == ["a", "b", "c"])
        before = compiled()
        cluster.put(POLICIES, policy("b", "docker.io/**"))
        wait_for(policies, lambda current: matched(current) == ["a", "c"])
        after = compiled()
    assert [name for name in "abc" if after[name] is not before[name]] == ["b"]


def test_a_status_write_recompiles_nothing(cluster: KubernetesSimulator, policies: ClusterPolicies) -> None:
    def write_status(name: str, **status: Any) -> None:
        cluster.put(POLICIES, {**cluster.get(f"{POLICIES}/{name}"), "status": status})

    cluster.put(POLICIES, policy("a"))
    with running(policies.tasks(), cluster):
        before = wait_for(policies, lambda current: matched(current) == ["a"])
        write_status("a", activity={"images": "3", "denials": 7}, conditions=[{"type": "Ready", "status": "True"}])
        # Read by another watcher of the same events, so that the webhook has read the write before it.
        cluster.put(POLICIES, policy("b"))
        after = wait_for(policies, lambda current: matched(current) == ["a", "b"])
        write_status("a", activity={"images": "4", "denials": 8})
        write_status("b", activity={"images": "1", "denials": 1})
        cluster.put(AUTHENTICATORS, stored("last"))
        last = wait_for(policies, lambda current: "last" in current.checks)
    assert before.index.policies[0] is after.index.policies[0]
    assert all(one is another for one, another in zip(after.index.policies, last.index.policies, strict=True))


def test_a_change_is_in_force_at_once(cluster: KubernetesSimulator, policies: ClusterPolicies) -> None:
    with running(policies.tasks(), cluster):
        wait_for(policies, lambda _: True)
        cluster.put(POLICIES, policy("production", "registry.example.org/**"))
        wait_for(policies, lambda current: matched(current) == ["production"])
        cluster.put(POLICIES, policy("more", "**"))
        wait_for(policies, lambda current: matched(current) == ["more", "production"])
        cluster.delete(f"{POLICIES}/production")
        wait_for(policies, lambda current: matched(current) == ["more"])


def test_keys_that_the_operator_resolved_are_used_until_they_end(
    cluster: KubernetesSimulator, policies: ClusterPolicies, clock: FakeClock
) -> None:
    key = {
        "source": "secretRef keys/cosign.pub",
        "state": "Accepted",
        "pem": public_pem(KEY),
        "validUntil": (clock.now() + timedelta(seconds=2)).isoformat(),
    }
    entry = {"secretRef": {"name": "keys", "key": "cosign.pub"}}
    cluster.put(AUTHENTICATORS, stored(entry=entry, keys=[key]))
    with running(policies.tasks(), cluster):
        wait_for(policies, lambda current: not isinstance(current.checks["release"], SealgateError))
        clock.advance(3)
        wait_for(policies, lambda current: isinstance(current.checks["release"], SealgateError))


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ([], "the operator has not read it yet"),
        (
            [{"source": "secretRef keys/cosign.pub", "state": "Refused", "message": "there is no such Secret"}],
            "there is no such Secret",
        ),
        ([{"source": "secretRef other/cosign.pub", "state": "Accepted", "pem": public_pem(KEY)}], "not read it yet"),
        (
            [
                {
                    "source": "secretRef keys/cosign.pub",
                    "state": "Accepted",
                    "pem": public_pem(KEY),
                    "validUntil": "yesterday",
                }
            ],
            "read again",
        ),
    ],
)
def test_authenticator_without_a_usable_key_is_not_ready(
    cluster: KubernetesSimulator, policies: ClusterPolicies, keys: list[dict[str, Any]], why: str
) -> None:
    entry = {"secretRef": {"name": "keys", "key": "cosign.pub"}}
    cluster.put(AUTHENTICATORS, stored(entry=entry, observedGeneration=1, keys=keys))
    with running(policies.tasks(), cluster):
        current = wait_for(policies, lambda _: True)
        error = current.checks["release"]
        assert isinstance(error, SealgateError)
        assert why in error.message


def test_unreadable_authenticator_does_not_affect_others(
    cluster: KubernetesSimulator, policies: ClusterPolicies
) -> None:
    broken = stored("broken")
    broken["spec"]["cosign"]["keys"] = []
    cluster.put(AUTHENTICATORS, broken)
    cluster.put(AUTHENTICATORS, stored())
    with running(policies.tasks(), cluster):
        current = wait_for(policies, lambda _: True)
        assert isinstance(current.checks["broken"], SealgateError)
        assert not isinstance(current.checks["release"], SealgateError)


def problems(current: PolicySet) -> list[str]:
    return [
        bool(match.policy.problem) * match.policy.name for match in current.index.match(IMAGE, Namespace("default"))
    ]


def test_unreadable_policy_counts_as_never_met(cluster: KubernetesSimulator, policies: ClusterPolicies) -> None:
    cluster.put(POLICIES, policy("production", "registry.example.org/**"))
    with running(policies.tasks(), cluster):
        wait_for(policies, lambda current: problems(current) == [""])
        cluster.put(POLICIES, policy(pattern="registry.example.org/{a,{b}}"))
        wait_for(policies, lambda current: problems(current) == ["production"])
        cluster.put(POLICIES, policy("production", "registry.example.org/**"))
        wait_for(policies, lambda current: problems(current) == [""])
        unreadable = policy("production", "registry.example.org/**")
        unreadable["spec"]["require"] = {"authenticators": []}
        cluster.put(POLICIES, unreadable)
        wait_for(policies, lambda current: problems(current) == ["production"])
        cluster.delete(f"{POLICIES}/production")
        wait_for(policies, lambda current: problems(current) == [])


def test_objects_that_cannot_be_read_are_in_the_log_and_in_a_metric(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger, clock: FakeClock
) -> None:
    metrics = Metrics(log)
    policies = ClusterPolicies(api, UnmatchedImages.DENY, timedelta(hours=72), NoServiceSecrets(), clock, metrics, log)

    def unreadable(kind: str, name: str) -> float | None:
        return metrics.registry.get_sample_value("sealgate_unreadable_objects", {"kind": kind, "name": name})

    broken = stored("release")
    broken["spec"]["cosign"]["future"] = True
    cluster.put(AUTHENTICATORS, broken)
    cluster.put(POLICIES, policy(pattern="{"))
    cluster.put(POLICIES, policy("good"))
    with running(policies.tasks(), cluster):
        wait_for(
            policies,
            lambda _: unreadable("VerificationPolicy", "production") == unreadable("Authenticator", "release") == 1,
        )
        assert unreadable("VerificationPolicy", "good") is None
        cluster.put(POLICIES, policy("production", "registry.example.org/**"))
        wait_for(policies, lambda _: unreadable("VerificationPolicy", "production") is None)


class Stumbling(FakeClock):
    """A clock that fails on request, as an example of an unexpected error."""

    failed = 0
    fails = False

    def now(self) -> datetime:
        if self.fails:
            self.failed += 1
            raise OverflowError
        return super().now()


def test_uncompilable_set_leaves_the_last_one_in_force(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger
) -> None:
    clock = Stumbling()
    policies = ClusterPolicies(
        api, UnmatchedImages.DENY, timedelta(hours=72), NoServiceSecrets(), clock, Metrics(log), log
    )
    cluster.put(AUTHENTICATORS, stored())
    with running(policies.tasks(), cluster):
        current = wait_for(policies, lambda current: "release" in current.checks)
        clock.fails = True
        cluster.put(POLICIES, policy("production", "registry.example.org/**"))
        assert wait_for(policies, lambda _: clock.failed > 0) is current
        clock.fails = False
        cluster.put(POLICIES, policy("later"))
        wait_for(policies, lambda current: matched(current) == ["later", "production"])
