"""Metrics of policies: what they would deny, by namespace, with a bounded number of series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.policies.decisions import ImageVerdict, PolicyResult, Verdict
from sealgate.reasons import Reason
from sealgate_webhook.policy_metrics import MAX_NAMESPACES, MAX_SERIES, PolicyResultMetrics
from tests.support.builders.objects import policy
from tests.webhook.objects import pod, review

if TYPE_CHECKING:
    from tests.webhook.environment import WebhookEnvironment


def verdict(*policies: str, action: str = "Audit") -> ImageVerdict:
    results = tuple(PolicyResult(name, action, 0, 1, ()) for name in policies)
    return ImageVerdict("app:1", None, None, Verdict.ADMIT, Reason.NO_SIGNATURE, "", results)


def series(metrics: PolicyResultMetrics) -> dict[tuple[str, str], float]:
    """Return the count of each policy and namespace."""
    (family,) = metrics.collect()
    return {(sample.labels["policy"], sample.labels["namespace"]): sample.value for sample in family.samples}


@pytest.mark.parametrize("action", ["Enforce", "Warn", "Audit"])
def test_results_are_counted_as_if_every_policy_enforced(environment: WebhookEnvironment, action: str) -> None:
    environment.metrics.policy_results.is_namespace = {"default"}.__contains__
    environment.write(policy("p", f"{environment.registry.host}/**", action=action))
    environment.validate(review(pod(environment.sign("team/app", "v1"), environment.push("team/bad", "v1"))))
    labels = {"policy": "p", "action": action, "namespace": "default"}
    name = "sealgate_policy_results_total"
    assert environment.metric(name, verdict="deny", reason="NoSignature", **labels) == 1
    assert environment.metric(name, verdict="admit", reason="Verified", **labels) == 1


def test_only_listed_namespaces_are_named_and_a_bounded_number() -> None:
    metrics = PolicyResultMetrics(lambda name: name.startswith("team-"))
    for number in range(2 * MAX_NAMESPACES):
        metrics.decided(f"team-{number}", [verdict("p")])
        metrics.decided(f"made-up-{number}", [verdict("p")])
    found = series(metrics)
    assert len(found) == MAX_NAMESPACES + 1
    assert found["p", "other"] == 3 * MAX_NAMESPACES
    assert sum(found.values()) == 4 * MAX_NAMESPACES


def test_deleted_namespace_makes_room() -> None:
    there = {f"team-{number}" for number in range(MAX_NAMESPACES)}
    metrics = PolicyResultMetrics(lambda name: name in there)
    for name in sorted(there):
        metrics.decided(name, [verdict("p")])
    there.remove("team-7")
    there.add("new")
    assert ("p", "team-7") not in series(metrics)
    metrics.decided("new", [verdict("p")])
    assert series(metrics)["p", "new"] == 1


def test_series_of_any_number_of_policies_are_bounded() -> None:
    metrics = PolicyResultMetrics(lambda _: True)
    for number in range(MAX_SERIES + 1000):
        metrics.decided(f"team-{number % 50}", [verdict(f"policy-{number}")])
    found = series(metrics)
    assert len(found) == MAX_SERIES + 1
    assert found["other", "other"] == 1000
