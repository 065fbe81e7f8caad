"""The webhook configurations: what is looked at, where, and what happens without an answer."""

from __future__ import annotations

import pytest

from sealgate import self_test
from sealgate.workloads.kinds import BUILT_IN
from tests.chart import rendering
from tests.chart.rendering import NAMESPACE, VALUE_SETS, Manifest, find, render

#: The plural that a rule names, for each kind that the library knows.
PLURALS = {
    "Pod": "pods",
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "Job": "jobs",
    "CronJob": "cronjobs",
    "ReplicationController": "replicationcontrollers",
    "PodTemplate": "podtemplates",
}


def webhooks(values: Manifest | None = None) -> dict[str, Manifest]:
    return rendering.webhooks(render(values))


@pytest.mark.parametrize("name", VALUE_SETS)
def test_nothing_is_matched_before_the_operator_has_applied_the_rules(name: str) -> None:
    configurations = [obj for obj in render(VALUE_SETS[name]) if obj["kind"].endswith("WebhookConfiguration")]
    for configuration in configurations:
        (webhook,) = configuration["webhooks"]  # of its own, so that its rules go when the chart drops it
        assert ("rules" in webhook) == (webhook["name"] == "self-test.sealgate.dev")


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_self_test_matches_nothing_but_its_own_leases(name: str) -> None:
    webhook = webhooks(VALUE_SETS[name])["self-test.sealgate.dev"]
    assert webhook["rules"] == [
        {
            "apiGroups": ["coordination.k8s.io"],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["leases"],
            "scope": "Namespaced",
        }
    ]
    assert webhook["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    assert webhook["objectSelector"] == {"matchExpressions": [{"key": self_test.LABEL, "operator": "Exists"}]}
    assert webhook["sideEffects"] == "None"  # else a dry run is not sent
    client = webhook["clientConfig"]
    assert (client.get("url") or client["service"]["path"]).endswith(self_test.PATH)


def test_every_kind_that_the_library_can_read_is_sent() -> None:
    rules = webhooks()["workloads.sealgate.dev"]["rules"]
    sent = {resource for rule in rules if rule["operations"] == ["CREATE", "UPDATE"] for resource in rule["resources"]}
    assert sent == {PLURALS[kind.kind] for kind in BUILT_IN.kinds}


def test_only_pods_are_sent_where_other_objects_are_ignored() -> None:
    values = {**VALUE_SETS["everything"], "webhook": {**VALUE_SETS["everything"]["webhook"], "workloads": "Ignore"}}
    rules = webhooks(values)["workloads.sealgate.dev"]["rules"]
    assert [rule["resources"] for rule in rules] == [["pods"], ["pods/ephemeralcontainers"]]


def test_custom_kinds_are_sent_too() -> None:
    rules = webhooks(VALUE_SETS["everything"])["workloads.sealgate.dev"]["rules"]
    assert {
        "apiGroups": ["argoproj.io"],
        "apiVersions": ["v1alpha1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["rollouts"],
        "scope": "Namespaced",
    } in rules


def test_only_pods_are_rewritten() -> None:
    rules = webhooks()["pods.sealgate.dev"]["rules"]
    assert [rule["resources"] for rule in rules] == [["pods"], ["pods/ephemeralcontainers"]]
    assert "pods.sealgate.dev" not in webhooks({"webhook": {"pinDigests": False}})


def test_pins_are_put_on_containers_that_other_webhooks_add() -> None:
    assert webhooks()["pods.sealgate.dev"]["reinvocationPolicy"] == "IfNeeded"


def test_other_versions_of_the_same_objects_are_not_a_way_around() -> None:
    assert {webhook["matchPolicy"] for webhook in webhooks().values()} == {"Equivalent"}


def test_dry_runs_have_no_side_effects() -> None:
    assert {name: webhook["sideEffects"] for name, webhook in webhooks().items()} == {
        "workloads.sealgate.dev": "NoneOnDryRun",
        "policies.sealgate.dev": "NoneOnDryRun",
        "exceptions.sealgate.dev": "None",
        "pods.sealgate.dev": "None",
        "self-test.sealgate.dev": "None",
    }


def test_the_time_limit_is_the_value_s() -> None:
    found = webhooks(VALUE_SETS["everything"])
    assert found.pop("self-test.sealgate.dev")["timeoutSeconds"] == 5
    assert {webhook["timeoutSeconds"] for webhook in found.values()} == {7}


def test_policies_can_always_be_taken_away_and_their_status_written() -> None:
    (rule,) = webhooks()["policies.sealgate.dev"]["rules"]
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert rule["resources"] == ["authenticators", "verificationpolicies", "verificationexceptions"]


@pytest.mark.parametrize("values", [{}, VALUE_SETS["bare"]], ids=["default", "without pins"])
def test_who_makes_an_exception_is_written_down(values: Manifest) -> None:
    webhook = webhooks(values)["exceptions.sealgate.dev"]
    (rule,) = webhook["rules"]
    assert (rule["operations"], rule["resources"]) == (["CREATE", "UPDATE"], ["verificationexceptions"])
    assert webhook["clientConfig"]["service"]["path"] == "/stamp-exceptions"
    # Other webhooks may run after it and write another name.
    assert (webhook["failurePolicy"], webhook["reinvocationPolicy"]) == ("Fail", "IfNeeded")


@pytest.mark.parametrize("name", sorted(set(VALUE_SETS) - {"outside"}))
def test_the_authority_is_nothing_that_an_upgrade_could_take_away(name: str) -> None:
    for webhook in webhooks(VALUE_SETS[name]).values():
        assert webhook["clientConfig"].keys() == {"service"}


def test_the_service_is_the_chart_s() -> None:
    manifests = render()
    service = find(manifests, "Service", "sealgate-webhook")
    ports = {port["port"]: port["targetPort"] for port in service["spec"]["ports"]}
    for webhook in webhooks().values():
        target = webhook["clientConfig"]["service"]
        assert (target["namespace"], target["name"]) == (NAMESPACE, service["metadata"]["name"])
        assert ports[target["port"]] == "https"
    selector = service["spec"]["selector"]
    template = find(manifests, "Deployment", "sealgate-webhook")["spec"]["template"]
    assert selector.items() <= template["metadata"]["labels"].items()


def test_cert_manager_writes_the_authority_where_it_issues() -> None:
    manifests = render(VALUE_SETS["cert-manager"])
    certificate = find(manifests, "Certificate", "sealgate-webhook")
    for obj in manifests:
        if obj["kind"].endswith("WebhookConfiguration"):
            authority = obj["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
            assert authority == f"{NAMESPACE}/{certificate['metadata']['name']}"
    assert certificate["spec"]["secretName"] == "sealgate-webhook-tls"
    assert f"sealgate-webhook.{NAMESPACE}.svc" in certificate["spec"]["dnsNames"]
    assert certificate["spec"]["issuerRef"] == {"kind": "Issuer", "name": "sealgate-ca"}


def test_an_issuer_of_one_s_own_is_used_as_it_is() -> None:
    manifests = render(VALUE_SETS["cert-manager-issuer"])
    assert find(manifests, "Certificate")["spec"]["issuerRef"] == {"kind": "ClusterIssuer", "name": "company"}
    assert "Issuer" not in {obj["kind"] for obj in manifests}
