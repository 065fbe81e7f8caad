"""What the chart renders on each platform: OpenShift, EKS, GKE, AKS, and Pod Security levels."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.chart.rendering import CHART, NAMESPACE, ROOT, VALUE_SETS, Manifest, config, find, helm, pods, render
from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from pathlib import Path

OPENSHIFT = "security.openshift.io/v1"
IDS = {"runAsUser", "runAsGroup", "fsGroup"}
INSTALL = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


def _on(values: Manifest, *options: str) -> list[Manifest]:
    """Render the chart as helm does for a cluster with certain capabilities."""
    done = helm("template", "sealgate", str(CHART), "--namespace", NAMESPACE, *options, values=values)
    assert done.returncode == 0, done.stderr
    return [obj for obj in yaml.load_all(done.stdout, yaml.CSafeLoader) if obj is not None]


@pytest.mark.parametrize(
    ("value", "openshift", "omitted"),
    [
        ("Auto", False, False),
        ("Auto", True, True),
        ("Always", False, True),
        ("Never", True, False),
    ],
)
def test_user_and_group_ids_are_left_to_openshift(value: str, *, openshift: bool, omitted: bool) -> None:
    options = ["--api-versions", OPENSHIFT] if openshift else []
    contexts = [spec["securityContext"] for spec in pods(tuple(_on({"omitUserIds": value}, *options)))]
    assert len(contexts) == 3
    for context in contexts:
        assert IDS & context.keys() == (set() if omitted else IDS)
        # What is left is what the SCC restricted-v2 and the Pod Security level restricted ask for.
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("name", sorted(set(VALUE_SETS) - {"host-network"}))
def test_pods_meet_pod_security_level_restricted(name: str) -> None:
    for spec in pods(render(VALUE_SETS[name])):
        assert _violations(spec) == []


def test_host_network_needs_pod_security_level_privileged_for_nothing_else() -> None:
    webhook, *others = pods(render(VALUE_SETS["host-network"]))
    webhook, *others = sorted((webhook, *others), key=lambda spec: "hostNetwork" not in spec)
    assert _violations(webhook) == ["hostNetwork", "hostPort", "hostPort"]
    assert [_violations(spec) for spec in others] == [[], []]


def _violations(spec: Manifest) -> list[str]:
    """Return the fields that the Pod Security Standards forbid at level restricted.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    context = spec["securityContext"]
    found = [field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        found.append("runAsNonRoot")
    if context.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        found.append("seccompProfile")
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    found += [key for volume in spec["volumes"] for key in volume.keys() - {"name"} - allowed]
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        inner = container["securityContext"]
        found += ["hostPort" for port in container.get("ports", ()) if port.get("hostPort")]
        if inner.get("allowPrivilegeEscalation") is not False:
            found.append("allowPrivilegeEscalation")
        if inner.get("capabilities", {}).get("drop") != ["ALL"] or inner["capabilities"].get("add"):
            found.append("capabilities")
        found += [field for field in ("privileged", "procMount") if field in inner]
    return found


def test_the_webhook_can_use_the_network_of_its_node() -> None:
    manifests = render({"webhook": {"hostNetwork": {"enabled": True, "port": 20443, "metricsPort": 20080}}})
    deployment = find(manifests, "Deployment", "sealgate-webhook")["spec"]
    spec = deployment["template"]["spec"]
    assert spec["hostNetwork"] is True
    # Without it, names of the cluster such as the API server's are not found.
    assert spec["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert spec["containers"][0]["ports"] == [
        {"name": "https", "containerPort": 20443, "hostPort": 20443},
        {"name": "metrics", "containerPort": 20080, "hostPort": 20080},
    ]
    written = config(manifests, "webhook")
    assert (written["listen"], written["metricsListen"]) == ("0.0.0.0:20443", "0.0.0.0:20080")
    # The ports of a node are free for a new replica only after the old one has ended.
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert "hostNetwork" not in find(manifests, "Deployment", "sealgate-operator")["spec"]["template"]["spec"]
    assert find(manifests, "PodDisruptionBudget", "sealgate-webhook")["spec"]["maxUnavailable"] == 1


def test_no_network_policy_pretends_to_protect_the_network_of_a_node() -> None:
    policies = [obj["metadata"]["name"] for obj in render(VALUE_SETS["host-network"]) if obj["kind"] == "NetworkPolicy"]
    assert policies == ["sealgate-operator"]
    assert "NetworkPolicies do not apply to it" in _notes(VALUE_SETS["host-network"])
    assert "NetworkPolicies do not apply to it" not in _notes({})


@pytest.mark.parametrize("port", [80, 443, 70000, "18443"])
def test_ports_of_a_node_that_the_webhook_may_not_bind_are_refused(port: Any) -> None:
    done = helm(
        "template", "sealgate", str(CHART), values={"webhook": {"hostNetwork": {"enabled": True, "port": port}}}
    )
    assert done.returncode != 0
    assert "hostNetwork/port" in done.stderr


@pytest.mark.parametrize("name", VALUE_SETS)
def test_aks_adds_no_exceptions_to_the_webhooks(name: str) -> None:
    configurations = [obj for obj in render(VALUE_SETS[name]) if obj["kind"].endswith("WebhookConfiguration")]
    assert configurations
    for obj in configurations:
        assert obj["metadata"]["annotations"]["admissions.enforcer/disabled"] == "true"


@pytest.mark.parametrize(
    ("values", "port"), [({}, 8443), ({"webhook": {"hostNetwork": {"enabled": True, "port": 20443}}}, 20443)]
)
def test_gke_is_told_which_port_its_firewall_must_open(tmp_path: Path, values: Manifest, port: int) -> None:
    notes = _notes_on(tmp_path, values, "v1.33.4-gke.1134000")
    assert f"TCP port {port} " in notes
    assert "resourceQuota.enabled=true" in notes
    assert "GKE" not in _notes_on(tmp_path, values, "v1.33.4")
    assert "resourceQuota" not in _notes_on(tmp_path, {"resourceQuota": {"enabled": True}}, "v1.33.4-gke.1134000")


def test_the_installation_page_names_the_ports_that_the_chart_uses() -> None:
    container = find(render(), "Deployment", "sealgate-webhook")["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert re.findall(r"--rules tcp:(\d+)", INSTALL) == [str(ports["https"])]
    written = config(render(VALUE_SETS["host-network"]), "webhook")
    for address in (written["listen"], written["metricsListen"]):
        assert f"`{address.rpartition(':')[2]}`" in INSTALL


def _notes(values: Manifest) -> str:
    done = helm("install", "sealgate", str(CHART), "--namespace", NAMESPACE, "--dry-run=client", values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def _notes_on(folder: Path, values: Manifest, version: str) -> str:
    """Return the notes about the platform for a version of Kubernetes, which helm takes only for templates."""
    chart = folder / "chart"
    if not chart.exists():
        shutil.copytree(CHART, chart)
        (chart / "templates" / "notes.yaml").write_text(
            'notes: {{ include "sealgate.notes.where" . | quote }}\n', encoding="utf-8"
        )
    done = subprocess.run(
        [
            *(require_tool("helm"), "template", "sealgate", str(chart), "--kube-version", version),
            *("--show-only", "templates/notes.yaml", "--values", "-"),
        ],
        input=json.dumps(values),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    notes = yaml.safe_load(done.stdout)["notes"]
    assert isinstance(notes, str)
    return notes
