"""What the values do, and which are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from sealgate_operator.config import OperatorConfig
from sealgate_webhook.backends.cluster.config import WebhookConfig
from tests.chart.rendering import CHART, NAMESPACE, ROOT, VALUE_SETS, config, find, helm, render, webhooks

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_readme_and_schema_are_generated_from_the_values() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/chart_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_value_is_described() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert [path for path, node in _nodes(schema, "") if not node.get("description") and path != "global"] == []


def test_the_defaults_fit_their_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load((CHART / "values.yaml").read_text()), schema)


ROLLOUT = {
    "group": "argoproj.io",
    "versions": ["v1alpha1"],
    "resource": "rollouts",
    "kind": "Rollout",
    "podSpec": "spec.template.spec",
}


def test_a_custom_kind_is_configured_once() -> None:
    done = helm("template", "sealgate", str(CHART), values={"customKinds": [ROLLOUT, {**ROLLOUT, "versions": ["v1"]}]})
    assert done.returncode != 0
    assert "customKinds lists argoproj.io/Rollout twice: give all its fields in one entry" in done.stderr
    other = {**ROLLOUT, "group": "example.org"}
    written = config(render({"customKinds": [ROLLOUT, other]}), "webhook")
    assert written["customKinds"] == [ROLLOUT, other]
    assert len(WebhookConfig.model_validate(written).workload_kinds().named("Rollout")) == 2


@pytest.mark.parametrize(
    "values",
    [
        {"unmatchedImages": "Allow"},
        {"unmatchedImage": "Deny"},
        {"webhook": {"image": {"digests": "a"}}},
        {"webhook": {"image": {"digest": "1234"}}},
        {"webhook": {"replicas": "two"}},
        {"webhook": {"timeoutSeconds": 31}},
        {"webhook": {"failurePolicy": "ignore"}},
        {"webhook": {"workloads": "Audit"}},
        {"webhook": {"url": "http://example.org"}},
        {"webhook": {"url": "https://example.org/path"}},
        {"registries": {"insecure": "registry.test:5000"}},
        {"registries": {"insecure": [5000]}},
        {"certificates": {"leafLifetimeHours": 0}},
        {"customKinds": [{"group": "argoproj.io", "versions": ["v1"], "kind": "Rollout", "podSpec": "spec"}]},
        {"customKinds": [{"group": "argoproj.io", "versions": ["v1"], "kind": "Rollout", "resource": "rollouts"}]},
        {"customKinds": [{**ROLLOUT, "podSpec": []}]},
        {"customKinds": [{**ROLLOUT, "images": []}]},
        {"customKinds": [{**ROLLOUT, "group": ""}]},
    ],
)
def test_values_that_cannot_be_meant_are_refused(values: dict[str, Any]) -> None:
    done = helm("template", "sealgate", str(CHART), values=values)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr


def test_the_image_is_named_by_tag_or_digest_or_both() -> None:
    def image(**values: str) -> Any:
        values = {"repository": "registry.example.org/webhook", **values}
        manifests = render({"webhook": {"image": values}})
        deployment = find(manifests, "Deployment", "sealgate-webhook")
        return deployment["spec"]["template"]["spec"]["containers"][0]["image"]

    digest = "sha256:" + "a" * 64
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert image() == f"registry.example.org/webhook:{version}"
    assert image(tag="1.2") == "registry.example.org/webhook:1.2"
    assert image(digest=digest) == f"registry.example.org/webhook@{digest}"
    assert image(tag="1.2", digest=digest) == f"registry.example.org/webhook:1.2@{digest}"


def test_the_webhook_is_configured_by_the_values() -> None:
    assert config(render(), "webhook") == {
        "listen": "0.0.0.0:8443",
        "metricsListen": "0.0.0.0:8080",
        "tlsDirectory": "/etc/sealgate/tls",
        "clientCa": "",
        "clientNames": [],
        "selfTestCertificate": "",
        "registries": {
            "insecure": [],
            "private": [],
            "mirrors": {},
            "ca": {},
            "dockerConfigSecret": "",
            "verificationsPerMinute": 300,
            "burst": 300,
            "platformCredentials": [],
        },
        "pullSecrets": True,
        "serviceSecrets": [],
        "unmatchedImages": "Admit",
        "requireDigests": True,
        "workloads": "Enforce",
        "timeoutSeconds": 10,
        "exceptions": {"maxHours": 72},
        "cache": {
            "tagSeconds": 30,
            "staleTagSeconds": 0,
            "verifiedSeconds": 600,
            "refusedSeconds": 30,
            "mebibytes": 80,
        },
        "sharedCache": None,
        "customKinds": [],
        "trustedState": "sealgate-trusted-state",
        "logLevel": "info",
    }
    bare = config(render(VALUE_SETS["bare"]), "webhook")
    assert (bare["pullSecrets"], bare["requireDigests"], bare["workloads"]) == (False, False, "Ignore")
    everything = config(render(VALUE_SETS["everything"]), "webhook")
    assert everything["registries"]["private"] == ["registry.corp.test"]
    assert everything["unmatchedImages"] == "Deny"
    assert everything["serviceSecrets"] == ["oci"]
    assert everything["registries"]["insecure"] == ["registry.test:5000"]
    assert everything["registries"]["dockerConfigSecret"] == "pull"
    assert everything["registries"]["verificationsPerMinute"] == 1000000
    assert everything["cache"]["mebibytes"] == 2000000
    assert everything["customKinds"][0]["podSpec"] == ["spec.template.spec"]


@pytest.mark.parametrize("name", ["default", "everything", "cert-manager", "client-certificates"])
def test_the_webhook_takes_what_the_chart_writes(name: str) -> None:
    written = config(render(VALUE_SETS[name]), "webhook")
    taken = WebhookConfig.model_validate(written).model_dump(by_alias=True, mode="json")
    # Deprecated: the chart writes it only if it is set.
    assert taken["cache"].pop("entries") is None
    assert taken == written


def test_deprecated_number_of_cache_entries_counts_with_a_warning() -> None:
    values = {"cache": {"entries": 50000}}
    written = config(render(values), "webhook")
    assert WebhookConfig.model_validate(written).verifier_settings().cache_bytes == 50000 * 800
    for given, warned in ((values, True), ({}, False)):
        done = helm("install", "sealgate", str(CHART), "-n", NAMESPACE, "--dry-run=client", values=given)
        assert ("cache.entries is deprecated" in done.stdout) is warned


@pytest.mark.parametrize("name", ["default", "everything", "cert-manager", "client-certificates", "outside"])
def test_the_operator_takes_what_the_chart_writes(name: str) -> None:
    written = config(render(VALUE_SETS[name]), "operator")
    taken = OperatorConfig.model_validate(written).model_dump(by_alias=True, mode="json")
    # Credentials and budgets of registries are the webhook's alone.
    assert taken.pop("registries").items() <= written.pop("registries").items()
    assert taken == written


def test_the_operator_is_configured_by_the_values() -> None:
    operator = config(render({"certificates": {"leafLifetimeHours": 0.05}}), "operator")
    assert operator["certificates"] == {"managed": True, "caLifetimeHours": 8760, "leafLifetimeHours": 0.05}
    assert operator["webhooks"] == "sealgate-operator"
    assert operator["webhookService"] == {"name": "sealgate-webhook", "inCluster": True}
    assert operator["tlsSecret"] == "sealgate-webhook-tls"
    assert operator["caSecret"] == "sealgate-ca"
    assert operator["keyRefreshSeconds"] == 300
    assert operator["failurePolicy"] == "Fail"
    assert operator["excludedNamespaces"] == ["kube-system", "kube-public", "kube-node-lease", NAMESPACE]


def test_both_components_reach_registries_in_the_same_way() -> None:
    manifests = render(VALUE_SETS["everything"])
    webhook = config(manifests, "webhook")["registries"]
    # The operator verifies nothing, so that no identity is used for its registries.
    assert webhook.pop("platformCredentials")
    assert webhook == config(manifests, "operator")["registries"]


@pytest.mark.parametrize("name", ["cert-manager", "outside"])
def test_the_operator_leaves_certificates_to_others_where_others_issue_them(name: str) -> None:
    manifests = render(VALUE_SETS[name])
    assert config(manifests, "operator")["certificates"]["managed"] is False
    assert "Secret" not in {obj["kind"] for obj in manifests}


@pytest.mark.parametrize("component", ["webhook", "operator"])
def test_pods_are_replaced_when_their_configuration_changes(component: str) -> None:
    def checksum(values: dict[str, Any]) -> Any:
        deployment = find(render(values), "Deployment", f"sealgate-{component}")
        return deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum({}) == checksum({"webhook": {"replicas": 3}})
    assert checksum({}) != checksum({"logLevel": "debug"})


def test_operators_are_replaced_when_the_rules_change() -> None:
    kinds = VALUE_SETS["everything"]["customKinds"]
    before, after = (find(render(values), "Deployment", "sealgate-operator") for values in ({}, {"customKinds": kinds}))
    assert before["spec"]["template"] != after["spec"]["template"]


def test_autoscaling_leaves_the_number_of_replicas_alone() -> None:
    assert find(render(), "Deployment", "sealgate-webhook")["spec"]["replicas"] == 2
    manifests = render(VALUE_SETS["everything"])
    assert "replicas" not in find(manifests, "Deployment", "sealgate-webhook")["spec"]
    assert find(manifests, "HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 6


def test_no_webhook_is_installed_beside_one_that_runs_elsewhere() -> None:
    manifests = render(VALUE_SETS["outside"])
    names = {(obj["kind"], obj["metadata"]["name"]) for obj in manifests}
    assert [name for name in names if name[1] == "sealgate-webhook"] == []
    client = webhooks(manifests)["workloads.sealgate.dev"]["clientConfig"]
    assert client == {"url": "https://192.0.2.1:8443/validate", "caBundle": "TUE9PQ=="}


def _nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, node in schema.get("properties", {}).items():
        yield f"{path}{name}", node
        yield from _nodes(node, f"{path}{name}.")


def test_the_ready_made_custom_kinds_are_values_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values-custom-kinds.yaml").read_text())
    settings = config(render(values), "webhook")
    assert settings["customKinds"] == values["customKinds"]
