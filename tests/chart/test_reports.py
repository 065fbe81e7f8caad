"""The reports: a process with the webhook's rights to read, only where it is enabled."""

from __future__ import annotations

import pytest
import yaml

from sealgate_operator.config import OperatorConfig
from sealgate_webhook.reports.checks import IMAGE_SECONDS
from sealgate_webhook.reports.config import ReportsConfig
from sealgate_webhook.reports.documents import APIS
from sealgate_webhook.reports.rounds import VERIFYING
from tests.chart.rendering import NAMESPACE, VALUE_SETS, find, helm, render
from tests.chart.test_rbac import rights

ENABLED = {"reports": {"enabled": True}}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_they_are_installed_only_where_they_are_enabled(name: str) -> None:
    values = VALUE_SETS[name]
    manifests = render(values)
    parts = [o for o in manifests if o["metadata"]["labels"].get("app.kubernetes.io/component") == "reports"]
    enabled = values.get("reports", {}).get("enabled", False)
    assert bool(parts) == enabled
    roles = [rights(o) for o in manifests if o["kind"] in {"Role", "ClusterRole"}]
    groups = {resource.partition("/")[0] for granted in roles for resource, _, _ in granted}
    assert ({api.group for api in APIS} <= groups) == enabled
    assert enabled or not ({api.group for api in APIS} & groups)


def test_they_read_what_the_webhook_reads_list_workloads_and_write_reports() -> None:
    manifests = render(ENABLED)
    events = {right for right in rights(find(manifests, "ClusterRole", "sealgate-webhook")) if "events" in right[0]}
    reading = rights(find(manifests, "ClusterRole", "sealgate-webhook")) - events
    workloads = {
        *("/pods", "/podtemplates", "/replicationcontrollers", "apps/daemonsets", "apps/deployments"),
        *("apps/replicasets", "apps/statefulsets", "batch/cronjobs", "batch/jobs"),
    }
    assert rights(find(manifests, "ClusterRole", "sealgate-reports")) == (
        reading
        | {(resource, "", "list") for resource in workloads}
        | {
            (f"{api.group}/{api.plural}", "", verb)
            for api in APIS
            for verb in ("get", "list", "create", "update", "delete")
        }
        | {("rbac.authorization.k8s.io/clusterroles", "sealgate-reports", "get")}
    )
    assert rights(find(manifests, "Role", "sealgate-reports")) == rights(find(manifests, "Role", "sealgate-webhook"))


def test_they_renew_one_lease() -> None:
    manifests = render(ENABLED)
    lease = find(manifests, "Lease", "sealgate-reports")
    assert "spec" not in lease
    granted = rights(find(manifests, "Role", "sealgate-reports-lease"))
    assert granted == {("coordination.k8s.io/leases", "sealgate-reports", "patch")}
    settings = yaml.safe_load(find(manifests, "ConfigMap", "sealgate-operator")["data"]["config.yaml"])
    assert OperatorConfig.model_validate(settings).reports_lease == lease["metadata"]["name"]


def test_they_read_secrets_only_where_the_webhook_does() -> None:
    off = render({**ENABLED, "webhook": {"pullSecrets": {"enabled": False}}})
    assert not [r for r in rights(find(off, "ClusterRole", "sealgate-reports")) if r[0] == "/secrets"]
    some = render({**ENABLED, "webhook": {"pullSecrets": {"namespaces": ["shop"]}}})
    assert not [r for r in rights(find(some, "ClusterRole", "sealgate-reports")) if r[0] == "/secrets"]
    role = find(some, "Role", "sealgate-reports-pull-secrets")
    assert (role["metadata"]["namespace"], {verb for _, _, verb in rights(role)}) == ("shop", {"get"})


def test_they_list_custom_kinds() -> None:
    granted = rights(find(render(VALUE_SETS["everything"]), "ClusterRole", "sealgate-reports"))
    assert ("argoproj.io/rollouts", "", "list") in granted


def test_tenants_see_reports_with_view() -> None:
    role = find(render(ENABLED), "ClusterRole", "sealgate-report-viewer")
    assert role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert {verb for _, _, verb in rights(role)} == {"get", "list", "watch"}


@pytest.mark.parametrize("values", [ENABLED, VALUE_SETS["everything"]])
def test_their_settings_are_those_that_they_read(values: dict[str, object]) -> None:
    manifests = render(values)
    text = find(manifests, "ConfigMap", "sealgate-reports")["data"]["config.yaml"]
    config = ReportsConfig.model_validate(yaml.safe_load(text))
    assert config.lease == find(manifests, "Lease", "sealgate-reports")["metadata"]["name"]
    assert config.owner == find(manifests, "ClusterRole", "sealgate-reports")["metadata"]["name"]
    assert NAMESPACE in config.excluded_namespaces
    config.workload_kinds()
    config.registries.settings()


def test_by_default_a_change_is_reported_within_two_minutes() -> None:
    """A change is seen at the latest by the round after the one that it just missed."""
    text = find(render(ENABLED), "ConfigMap", "sealgate-reports")["data"]["config.yaml"]
    interval = ReportsConfig.model_validate(yaml.safe_load(text)).interval_seconds
    assert interval + VERIFYING * interval + IMAGE_SECONDS < 120


def test_one_replica_runs_at_a_time() -> None:
    spec = find(render(ENABLED), "Deployment", "sealgate-reports")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    (container,) = spec["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "sealgate_webhook.reports"]
    assert container["image"].startswith("ghcr.io/sealgate/sealgate-webhook:")


def test_they_need_the_webhook_of_the_chart() -> None:
    values = {**VALUE_SETS["outside"], **ENABLED}
    done = helm("template", "sealgate", "charts/sealgate", "--namespace", NAMESPACE, values=values)
    assert done.returncode != 0
    assert "reports.enabled needs the webhook that the chart installs" in done.stderr
