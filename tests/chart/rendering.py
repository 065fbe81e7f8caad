"""The chart as helm renders it, for sets of values that together reach every branch of it."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.real_tools.required import require_tool

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "sealgate"
NAMESPACE = "sealgate-system"

Manifest = dict[str, Any]

GOOGLE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s"

#: Every branch of the chart is taken in one of these.
VALUE_SETS: dict[str, Manifest] = {
    "default": {},
    "everything": {
        "unmatchedImages": "Deny",
        "logLevel": "debug",
        "registries": {
            "insecure": ["registry.test:5000"],
            "private": ["registry.corp.test"],
            "mirrors": {"docker.io": "mirror.test"},
            "ca": {"registry.example.org": "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"},
            "dockerConfigSecret": "pull",
            "platformCredentials": [
                {"provider": "aws", "hosts": ["123456789012.dkr.ecr.eu-central-1.amazonaws.com"]},
            ],
            "verificationsPerMinute": 1000000,
        },
        "cache": {"mebibytes": 2000000},
        "kms": {
            "aws": {"metadataService": True},
            "azure": {"metadataService": True, "clientId": "99990000-1111-2222-3333-444455556666"},
            "google": {"audience": GOOGLE},
            "vault": {"address": "https://vault.test:8200", "audience": "vault.test"},
        },
        "trustedRoots": {
            "configMaps": ["sigstore"],
            "tuf": {
                "enabled": True,
                "mirror": "https://tuf.test:8443/sigstore",
                "rootConfigMap": "tuf-root",
                "networkPolicyTo": [{"podSelector": {"matchLabels": {"app": "tuf"}}}],
            },
        },
        "sharedCache": {
            "enabled": True,
            "host": "valkey.test",
            "port": 6380,
            "secret": "valkey",
            "networkPolicyTo": [{"podSelector": {"matchLabels": {"app": "valkey"}}}],
        },
        "customKinds": [
            {
                "group": "argoproj.io",
                "versions": ["v1alpha1"],
                "resource": "rollouts",
                "kind": "Rollout",
                "podSpec": ["spec.template.spec"],
                "images": ["spec.hooks[*].image"],
            }
        ],
        "webhook": {
            "image": {"tag": "1.2.3", "digest": "sha256:" + "1" * 64, "pullPolicy": "Always"},
            "timeoutSeconds": 7,
            "excludedNamespaces": ["kube-system", "node-problem-detector"],
            "serviceSecrets": ["oci"],
            "autoscaling": {"enabled": True},
            "serviceAccountAnnotations": {"example.org/role": "webhook"},
            "podAnnotations": {"example.org/a": "b"},
            "podLabels": {"example.org/c": "d"},
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.test:3128"}],
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
        },
        "operator": {
            "image": {"digest": "sha256:" + "2" * 64},
            "replicas": 1,
            "serviceAccountAnnotations": {"example.org/role": "operator"},
            "podAnnotations": {"example.org/a": "b"},
            "podLabels": {"example.org/c": "d"},
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.test:3128"}],
        },
        "canary": {
            "enabled": True,
            "podAnnotations": {"example.org/a": "b"},
            "podLabels": {"example.org/c": "d"},
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.test:3128"}],
        },
        "reports": {
            "enabled": True,
            "intervalSeconds": 300,
            "serviceAccountAnnotations": {"example.org/role": "reports"},
            "podAnnotations": {"example.org/a": "b"},
            "podLabels": {"example.org/c": "d"},
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.test:3128"}],
        },
        "resourceQuota": {"enabled": True},
        "imagePullSecrets": ["private"],
        "networkPolicy": {
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}],
        },
        "metrics": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboard": {"enabled": True},
        },
        "commonLabels": {"team": "platform"},
    },
    "cert-manager": {
        "certificates": {"certManager": {"enabled": True}},
        "webhook": {"failurePolicy": "Ignore", "topologySpreadConstraints": []},
    },
    "cert-manager-issuer": {
        "certificates": {"certManager": {"enabled": True, "issuerRef": {"kind": "ClusterIssuer", "name": "company"}}},
        "fullnameOverride": "gate",
    },
    "client-certificates": {
        "certificates": {"certManager": {"enabled": True}},
        "webhook": {
            "clientCA": "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
            "clientNames": ["kube-apiserver"],
        },
        "networkPolicy": {"apiServerFrom": [{"ipBlock": {"cidr": "192.0.2.0/28"}}]},
    },
    "signing": {
        "webhook": {"pullSecrets": {"namespaces": ["shop", "team-a"]}},
        "signing": {
            "enabled": True,
            "secrets": [
                {"name": "push", "hosts": ["registry.example.org", "registry.test:5000"]},
                {"name": "release-key"},
            ],
            "worker": {
                "podAnnotations": {"example.org/a": "b"},
                "podLabels": {"example.org/c": "d"},
                "serviceAccountAnnotations": {"example.org/role": "worker"},
                "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.test:3128"}],
            },
            "events": {
                "enabled": True,
                "tlsSecret": "events-tls",
                "clientCaSecret": "events-clients",
                "podAnnotations": {"example.org/a": "b"},
                "podLabels": {"example.org/c": "d"},
                "serviceAccountAnnotations": {"example.org/role": "events"},
                "service": {"type": "LoadBalancer", "annotations": {"example.org/internal": "true"}},
                "sources": [
                    {
                        "name": "harbor",
                        "kind": "harbor",
                        "registry": "registry.example.org",
                        "auth": "header",
                        "header": "X-Token",
                        "secretName": "events-harbor",
                    },
                    {
                        "name": "ocir",
                        "kind": "oci",
                        "registry": "phx.ocir.io",
                        "auth": "path",
                        "topic": "ocid1.onstopic.oc1.phx.a",
                        "secretName": "events-ocir",
                    },
                ],
            },
        },
        "metrics": {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
    },
    "signing-without-events": {
        "webhook": {"pullSecrets": {"enabled": False}},
        "signing": {
            "enabled": True,
            "secretsNamespace": "default",
            "worker": {"podDisruptionBudget": {"enabled": False}},
        },
        "rbac": {"aggregateToView": False},
    },
    "outside": {
        "webhook": {"url": "https://192.0.2.1:8443", "caBundle": "TUE9PQ=="},
        "metrics": {"serviceMonitor": {"enabled": True}},
    },
    "host-network": {
        "webhook": {"hostNetwork": {"enabled": True}},
        "omitUserIds": "Always",
        "metrics": {"serviceMonitor": {"enabled": True}},
    },
    "bare": {
        "webhook": {
            "pullSecrets": {"enabled": False},
            "pinDigests": False,
            "workloads": "Ignore",
            "podDisruptionBudget": {"enabled": False},
        },
        "operator": {"podDisruptionBudget": {"enabled": False}},
        "networkPolicy": {"enabled": False},
        "priorityClassName": "",
        "resourceQuota": {"enabled": True},
        "rbac": {"aggregateToView": False},
        "nameOverride": "gate",
    },
}


def helm(*arguments: str, values: Manifest | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm on the chart; values go in as a file on standard input."""
    return subprocess.run(
        [require_tool("helm"), *arguments, "--values", "-"],
        input=json.dumps(values or {}),
        text=True,
        capture_output=True,
        check=False,
    )


def render(values: Manifest | None = None) -> tuple[Manifest, ...]:
    """Return every object of the chart but the CRDs, hooks included."""
    return tuple(json.loads(text) for text in _render(json.dumps(values or {}, sort_keys=True)))


@functools.cache
def _render(values: str) -> tuple[str, ...]:
    done = helm("template", "sealgate", str(CHART), "--namespace", NAMESPACE, values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return tuple(json.dumps(obj) for obj in yaml.load_all(done.stdout, yaml.CSafeLoader) if obj is not None)


def find(manifests: tuple[Manifest, ...], kind: str, name: str | None = None) -> Manifest:
    """Return the one object of a kind, or of a kind and name."""
    (found,) = (obj for obj in manifests if obj["kind"] == kind and name in (None, obj["metadata"]["name"]))
    return found


def pods(manifests: tuple[Manifest, ...]) -> list[Manifest]:
    """Return the pod specs that the chart runs, with the name of what runs them."""
    specs = [obj["spec"]["template"]["spec"] for obj in manifests if obj["kind"] == "Deployment"]
    return specs + [obj["spec"] for obj in manifests if obj["kind"] == "Pod"]


def config(manifests: tuple[Manifest, ...], component: str) -> Manifest:
    """Return a component's parsed config.yaml."""
    data = find(manifests, "ConfigMap", f"sealgate-{component}")["data"]["config.yaml"]
    parsed = yaml.safe_load(data)
    assert isinstance(parsed, dict)
    return parsed


def webhooks(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """Return every webhook by name, as the API server has it once the operator has applied the rules."""
    (maps,) = (obj["data"]["webhooks.yaml"] for obj in manifests if "webhooks.yaml" in (obj.get("data") or {}))
    wanted = yaml.safe_load(maps)["configurations"]
    rules = {(one["kind"], one["name"], one["webhook"]): one["rules"] for one in wanted}
    found = {}
    for obj in manifests:
        if obj["kind"].endswith("WebhookConfiguration"):
            for webhook in obj["webhooks"]:
                applied = rules.pop((obj["kind"], obj["metadata"]["name"], webhook["name"]), None)
                found[webhook["name"]] = {**webhook, "rules": applied or webhook["rules"]}
    assert not rules, "rules for configurations that the chart does not have"
    return found
