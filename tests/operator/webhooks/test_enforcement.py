"""Enforcement: when the webhook rules are applied, and when each replica is ready."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from sealgate import self_test
from sealgate.errors import UnavailableError
from sealgate.kubernetes.lease import Lease
from sealgate.release.webhooks import observe
from sealgate_operator.certificates.rotation import LEAF_BUNDLE
from sealgate_operator.config import OperatorConfig
from sealgate_operator.events import Events
from sealgate_operator.metrics import Metrics
from sealgate_operator.webhooks.enforcement import MANAGER, Enforcement
from tests.operator.certificates.test_reconciler import keeper
from tests.operator.environment import (
    CONFIG_MAPS,
    ENFORCED,
    MUTATING,
    PODS,
    POLICY_OBJECTS,
    SELF_TEST,
    TLS_SECRET,
    VALIDATING,
    WORKLOADS,
    api_of,
    chart_webhook,
    data,
    enforcing,
    eventually,
    holder,
    listed,
    log,
    release,
    rules,
    rules_on,
    running,
)
from tests.operator.objects import settings
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator

if TYPE_CHECKING:
    from tests.operator.environment import Running


class Replica:
    """The part of a replica that applies the rules, reconciled by hand."""

    def __init__(self, cluster: KubernetesSimulator, identity: str = "one", *, leads: bool = True) -> None:
        clock, api = FakeClock(), api_of(cluster)
        lease = Lease(api, "sealgate", "sealgate-leader", identity, clock, log())
        self.metrics = Metrics(lease.leads)
        events = Events(api, "sealgate-operator", identity, clock, self.metrics, log())
        config = OperatorConfig.model_validate(settings())
        self._api, self._config_map = api, config.webhooks
        self.enforcement = Enforcement(api, config, "sealgate", lease, events, self.metrics, log())
        if leads:
            lease.attempt()
            assert lease.leads()

    def reconcile(self) -> None:
        self.enforcement.take(observe(self._api, "sealgate", self._config_map))

    @property
    def ready(self) -> bool:
        return not self.enforcement.problem()

    def sample(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"sealgate_operator_{name}")


@pytest.fixture
def certified(cluster: KubernetesSimulator) -> KubernetesSimulator:
    """A cluster whose webhook has a certificate, which the API server trusts."""
    keeper(cluster, FakeClock()).reconcile()
    cluster.requests.clear()
    return cluster


def writes(cluster: KubernetesSimulator) -> list[str]:
    """Return the paths of all requested changes, except dry runs, Leases and Events."""
    changes = [request for request in cluster.requests if request.method not in {"GET", "POST"}]
    return [request.path.partition("?")[0] for request in changes if "/leases/" not in request.path]


def readyz(replica: Running) -> tuple[int, str]:
    host, port = replica.operator.address
    answer = urllib3.request("GET", f"http://{host}:{port}/readyz")
    return answer.status, answer.data.decode()


def test_rules_are_absent_until_the_webhook_has_answered(cluster: KubernetesSimulator) -> None:
    answers: list[bool] = []
    working = cluster.admission

    def admission(obj: dict[str, Any]) -> str:
        # Nothing is enforced whenever the self-test has not gone well yet.
        assert not enforcing(cluster)
        answer = working(obj)
        answers.append(answer == self_test.refusal_by("self-test.sealgate.dev"))
        return answer

    cluster.admission = lambda obj: admission(obj) if self_test.LABEL in obj["metadata"].get("labels", {}) else ""
    with running(cluster) as one:
        cluster.wait_for(enforcing)
        eventually(lambda: readyz(one) == (200, "ok\n"))
    assert answers[-1]
    assert not any(answers[:-1])
    assert [rules_on(cluster, path) for path in ENFORCED] == [
        rules("pods", "podtemplates"),
        rules("authenticators"),
        rules("pods"),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        'Internal error occurred: failed calling webhook "self-test.sealgate.dev": connection refused',
        f'admission webhook "other.example.org" denied the request: {self_test.TEXT}',
        'admission webhook "self-test.sealgate.dev" denied the request: the webhook is not ready: no policies',
        self_test.TEXT,
        f"{self_test.refusal_by('self-test.sealgate.dev')}.",
    ],
)
def test_only_a_response_of_the_webhook_itself_counts(certified: KubernetesSimulator, answer: str) -> None:
    certified.admission = lambda obj: answer if self_test.LABEL in obj["metadata"].get("labels", {}) else ""
    replica = Replica(certified)
    with pytest.raises(UnavailableError, match="does not answer the API server's self-test"):
        replica.reconcile()
    assert writes(certified) == []
    assert not replica.ready


def test_self_test_leaves_no_objects(certified: KubernetesSimulator) -> None:
    Replica(certified).reconcile()
    (dry_run,) = (request for request in certified.requests if "dryRun" in request.path)
    assert dry_run.path == "/apis/coordination.k8s.io/v1/namespaces/sealgate/leases?dryRun=All"
    assert dry_run.body["metadata"]["labels"] == {self_test.LABEL: "true"}
    assert [lease["metadata"]["name"] for lease in certified.find("leases")] == ["sealgate-leader"]


def test_rules_are_applied_once_and_owned_by_the_operator(certified: KubernetesSimulator) -> None:
    replica = Replica(certified)
    replica.reconcile()
    assert sorted(writes(certified)) == sorted(ENFORCED)
    assert replica.ready
    certified.requests.clear()
    replica.reconcile()
    assert writes(certified) == []
    assert not any("dryRun" in request.path for request in certified.requests)
    for path in ENFORCED:
        managers = {entry["manager"] for entry in certified.get(path)["metadata"]["managedFields"]}
        assert managers == {"helm", MANAGER, "sealgate-operator-certificates"}


def test_digests_are_required_only_once_mutate_is_active(certified: KubernetesSimulator) -> None:
    certified.faults.append(Fault("PATCH", PODS, 500, times=1))
    replica = Replica(certified)
    with pytest.raises(UnavailableError, match="500"):
        replica.reconcile()
    assert [rules_on(certified, path) for path in ENFORCED] == [[], [], []]
    replica.reconcile()
    assert enforcing(certified)


def test_reapplied_chart_manifest_keeps_rules_and_bundle(certified: KubernetesSimulator) -> None:
    Replica(certified).reconcile()
    before = certified.get(WORKLOADS)
    manifest = chart_webhook(WORKLOADS)
    manifest["webhooks"][0]["timeoutSeconds"] = 7
    certified.apply(WORKLOADS, manifest, "helm")
    (hook,), (was,) = certified.get(WORKLOADS)["webhooks"], before["webhooks"]
    assert hook == {**was, "timeoutSeconds": 7}


def test_follower_is_ready_after_seeing_the_rules(certified: KubernetesSimulator) -> None:
    follower = Replica(certified, "two", leads=False)
    follower.reconcile()
    assert not follower.ready
    assert "sealgate-workloads" in follower.enforcement.problem()
    assert {request.method for request in certified.requests} == {"GET"}
    Replica(certified).reconcile()
    follower.reconcile()
    assert follower.ready


def test_absent_webhook_keeps_rules_and_readiness(certified: KubernetesSimulator) -> None:
    replica = Replica(certified)
    replica.reconcile()
    certified.admission = lambda _: "Internal error occurred: failed calling webhook"
    replica.reconcile()
    assert enforcing(certified)
    assert replica.ready
    # The same for a replica that starts meanwhile.
    newer = Replica(certified, "two", leads=False)
    newer.reconcile()
    assert newer.ready


def test_removed_rules_are_restored_and_reported(
    certified: KubernetesSimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    replica = Replica(certified)
    replica.reconcile()
    certified.put(VALIDATING, chart_webhook(WORKLOADS))  # kubectl replace
    assert rules_on(certified, WORKLOADS) == []
    keeper(certified, FakeClock()).reconcile()
    replica.reconcile()
    assert rules_on(certified, WORKLOADS) == rules("pods", "podtemplates")
    assert replica.sample("rules_restored_total") == 1.0
    found = {event["reason"]: event for event in certified.find("events")}
    assert found.keys() == {"CABundleChanged", "RulesChanged"}
    event = found["RulesChanged"]
    assert (event["reason"], event["type"]) == ("RulesChanged", "Warning")
    assert event["involvedObject"]["name"] == "sealgate-workloads"
    assert "rules were changed by another client; applied again" in capsys.readouterr().err


def test_narrowed_rules_are_restored(certified: KubernetesSimulator) -> None:
    replica = Replica(certified)
    replica.reconcile()
    edited = certified.get(PODS)
    edited["webhooks"][0]["rules"] = rules("podtemplates")
    certified.put(MUTATING, edited)
    replica.reconcile()
    assert rules_on(certified, PODS) == rules("pods")
    assert replica.sample("rules_restored_total") == 1.0


def test_removed_rule_is_restored_after_the_webhook_answers(certified: KubernetesSimulator) -> None:
    replica = Replica(certified)
    replica.reconcile()
    certified.put(VALIDATING, chart_webhook(WORKLOADS))
    certified.admission = lambda _: "Internal error occurred: failed calling webhook"
    with pytest.raises(UnavailableError, match="self-test"):
        replica.reconcile()
    assert rules_on(certified, WORKLOADS) == []


def test_upgraded_rules_are_applied_without_a_gap(certified: KubernetesSimulator) -> None:
    """The replica that leads is still the one from before the upgrade."""
    replica = Replica(certified)
    replica.reconcile()
    certified.put(CONFIG_MAPS, release(listed(WORKLOADS, "pods", "rollouts"), listed(POLICY_OBJECTS, "authenticators")))
    certified.delete(PODS)
    newer = Replica(certified, "two", leads=False)
    newer.reconcile()
    assert not newer.ready
    replica.reconcile()
    assert rules_on(certified, WORKLOADS) == rules("pods", "rollouts")
    newer.reconcile()
    assert newer.ready
    assert replica.sample("rules_restored_total") == 0.0
    changes = [r.body["webhooks"][0]["rules"] for r in certified.requests if r.path.startswith(f"{WORKLOADS}?")]
    assert changes == [rules("pods", "podtemplates"), rules("pods", "rollouts")]


def test_unknown_members_of_a_later_release_are_ignored(certified: KubernetesSimulator) -> None:
    more = {**listed(WORKLOADS, "pods"), "matchConditions": []}
    certified.put(CONFIG_MAPS, release(more, listed(POLICY_OBJECTS, "authenticators"), colour="red"))
    Replica(certified).reconcile()
    assert rules_on(certified, WORKLOADS) == rules("pods")


def test_missing_configuration_is_not_created(certified: KubernetesSimulator) -> None:
    certified.delete(PODS)
    replica = Replica(certified)
    replica.reconcile()
    assert rules_on(certified, WORKLOADS)
    assert certified.find("mutatingwebhookconfigurations") == []
    assert not replica.ready
    assert replica.enforcement.problem() == "rules are not in place on sealgate-pods"
    certified.apply(PODS, chart_webhook(PODS), "helm")
    keeper(certified, FakeClock()).reconcile()
    replica.reconcile()
    assert replica.ready


def test_recreated_configuration_waits_for_the_next_run(certified: KubernetesSimulator) -> None:
    working = certified.admission

    def replace(obj: dict[str, Any]) -> str:
        if self_test.LABEL not in obj["metadata"].get("labels", {}):
            return ""
        certified.admission = working
        answer = working(obj)
        original = certified.get(WORKLOADS)
        certified.faults.append(
            Fault(
                "GET", WORKLOADS, 200, times=1, document={**original, "metadata": {**original["metadata"], "uid": "x"}}
            )
        )
        return answer

    certified.admission = replace
    replica = Replica(certified)
    with pytest.raises(UnavailableError, match="409"):
        replica.reconcile()
    assert rules_on(certified, WORKLOADS) == []
    replica.reconcile()
    assert enforcing(certified)


@pytest.mark.parametrize("member", ["caBundle", "service"])
def test_self_test_is_valid_for_its_own_connection_only(certified: KubernetesSimulator, member: str) -> None:
    """For example, cert-manager has updated one configuration and not yet the other."""
    other = certified.get(WORKLOADS)
    client = other["webhooks"][0]["clientConfig"]
    client[member] = (
        base64.b64encode(b"another").decode() if member == "caBundle" else {**client["service"], "port": 8443}
    )
    certified.put(VALIDATING, other)
    replica = Replica(certified)
    replica.reconcile()
    assert rules_on(certified, WORKLOADS) == []
    assert rules_on(certified, POLICY_OBJECTS)
    assert not replica.ready


def test_rules_follow_the_bundle_injected_by_cert_manager(cluster: KubernetesSimulator) -> None:
    keeper(cluster, FakeClock()).reconcile()
    bundle = data(cluster, TLS_SECRET)[LEAF_BUNDLE]
    cluster.put(CONFIG_MAPS, release(managedCertificates=False))
    for path in (SELF_TEST, *ENFORCED):
        cluster.put(path.rpartition("/")[0], chart_webhook(path))
    cluster.requests.clear()
    certificates = {"managed": False, "caLifetimeHours": 1, "leafLifetimeHours": 1}
    with running(cluster, certificates=certificates) as one:
        cluster.wait_for(lambda c: any("dryRun" in request.path for request in c.requests))
        status, why = readyz(one)
        assert status == 503
        assert "read yet" in why or "signed by unknown authority" in why
        for path in (SELF_TEST, *ENFORCED):
            injected = chart_webhook(path)
            injected["webhooks"][0]["clientConfig"]["caBundle"] = base64.b64encode(bundle).decode()
            cluster.put(path.rpartition("/")[0], injected)
        cluster.wait_for(enforcing)
    assert not any("certificates" in request.path for request in cluster.requests if request.method == "PATCH")


def test_unreadable_release_list_changes_nothing(certified: KubernetesSimulator) -> None:
    for text in ("", "[]", "{", "configurations: []"):
        certified.put(CONFIG_MAPS, {"metadata": {"name": "sealgate-operator"}, "data": {"webhooks.yaml": text}})
        replica = Replica(certified)
        with pytest.raises(UnavailableError, match="not a list of webhooks"):
            replica.reconcile()
        assert writes(certified) == []


def test_reason_has_the_message_of_the_api_server(certified: KubernetesSimulator) -> None:
    refusal = {"kind": "Status", "code": 422, "message": "webhooks[0].rules[0].resources: Invalid value: Rollouts"}
    # Only of the rules: the CA bundle, which the self-test depends on, is applied to the same object.
    certified.faults.append(Fault("PATCH", f"{WORKLOADS}.*{MANAGER}", 422, document=refusal))
    with running(certified) as one:
        eventually(lambda: "Invalid value: Rollouts" in readyz(one)[1])
        assert readyz(one)[0] == 503


def test_refusal_without_a_reason_is_retried(certified: KubernetesSimulator) -> None:
    certified.faults.append(Fault("POST", "dryRun", 500, times=1))
    replica = Replica(certified)
    with pytest.raises(UnavailableError, match="500"):
        replica.reconcile()
    replica.reconcile()
    assert replica.ready


def test_followers_become_ready_beside_the_leader(cluster: KubernetesSimulator) -> None:
    with running(cluster, "one") as one:
        cluster.wait_for(lambda c: holder(c) == "one")
        with running(cluster, "two") as two:
            eventually(lambda: readyz(one)[0] == readyz(two)[0] == 200)
            assert holder(cluster) == "one"
