"""The canary: one right, in a namespace of its own, only where it is enabled."""

from __future__ import annotations

import pytest
import yaml

from sealgate_operator.canary.config import CanaryConfig
from tests.chart.rendering import NAMESPACE, VALUE_SETS, find, helm, render
from tests.chart.test_rbac import rights

ENABLED = {"canary": {"enabled": True}}
OWN = f"{NAMESPACE}-canary"


@pytest.mark.parametrize("name", VALUE_SETS)
def test_it_is_installed_only_where_it_is_enabled(name: str) -> None:
    values = VALUE_SETS[name]
    parts = [o for o in render(values) if o["metadata"]["labels"].get("app.kubernetes.io/component") == "canary"]
    assert bool(parts) == values.get("canary", {}).get("enabled", False)


def test_its_one_right_is_to_create_pods_in_its_own_namespace() -> None:
    manifests = render(ENABLED)
    grants = [
        obj
        for obj in manifests
        if obj["kind"] in {"RoleBinding", "ClusterRoleBinding"}
        and {"kind": "ServiceAccount", "name": "sealgate-canary", "namespace": NAMESPACE} in obj["subjects"]
    ]
    assert [(obj["kind"], obj["metadata"]["namespace"]) for obj in grants] == [("RoleBinding", OWN)]
    role = find(manifests, "Role", grants[0]["roleRef"]["name"])
    assert role["metadata"]["namespace"] == OWN
    assert rights(role) == {("/pods", "", "create")}


def test_no_pod_can_be_created_in_its_namespace() -> None:
    manifests = render(ENABLED)
    labels = find(manifests, "Namespace", OWN)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    quota = find(manifests, "ResourceQuota", "sealgate-canary")
    assert (quota["metadata"]["namespace"], quota["spec"]) == (OWN, {"hard": {"pods": "0"}})


def test_its_settings_are_those_that_it_reads() -> None:
    manifests = render(ENABLED)
    config = CanaryConfig.model_validate(
        yaml.safe_load(find(manifests, "ConfigMap", "sealgate-canary")["data"]["config.yaml"])
    )
    hooks = find(manifests, "ValidatingWebhookConfiguration", "sealgate-workloads")["webhooks"]
    assert [hook["name"] for hook in hooks] == [config.webhook]
    assert config.namespace == OWN
    (container,) = find(manifests, "Deployment", "sealgate-canary")["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "sealgate_operator.canary"]
    assert container["image"].startswith("ghcr.io/sealgate/sealgate-operator:")


def test_its_namespace_must_be_sent_to_the_webhook() -> None:
    done = helm(
        *("template", "sealgate", "charts/sealgate", "--namespace", NAMESPACE),
        values={**ENABLED, "webhook": {"excludedNamespaces": ["kube-system", OWN]}},
    )
    assert done.returncode != 0
    assert f"webhook.excludedNamespaces lists {OWN}" in done.stderr
