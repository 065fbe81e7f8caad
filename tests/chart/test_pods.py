"""The pods: what they may do on their node, and how they come and go."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import SystemClock
from sealgate.errors import UnavailableError
from sealgate.kms.platform import GOOGLE_TOKEN, VAULT_TOKEN
from sealgate_operator.config import OperatorConfig
from sealgate_operator.worker.config import WorkerConfig
from sealgate_webhook.events.server import DRAIN_SECONDS
from sealgate_webhook.server.timeouts import MAX_SECONDS
from tests.chart.rendering import (
    CHART,
    GOOGLE,
    NAMESPACE,
    VALUE_SETS,
    Manifest,
    config,
    find,
    helm,
    pods,
    render,
    webhooks,
)

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds that a pod has to end where its spec says nothing.
KUBERNETES_GRACE = 30


@pytest.mark.parametrize("name", VALUE_SETS)
def test_no_pod_has_a_privilege(name: str) -> None:
    for spec in pods(render(VALUE_SETS[name])):
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostPID", "hostIPC", "shareProcessNamespace"} & spec.keys()
        # test_platforms.py covers the two exceptions: IDs that the cluster assigns, and the network of the node.
        assert name == "host-network" or context["runAsUser"] >= 10000
        assert name == "host-network" or "hostNetwork" not in spec
        for volume in spec["volumes"]:
            # Nothing of the node; projected only a token for a service outside, which the API server does not accept.
            assert volume.keys() - {"name"} <= {"configMap", "secret", "emptyDir", "projected"}
            for source in volume.get("projected", {}).get("sources", []):
                assert source.keys() == {"serviceAccountToken"}
                assert source["serviceAccountToken"]["audience"]
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_only_pods_that_ask_the_api_server_have_a_token(name: str) -> None:
    manifests = render(VALUE_SETS[name])
    for obj in manifests:
        if obj["kind"] == "ServiceAccount":
            assert obj["automountServiceAccountToken"] is False
        if obj["kind"] == "Deployment":
            assert obj["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
        if obj["kind"] == "Pod":
            assert obj["spec"]["automountServiceAccountToken"] is False
            assert "serviceAccountName" not in obj["spec"]


def test_the_webhook_may_be_given_a_folder_of_signatures() -> None:
    volume = {"name": "signatures", "persistentVolumeClaim": {"claimName": "signatures", "readOnly": True}}
    mount = {"name": "signatures", "mountPath": "/signatures", "readOnly": True}
    manifests = render({"webhook": {"extraVolumes": [volume], "extraVolumeMounts": [mount]}})
    given = [spec for spec in pods(manifests) if volume in spec["volumes"]]
    assert [spec["containers"][0]["name"] for spec in given] == ["webhook"]
    assert mount in given[0]["containers"][0]["volumeMounts"]
    assert {"name": "tmp", "mountPath": "/tmp"} in given[0]["containers"][0]["volumeMounts"]


@pytest.mark.parametrize(
    ("name", "values", "audience", "path"),
    [
        ("vault-token", {"vault": {"address": "https://vault.test:8200", "audience": "v"}}, "v", VAULT_TOKEN),
        ("google-token", {"google": {"audience": GOOGLE}}, f"https:{GOOGLE}", GOOGLE_TOKEN),
        ("google-token", {"google": {"audience": GOOGLE, "tokenAudience": "g"}}, "g", GOOGLE_TOKEN),
    ],
)
def test_operator_and_worker_get_a_token_for_a_key_service(
    name: str, values: Manifest, audience: str, path: Path
) -> None:
    quiet = {"signing": {"enabled": True}, "webhook": {"pullSecrets": {"enabled": False}}}
    assert "-token" not in str([spec["volumes"] for spec in pods(render(quiet))])
    manifests = render({**quiet, "kms": values})
    token = {"serviceAccountToken": {"path": "token", "audience": audience, "expirationSeconds": 3600}}
    volume = {"name": name, "projected": {"sources": [token]}}
    given = [spec["containers"][0] for spec in pods(manifests) if volume in spec["volumes"]]
    assert [container["name"] for container in given] == ["operator", "signing-worker"]
    for container in given:
        mounts = [mount for mount in container["volumeMounts"] if mount["name"] == name]
        assert mounts == [{"name": name, "mountPath": str(path.parent), "readOnly": True}]
    assert config(manifests, "operator")["kms"] == config(manifests, "signing-worker")["kms"]
    identities = OperatorConfig.model_validate(config(manifests, "operator")).kms.identities({}, SystemClock())
    with pytest.raises(UnavailableError, match=f"{path} cannot be read"):
        identities.read(name.removesuffix("-token"))


def test_pods_know_their_name_and_namespace() -> None:
    for component in ("webhook", "operator"):
        env = _container(component)["env"]
        assert [variable["name"] for variable in env] == ["POD_NAME", "POD_NAMESPACE"]


def test_the_webhook_is_probed_over_tls_and_the_operator_is_not() -> None:
    webhook = _container("webhook")
    assert webhook["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "https", "scheme": "HTTPS"}
    assert webhook["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "https", "scheme": "HTTPS"}
    operator = _container("operator")
    assert operator["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    # Only replicas that have seen the rules in place are ready; one that has not is not ended for it.
    assert operator["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert operator["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def test_helm_waits_for_the_operator() -> None:
    """`helm --wait` takes a Deployment for ready without as many replicas as its strategy lets be away."""
    assert "strategy" not in find(render(), "Deployment", "sealgate-operator")["spec"]  # a quarter, rounded down


def test_a_replica_under_load_is_not_ended_for_it() -> None:
    probe = _container("webhook")["livenessProbe"]
    assert probe["timeoutSeconds"] * probe["failureThreshold"] >= 60


def test_the_webhook_has_time_to_answer_what_is_in_flight() -> None:
    spec = find(render(), "Deployment", "sealgate-webhook")["spec"]
    longest = max(webhook["timeoutSeconds"] for webhook in webhooks(render()).values())
    grace = spec["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > 2 * longest
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert grace > _wait_before_stop(_container("webhook")) + MAX_SECONDS
    events = find(render(VALUE_SETS["signing"]), "Deployment", "sealgate-signing-events")["spec"]["template"]["spec"]
    (container,) = events["containers"]
    assert events.get("terminationGracePeriodSeconds", KUBERNETES_GRACE) > _wait_before_stop(container) + DRAIN_SECONDS


def _wait_before_stop(container: Manifest) -> float:
    """Return the seconds for which a container goes on before SIGTERM; its command is Python's own, without a shell."""
    *python, code = container["lifecycle"]["preStop"]["exec"]["command"]
    assert python == ["python", "-c"]
    (seconds,) = re.fullmatch(r"import time; time\.sleep\((\d+)\)", code).groups()  # type: ignore[union-attr]
    assert int(seconds) >= 10
    return float(seconds)


def test_the_webhook_starts_only_with_a_certificate() -> None:
    (volume,) = (volume for volume in _spec("webhook")["volumes"] if volume["name"] == "tls")
    assert "optional" not in volume["secret"]
    assert [item["key"] for item in volume["secret"]["items"]] == ["tls.crt", "tls.key", "ca.crt"]


def test_no_other_pod_sees_the_private_key() -> None:
    (test,) = (obj["spec"] for obj in render() if obj["kind"] == "Pod")
    assert [volume["secret"]["items"] for volume in test["volumes"]] == [[{"key": "ca.crt", "path": "ca.crt"}]]
    assert "secret" not in str(_spec("operator")["volumes"])


def test_the_chart_writes_no_key_that_an_upgrade_would_write_again() -> None:
    secrets = [obj for obj in render() if obj["kind"] == "Secret"]
    assert {secret["metadata"]["name"] for secret in secrets} == {"sealgate-webhook-tls", "sealgate-ca"}
    assert all(not {"data", "stringData"} & secret.keys() for secret in secrets)


def test_pods_go_before_what_they_admit_and_are_spread() -> None:
    for component in ("webhook", "operator"):
        spec = _spec(component)
        assert spec["priorityClassName"] == "system-cluster-critical"
        template = find(render(), "Deployment", f"sealgate-{component}")["spec"]["template"]
        for constraint in spec["topologySpreadConstraints"]:
            assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
            assert constraint["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_a_drain_never_takes_two_replicas_and_never_waits_for_ever() -> None:
    budgets = [obj["spec"] for obj in render() if obj["kind"] == "PodDisruptionBudget"]
    assert [budget["maxUnavailable"] for budget in budgets] == [1, 1]
    assert {budget["unhealthyPodEvictionPolicy"] for budget in budgets} == {"AlwaysAllow"}


def test_a_quota_lets_critical_pods_in_where_a_cluster_wants_one() -> None:
    quota = find(render(VALUE_SETS["everything"]), "ResourceQuota", "sealgate-critical-pods")
    assert quota["spec"]["scopeSelector"]["matchExpressions"][0]["values"] == ["system-cluster-critical"]
    assert "ResourceQuota" not in {obj["kind"] for obj in render(VALUE_SETS["bare"])}


def test_pods_are_reached_only_at_their_ports() -> None:
    for component, ports in (("webhook", ["https", "metrics"]), ("operator", ["metrics"])):
        policy = find(render(), "NetworkPolicy", f"sealgate-{component}")["spec"]
        assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == ports
        assert policy["policyTypes"] == ["Ingress", "Egress"]
    narrow = find(render(VALUE_SETS["everything"]), "NetworkPolicy", "sealgate-webhook")["spec"]
    assert "from" not in narrow["ingress"][0]
    assert "from" in narrow["ingress"][1]
    assert narrow["egress"][0] == {"ports": [{"port": 443, "protocol": "TCP"}]}


def test_the_operator_reaches_the_counts_of_the_webhook() -> None:
    values = {"networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}], "egress": [{"ports": [{"port": 443}]}]}}
    manifests = render(values)
    peers = find(manifests, "NetworkPolicy", "sealgate-webhook")["spec"]["ingress"][1]["from"]
    assert peers[-1]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "operator"
    rule = find(manifests, "NetworkPolicy", "sealgate-operator")["spec"]["egress"][1]
    assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]
    assert rule["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "webhook"


def _spec(component: str) -> Manifest:
    spec = find(render(), "Deployment", f"sealgate-{component}")["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def _container(component: str) -> Manifest:
    (container,) = _spec(component)["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize(
    ("provider", "ports", "addresses"),
    [
        ("aws", [80], ["169.254.170.23/32", "fd00:ec2::23/128"]),
        ("azure", [80], ["169.254.169.254/32"]),
        ("google", [80, 988], ["169.254.169.254/32", "169.254.169.252/32"]),
        ("huawei", [80], ["169.254.169.254/32"]),
    ],
)
def test_metadata_service_is_open_to_those_that_ask_it(provider: str, ports: list[int], addresses: list[str]) -> None:
    own = {"ports": [{"port": 443, "protocol": "TCP"}]}
    quiet: Manifest = {
        "signing": {"enabled": True},
        "webhook": {"pullSecrets": {"enabled": False}},
        "reports": {"enabled": True},
        "networkPolicy": {"egress": [own]},
    }
    rule = {
        "ports": [{"port": port, "protocol": "TCP"} for port in ports],
        "to": [{"ipBlock": {"cidr": address}} for address in addresses],
    }
    keys: Manifest = {"kms": {provider: {"metadataService": True}}}
    pulls: Manifest = {
        "registries": {"platformCredentials": [{"provider": provider, "hosts": ["a.test"], "metadataService": True}]}
    }
    for values, components in ((keys, ("operator", "signing-worker")), (pulls, ("webhook", "reports"))):
        manifests = render({**quiet, **values})
        policies = [obj for obj in manifests if obj["kind"] == "NetworkPolicy"]
        opened = [obj["metadata"]["name"] for obj in policies if rule in obj["spec"]["egress"]]
        assert sorted(opened) == sorted(f"sealgate-{component}" for component in components)
        assert str(policies).count("169.254.") == 2 * len([each for each in addresses if each.startswith("169")])


def test_operator_and_worker_ask_the_metadata_services_of_the_values_alone() -> None:
    signing: Manifest = {"signing": {"enabled": True}, "webhook": {"pullSecrets": {"enabled": False}}}
    for kms, asked in (({}, []), ({"huawei": {"metadataService": True}}, ["huawei"])):
        manifests = render({**signing, "kms": kms})
        for component, model in (("operator", OperatorConfig), ("signing-worker", WorkerConfig)):
            assert model.model_validate(config(manifests, component)).kms.metadata_services == asked


def test_google_has_one_identity() -> None:
    done = helm(
        *("template", "sealgate", str(CHART), "--namespace", NAMESPACE),
        values={"kms": {"google": {"audience": GOOGLE, "metadataService": True}}},
    )
    assert done.returncode != 0
    assert "kms.google has audience and metadataService: set one of them" in done.stderr
