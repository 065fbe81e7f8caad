"""The guard: each kind of tampering is named, in the metrics, an Event and the condition of every policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate_operator.config import OperatorConfig
from sealgate_operator.events import Events
from sealgate_operator.metrics import Metrics
from sealgate_operator.status.conditions import ConditionUpdate
from sealgate_operator.webhooks.guard import GRACE_SECONDS, Guard
from sealgate_operator.webhooks.observer import PERIOD, Observer
from sealgate_operator.webhooks.settling import HOLD_SECONDS, OBSERVATIONS, SettlingCondition
from tests.operator.certificates.test_reconciler import keeper
from tests.operator.environment import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    ENFORCED,
    NAMESPACES,
    PODS,
    POLICIES,
    SELF_TEST,
    WORKLOADS,
    api_of,
    endpoint_slice,
    eventually,
    listed,
    log,
    release,
    running,
)
from tests.operator.objects import policy, settings
from tests.operator.webhooks.test_enforcement import Replica
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.simulators.kubernetes import KubernetesSimulator

    Change = Callable[[dict[str, Any]], object]


class Watched:
    """A guard of one replica, observing by hand, and its cluster."""

    def __init__(self, cluster: KubernetesSimulator, *, leads: bool = True) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics(lambda: leads)
        self.changes = 0
        api = api_of(cluster)
        self.guard = Guard(
            api,
            "sealgate",
            leads=lambda: leads,
            events=Events(api, "sealgate-operator", "one", self.clock, self.metrics, log()),
            on_change=self._changed,
            metrics=self.metrics,
            clock=self.clock,
            log=log(),
        )
        config_map = OperatorConfig.model_validate(settings()).webhooks
        self._observer = Observer(api, "sealgate", config_map, (self.guard,))

    def _changed(self) -> None:
        self.changes += 1

    def observe(self, times: int = 2, seconds: float = PERIOD) -> None:
        for _ in range(times):
            self.clock.advance(seconds)
            self._observer.observe()

    @property
    def condition(self) -> ConditionUpdate:
        found = self.guard.condition()
        assert found is not None
        return found

    @property
    def problems(self) -> set[str]:
        samples = [sample for one in self.metrics.registry.collect() for sample in one.samples]
        named = {s.labels["problem"] for s in samples if s.name == "sealgate_enforcement_problems"}
        assert self.metrics.registry.get_sample_value("sealgate_enforcing") == float(not named)
        return named


@pytest.fixture
def enforced(cluster: KubernetesSimulator) -> KubernetesSimulator:
    """A cluster in which everything is in place."""
    keeper(cluster, FakeClock()).reconcile()
    Replica(cluster).reconcile()
    cluster.requests.clear()
    return cluster


def change(cluster: KubernetesSimulator, path: str, alter: Change) -> None:
    """Change the webhook of a configuration as `kubectl edit` does."""
    found = cluster.get(path)
    alter(found["webhooks"][0])
    cluster.put(path.rpartition("/")[0], found)


def events(cluster: KubernetesSimulator) -> set[tuple[str, str]]:
    return {(event["reason"], event["involvedObject"]["name"]) for event in cluster.find("events")}


EXCLUDED = {"matchExpressions": [{**NAMESPACES["matchExpressions"][0], "values": ["kube-system", "sealgate", "shop"]}]}
LABELLED = {"matchExpressions": [*NAMESPACES["matchExpressions"], {"key": "exempt", "operator": "DoesNotExist"}]}
SERVICE = {"namespace": "other", "name": "proxy", "port": 443, "path": "/x"}
PATH = {"namespace": "sealgate", "name": "sealgate-webhook", "port": 443, "path": "/mutate"}
#: What a client changes, how it is named, and words of the message.
TAMPERING: dict[str, tuple[str, Change, str, str]] = {
    "failure policy": (
        WORKLOADS,
        lambda hook: hook.update(failurePolicy="Ignore"),
        "FailurePolicyChanged",
        "admits any",
    ),
    "another service": (
        WORKLOADS,
        lambda hook: hook["clientConfig"].update(service=SERVICE),
        "PointsElsewhere",
        "other/proxy:443/x instead of sealgate/sealgate-webhook:443/x",
    ),
    "another path": (PODS, lambda hook: hook["clientConfig"].update(service=PATH), "PointsElsewhere", "443/mutate"),
    "a url": (
        WORKLOADS,
        lambda hook: (hook["clientConfig"].pop("service"), hook["clientConfig"].update(url="https://a.test/x")),
        "PointsElsewhere",
        "https://a.test/x",
    ),
    "match conditions": (
        WORKLOADS,
        lambda hook: hook.update(matchConditions=[{"name": "a", "expression": "false"}]),
        "MatchConditionsAdded",
        "remove matchConditions",
    ),
    "objects": (
        WORKLOADS,
        lambda hook: hook.update(objectSelector={"matchLabels": {"verify": "yes"}}),
        "ObjectsExcluded",
        "remove objectSelector",
    ),
    "a namespace": (
        WORKLOADS,
        lambda hook: hook.update(namespaceSelector=EXCLUDED),
        "NamespacesExcluded",
        "leaves out the namespaces shop: restore it with helm upgrade",
    ),
    "a label": (WORKLOADS, lambda hook: hook.update(namespaceSelector=LABELLED), "NamespacesExcluded", "selects other"),
    "the match policy": (
        WORKLOADS,
        lambda hook: hook.update(matchPolicy="Exact"),
        "WebhookConfigurationAltered",
        "matchPolicy is Exact",
    ),
    "the rules": (PODS, lambda hook: hook.update(rules=[]), "RulesNotInPlace", "the operator applies them"),
    "the rules of the self-test": (
        SELF_TEST,
        lambda hook: hook.update(rules=[]),
        "WebhookConfigurationAltered",
        "rules",
    ),
    "the bundle": (
        WORKLOADS,
        lambda hook: hook["clientConfig"].update(caBundle="TUE9PQ=="),
        "CABundleWrong",
        "not that of the webhook's certificate",
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_attack_108_each_kind_of_tampering_is_named(enforced: KubernetesSimulator, what: str) -> None:
    path, alter, kind, words = TAMPERING[what]
    watched = Watched(enforced)
    watched.observe()
    assert (watched.condition.holds, watched.problems, watched.changes) == (True, set(), 1)
    watched.clock.advance(HOLD_SECONDS)
    change(enforced, path, alter)
    watched.observe()
    name = path.rpartition("/")[2]
    assert (watched.condition.holds, watched.condition.reason) == (False, kind)
    assert words in watched.condition.message
    assert name in watched.condition.message
    assert watched.problems == {kind}
    assert (kind, name) in events(enforced)
    # Nothing is repaired here.
    assert {request.method for request in enforced.requests} <= {"GET", "POST"}


@pytest.mark.parametrize("path", [*ENFORCED, SELF_TEST])
def test_attack_108_a_missing_configuration_is_named(enforced: KubernetesSimulator, path: str) -> None:
    watched = Watched(enforced)
    watched.observe()
    watched.clock.advance(HOLD_SECONDS)
    enforced.delete(path)
    watched.observe()
    assert (watched.condition.holds, watched.condition.stalled) == (False, True)
    assert "WebhookConfigurationMissing" in watched.problems
    assert ("WebhookConfigurationMissing", path.rpartition("/")[2]) in events(enforced)


def test_attack_108_a_removed_kind_and_a_missing_endpoint_are_named(enforced: KubernetesSimulator) -> None:
    watched = Watched(enforced)
    watched.observe()
    watched.clock.advance(HOLD_SECONDS)
    enforced.faults.append(Fault("GET", r"/verificationpolicies\?limit=1", 404))
    enforced.put(ENDPOINT_SLICES, endpoint_slice(ready=False))
    watched.observe()
    assert watched.problems == {"CRDMissing", "NoEndpoint"}
    assert events(enforced) == {("CRDMissing", "sealgate-workloads"), ("NoEndpoint", "sealgate-workloads")}
    assert "your policies; the Service sealgate-webhook has no endpoint" in watched.condition.message


def test_attack_108_a_removed_kind_of_exceptions_is_named(enforced: KubernetesSimulator) -> None:
    watched = Watched(enforced)
    watched.observe()
    enforced.faults.append(Fault("GET", r"/verificationexceptions\?limit=1", 404))
    watched.clock.advance(HOLD_SECONDS)
    watched.observe()
    assert watched.problems == {"CRDMissing"}
    assert "verificationexceptions.sealgate.dev was removed" in watched.condition.message
    assert watched.condition.message.endswith("apply the chart's crds")


def test_a_cluster_that_never_had_the_kind_of_exceptions_is_enforced(enforced: KubernetesSimulator) -> None:
    enforced.faults.append(Fault("GET", r"/verificationexceptions\?limit=1", 404))
    watched = Watched(enforced)
    watched.observe()
    watched.clock.advance(HOLD_SECONDS)
    watched.observe()
    assert (watched.problems, watched.condition.holds) == (set(), True)


def test_attack_109_tampering_that_is_undone_at_once_is_reported(enforced: KubernetesSimulator) -> None:
    """Back and forth between any two observations, to hide it, or to cause a write of every policy each time."""
    watched = Watched(enforced)
    watched.observe()
    for _ in range(5):
        change(enforced, WORKLOADS, lambda hook: hook.update(failurePolicy="Ignore"))
        watched.observe(1)
        change(enforced, WORKLOADS, lambda hook: hook.update(failurePolicy="Fail"))
        watched.observe(1)
    assert events(enforced) == {("FailurePolicyChanged", "sealgate-workloads")}
    assert watched.changes == 1
    for _ in range(6):
        change(enforced, WORKLOADS, lambda hook: hook.update(failurePolicy="Ignore"))
        watched.observe(2)
        change(enforced, WORKLOADS, lambda hook: hook.update(failurePolicy="Fail"))
        watched.observe(2)
    # 48 seconds.
    assert watched.changes <= 1 + 48 / HOLD_SECONDS


def test_another_order_and_defaults_are_no_change(enforced: KubernetesSimulator) -> None:
    reordered = {"matchExpressions": [{**NAMESPACES["matchExpressions"][0], "values": ["sealgate", "kube-system"]}]}

    def restate(hook: dict[str, Any]) -> None:
        hook["clientConfig"]["service"].pop("port")
        hook.update(namespaceSelector=reordered, objectSelector={}, matchConditions=[])

    change(enforced, WORKLOADS, restate)
    watched = Watched(enforced)
    watched.observe()
    assert watched.problems == set()


def test_what_the_operator_repairs_is_no_problem_at_first(enforced: KubernetesSimulator) -> None:
    watched = Watched(enforced)
    watched.observe()
    change(enforced, WORKLOADS, lambda hook: hook.update(rules=[]))
    watched.observe(1)
    Replica(enforced).reconcile()
    watched.observe(1)
    assert watched.changes == 1
    assert "RulesNotInPlace" not in {reason for reason, _ in events(enforced)}


def test_an_installation_begins_without_events(cluster: KubernetesSimulator) -> None:
    watched = Watched(cluster)
    watched.observe(5)
    assert (watched.condition.holds, watched.condition.stalled) == (False, False)
    assert events(cluster) == set()
    watched.observe(1, GRACE_SECONDS)
    assert {reason for reason, _ in events(cluster)} == {"RulesNotInPlace", "CABundleWrong"}


def test_followers_report_by_metrics_alone(enforced: KubernetesSimulator) -> None:
    watched = Watched(enforced, leads=False)
    watched.observe()
    enforced.delete(PODS)
    watched.observe()
    assert watched.problems == {"WebhookConfigurationMissing"}
    assert events(enforced) == set()


def test_an_api_server_that_does_not_answer_says_nothing_at_first(enforced: KubernetesSimulator) -> None:
    watched = Watched(enforced)
    watched.observe()
    watched.clock.advance(HOLD_SECONDS)
    enforced.faults.append(Fault("GET", CONFIG_MAPS, 500))
    watched.observe(OBSERVATIONS[None] - 1)
    assert watched.condition.holds is True
    watched.observe(1)
    assert watched.condition.reason == "NotKnown"


def test_a_release_that_does_not_say_what_it_wants_is_compared_by_rules_alone(enforced: KubernetesSimulator) -> None:
    earlier = [{**listed(path, "pods"), "expected": None} for path in (WORKLOADS, PODS)]
    enforced.put(CONFIG_MAPS, release(*earlier, selfTest={**listed(SELF_TEST), "expected": None}))
    for path in (WORKLOADS, PODS):
        change(enforced, path, lambda hook: hook.update(rules=listed(PODS, "pods")["rules"], failurePolicy="Ignore"))
    enforced.delete(f"{ENDPOINT_SLICES}/sealgate-webhook-1")
    watched = Watched(enforced)
    watched.observe()
    assert watched.problems == set()


def test_each_policy_gets_the_condition_in_one_write_and_no_event(enforced: KubernetesSimulator) -> None:
    names = [f"p{number}" for number in range(20)]
    for name in names:
        enforced.put(POLICIES, policy(name, "a"))
    change(enforced, WORKLOADS, lambda hook: hook.update(failurePolicy="Ignore"))

    def reasons() -> set[str]:
        found = [
            enforced.get(f"{POLICIES}/{name}").get("status") or {"conditions": [{"type": "Enforced", "reason": ""}]}
            for name in names
        ]
        return {one["reason"] for status in found for one in status["conditions"] if one["type"] == "Enforced"}

    with running(enforced):
        eventually(lambda: reasons() == {"FailurePolicyChanged"})
        writes = [r for r in enforced.requests if r.method == "PATCH" and "/status" in r.path]
    assert len(writes) == len(names)
    assert not [event for event in enforced.find("events") if event["reason"] == "NotEnforced"]


def test_condition_follows_only_what_lasts() -> None:
    good, bad = ConditionUpdate("Enforced", True, "A", ""), ConditionUpdate("Enforced", False, "B", "")
    condition = SettlingCondition()
    assert not condition.observe(bad, 0)
    assert condition.observe(good, 2)
    assert not condition.observe(bad, 100)
    assert not condition.observe(good, 102)
    assert not condition.observe(bad, 104)
    assert condition.observe(bad, 106)
    assert not condition.observe(good, 108)
    assert condition.observe(good, 106 + HOLD_SECONDS)
    assert condition.current == good
