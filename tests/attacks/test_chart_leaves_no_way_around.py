"""Attacks on the installation itself, met by what the chart renders with any values."""

from __future__ import annotations

import pytest

from tests.chart.rendering import NAMESPACE, VALUE_SETS, Manifest, config, render, webhooks

#: Namespace of the canary's pods, of which there are none.
CANARY = f"{NAMESPACE}-canary"
#: Webhooks that are sent policy objects, which are in no namespace, and no workloads.
POLICY_OBJECTS = frozenset({"policies.sealgate.dev", "exceptions.sealgate.dev"})
EVERY_SET = pytest.mark.parametrize("name", VALUE_SETS)


def _webhooks(manifests: tuple[Manifest, ...]) -> list[Manifest]:
    """Return the webhooks that admit anything, with the rules that the operator applies."""
    return [webhook for name, webhook in webhooks(manifests).items() if name != "self-test.sealgate.dev"]


def _rules(manifests: tuple[Manifest, ...]) -> list[Manifest]:
    return [rule for obj in manifests if obj["kind"] in {"Role", "ClusterRole"} for rule in obj["rules"]]


@EVERY_SET
def test_attack_18_ephemeral_containers_are_sent_to_the_webhook(name: str) -> None:
    for webhook in _webhooks(render(VALUE_SETS[name])):
        if webhook["name"] not in POLICY_OBJECTS:
            resources = [resource for rule in webhook["rules"] for resource in rule["resources"]]
            assert "pods/ephemeralcontainers" in resources


@EVERY_SET
def test_attack_24_no_label_exempts_a_namespace_or_an_object(name: str) -> None:
    for webhook in _webhooks(render(VALUE_SETS[name])):
        assert "objectSelector" not in webhook
        assert "matchConditions" not in webhook
        if webhook["name"] in POLICY_OBJECTS:
            assert "namespaceSelector" not in webhook
            continue
        (expression,) = webhook["namespaceSelector"]["matchExpressions"]
        assert webhook["namespaceSelector"].keys() == {"matchExpressions"}
        # The one label that the API server writes, and keeps, itself.
        assert expression["key"] == "kubernetes.io/metadata.name"
        assert expression["operator"] == "NotIn"
        assert NAMESPACE in expression["values"]


def test_attack_24_only_system_namespaces_are_exempt_by_default() -> None:
    (expression,) = webhooks(render())["workloads.sealgate.dev"]["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["kube-system", "kube-public", "kube-node-lease", NAMESPACE]


@EVERY_SET
def test_attack_24_secrets_of_other_namespaces_are_out_of_reach(name: str) -> None:
    cluster_wide = [
        verb
        for obj in render(VALUE_SETS[name])
        if obj["kind"] == "ClusterRole"
        for rule in obj["rules"]
        if "secrets" in rule["resources"]
        for verb in rule["verbs"]
    ]
    assert set(cluster_wide) <= {"get"}


@pytest.mark.parametrize("name", sorted(set(VALUE_SETS) - {"cert-manager"}))
def test_attack_25_no_answer_means_no_pod(name: str) -> None:
    assert {webhook["failurePolicy"] for webhook in _webhooks(render(VALUE_SETS[name]))} == {"Fail"}


def test_attack_25_policies_are_never_stored_without_validation() -> None:
    webhooks = _webhooks(render(VALUE_SETS["cert-manager"]))
    assert {webhook["name"]: webhook["failurePolicy"] for webhook in webhooks} == {
        "workloads.sealgate.dev": "Ignore",  # written out in the values, with a warning
        "policies.sealgate.dev": "Fail",
        "exceptions.sealgate.dev": "Fail",
        "pods.sealgate.dev": "Ignore",
    }


def test_attack_25_images_without_a_policy_can_be_refused() -> None:
    assert config(render({"unmatchedImages": "Deny"}), "webhook")["unmatchedImages"] == "Deny"


@EVERY_SET
def test_attack_26_no_role_has_a_wildcard(name: str) -> None:
    for rule in _rules(render(VALUE_SETS[name])):
        assert "nonResourceURLs" not in rule
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"], *rule.get("resourceNames", ())]


#: Roles that are bound to nothing that runs.
EDITORS = ("policy-editor", "exception-editor", "signing-editor")
#: Objects that decide nothing about admission: what waits to be signed, what was there before, and reports.
SIGNING_WORK = {"signingrequests", "signingrequests/status", "signingbaselines"}
REPORTS = {("wgpolicyk8s.io", "policyreports"), ("openreports.io", "reports")}


@EVERY_SET
def test_attack_26_nothing_that_runs_may_switch_sealgate_off(name: str) -> None:
    manifests = render(VALUE_SETS[name])
    own = {obj["metadata"]["name"] for obj in manifests if obj["kind"].endswith("WebhookConfiguration")}
    for obj in manifests:
        if obj["kind"] not in {"Role", "ClusterRole"} or obj["metadata"]["name"].endswith(EDITORS):
            continue
        for rule in obj["rules"]:
            objects = {(group, resource) for group in rule["apiGroups"] for resource in rule["resources"]}
            if objects <= REPORTS | {("sealgate.dev", resource) for resource in SIGNING_WORK}:
                assert set(rule["verbs"]) <= {"get", "list", "watch", "create", "update", "patch", "delete"}
                continue
            assert not {"delete", "deletecollection", "escalate", "bind", "impersonate"} & set(rule["verbs"])
            if "admissionregistration.k8s.io" in rule["apiGroups"]:
                assert rule["resourceNames"]
                assert set(rule["resourceNames"]) <= own
                assert set(rule["verbs"]) <= {"get", "patch"}
            if "sealgate.dev" in rule["apiGroups"] and set(rule["verbs"]) & {"create", "update", "patch"}:
                assert all(resource.endswith("/status") for resource in rule["resources"])
            assert "customresourcedefinitions" not in rule["resources"]


@EVERY_SET
def test_attack_26_namespace_admins_are_given_nothing(name: str) -> None:
    for obj in render(VALUE_SETS[name]):
        if obj["kind"] == "ClusterRole":
            labels = obj["metadata"]["labels"]
            aggregated = {label for label in labels if label.startswith("rbac.authorization.k8s.io/")}
            assert aggregated <= {"rbac.authorization.k8s.io/aggregate-to-view"}
            if aggregated:
                assert {verb for rule in obj["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
        if obj["kind"].endswith("RoleBinding"):
            assert [subject["namespace"] for subject in obj["subjects"]] == [NAMESPACE]


@EVERY_SET
def test_attack_26_operator_cannot_create_tokens_for_itself(name: str) -> None:
    # The canary's one right counts in a namespace of its own, whose quota admits no pod.
    manifests = tuple(obj for obj in render(VALUE_SETS[name]) if obj["metadata"].get("namespace") != CANARY)
    for rule in _rules(manifests):
        if "secrets" in rule["resources"]:
            assert "create" not in rule["verbs"]
            if set(rule["verbs"]) & {"update", "patch"}:
                assert rule["resourceNames"] in (
                    ["sealgate-webhook-tls", "sealgate-ca"],
                    ["sealgate-self-test"],
                    ["sealgate-shared-cache"],
                )
        assert not {"serviceaccounts/token", "pods/exec", "roles", "rolebindings"} & set(rule["resources"])
        if "pods" in rule["resources"]:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}
