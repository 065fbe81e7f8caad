"""The release of sealgate that the tests install with Helm."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chart.rendering import CHART, NAMESPACE
from tests.e2e.kube import api, eventually, get, helm, kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kube import Done, Object

NAME = "sealgate"
#: Registries of the tests; the webhook may use plain HTTP for them.
REGISTRY = os.environ.get("SEALGATE_E2E_REGISTRY", "registry.test:5000")
PRIVATE = os.environ.get("SEALGATE_E2E_PRIVATE_REGISTRY", "private.test:5001")
OPENSHIFT = "openshift.test:5002"
DTR = "dtr.test:5003"
#: A registry whose pushes are signed by policy.
SIGNING = "signing.test:5004"
#: Secrets with credentials for signature stores (`webhook.serviceSecrets`).
SERVICE_SECRETS = ("e2e-grafeas", "e2e-ocir", "e2e-ocir-wrong")
#: A directory of the node, and its mount path in the webhook.
NODE_FOLDER, FOLDER = Path("/var/tmp/sealgate-e2e-signatures"), "/signatures"  # noqa: S108 - used by the tests only
#: Seconds between two reads of KMS keys: the minimum of the chart.
KEY_REFRESH = 10
#: TTL of a tag's digest, in seconds: short, so that tests of moved tags need not wait long.
TAG_TTL = 5

#: A custom kind that has the name of a built-in one.
CUSTOM_KIND: Object = {
    "group": "apps.kruise.io",
    "versions": ["v1beta1"],
    "resource": "statefulsets",
    "kind": "StatefulSet",
    "podSpec": "spec.template.spec",
}


def values() -> Object:
    """Return the chart values of the tests; images and pull policy come from the environment."""
    policy = os.environ.get("SEALGATE_E2E_PULL_POLICY", "Never")

    def image(component: str) -> Object:
        name = os.environ.get(f"SEALGATE_E2E_{component.upper()}_IMAGE", f"localhost/sealgate-{component}:e2e")
        repository, _, tag = name.rpartition(":")
        return {"image": {"repository": repository, "tag": tag, "pullPolicy": policy}}

    volume = {"name": "signatures", "hostPath": {"path": str(NODE_FOLDER), "type": "DirectoryOrCreate"}}
    return {
        "webhook": {
            **image("webhook"),
            "serviceSecrets": list(SERVICE_SECRETS),
            "extraVolumes": [volume],
            "extraVolumeMounts": [{"name": "signatures", "mountPath": FOLDER, "readOnly": True}],
        },
        "operator": image("operator"),
        "registries": {"insecure": [REGISTRY, PRIVATE, OPENSHIFT, DTR, SIGNING]},
        "keyRefreshSeconds": KEY_REFRESH,
        "cache": {"tagSeconds": TAG_TTL},
        "customKinds": [CUSTOM_KIND],
    }


def install(more: Object | None = None, *, chart: Path = CHART, tool: str = "helm") -> float:
    """Install sealgate, wait until it is ready and return the seconds that took."""
    begin = time.monotonic()
    helm(
        *("install", NAME, str(chart), "--namespace", NAMESPACE, "--create-namespace"),
        *("--wait", "--timeout", "5m", "--values", "-"),
        text=json.dumps({**values(), **(more or {})}),
        tool=tool,
    ).checked()
    return time.monotonic() - begin


def upgrade(changes: Object, *, tool: str = "helm", webhooks: int = 2) -> None:
    """Change values of the release and wait until the new replicas, so many of the webhook, are ready."""
    helm(
        *("upgrade", NAME, str(CHART), "--namespace", NAMESPACE, "--reset-then-reuse-values"),
        *("--wait", "--timeout", "5m", "--values", "-"),
        text=json.dumps(changes),
        tool=tool,
    ).checked()
    wait_until_ready(webhooks)


def notes() -> str:
    """Return the notes that an upgrade without changes would print."""
    options = ("--namespace", NAMESPACE, "--reset-then-reuse-values", "--dry-run=server")
    return helm("upgrade", NAME, str(CHART), *options).checked().out.partition("NOTES:")[2]


def rollback() -> None:
    """Roll back to the previous revision and wait until its replicas are ready."""
    helm("rollback", NAME, "--namespace", NAMESPACE, "--wait", "--timeout", "5m").checked()
    wait_until_ready()


def uninstall() -> None:
    """Uninstall sealgate."""
    helm("uninstall", NAME, "--namespace", NAMESPACE, "--wait", "--timeout", "5m").checked()


def delete_lease() -> None:
    """Delete the Lease of operators that an uninstallation has ended.

    They could not release it, since their rights are deleted before they end, so operators that are installed at once
    would wait until it expires.
    """
    kubectl("-n", NAMESPACE, "delete", "lease", f"{NAME}-leader", "--ignore-not-found").checked()


def installed() -> bool:
    """Return whether sealgate is installed."""
    return helm("status", NAME, "--namespace", NAMESPACE).ok


def wait_until_ready(webhooks: int = 2) -> None:
    """Wait until the webhook has so many ready replicas, the operator two, and neither has others."""
    for component, replicas in (("webhook", webhooks), ("operator", 2)):
        kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{NAME}-{component}", "--timeout=150s").checked()
        # The Deployment's status may still count pods that were killed a moment ago.
        eventually(
            lambda component=component, replicas=replicas: [True] * replicas == list(map(_ready, pods(component))),  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
            f"{replicas} ready replicas of the {component}",
        )


def _ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any((found["type"], found["status"]) == ("Ready", "True") for found in conditions)


def stop(component: str) -> None:
    """Scale a component to 0 replicas, and wait until the last one has ended: until then it may still write."""
    kubectl("-n", NAMESPACE, "scale", f"deployment/{NAME}-{component}", "--replicas=0").checked()
    eventually(lambda: not _pods(component), f"the {component} has ended")


def wait_for_old_replicas() -> None:
    """Wait until all replicas of the webhook with previous values have ended; until then they may answer."""
    eventually(
        lambda: all("deletionTimestamp" not in pod["metadata"] for pod in _pods("webhook")),
        "replicas with previous values have ended",
    )


def pods(component: str) -> list[Any]:
    """Return the pods of the webhook or the operator that are not being deleted."""
    return [pod for pod in _pods(component) if "deletionTimestamp" not in pod["metadata"]]


def _pods(component: str) -> list[Any]:
    path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io%2Fcomponent%3D{component}"
    found: list[Any] = api().send("GET", path).checked().document["items"]
    return found


def webhooks() -> list[Any]:
    """Return the webhooks of all configurations of the release."""
    kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
    found = get(kinds, "-l", f"app.kubernetes.io/instance={NAME}")["items"]
    return [hook for configuration in found for hook in configuration["webhooks"]]


def review_on_each_replica(namespace: str, obj: Object, endpoint: str = "validate") -> list[Any]:
    """Send a review of a pod to every replica of the webhook directly, and return their responses.

    Args:
        namespace: of the pod.
        obj: the pod.
        endpoint: "validate" or "mutate".
    """
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": str(uuid.uuid4()),
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": namespace,
            "operation": "CREATE",
            "dryRun": True,
            "object": obj,
        },
    }

    def ask() -> list[Any]:
        """Return the responses; empty if a replica has just ended, or could not be reached."""
        replicas = (f"https:{found['metadata']['name']}:8443" for found in pods("webhook"))
        # `kubectl create --raw` does not send the content type.
        paths = [f"/api/v1/namespaces/{NAMESPACE}/pods/{replica}/proxy/{endpoint}?timeout=10s" for replica in replicas]
        responses = [api().send("POST", path, review) for path in paths]
        return [one.document["response"] for one in responses] if all(one.ok for one in responses) else []

    return eventually(ask, "each replica of the webhook responds")


def may(account: str, verb: str, resource: str, namespace: str) -> bool:
    """Return whether a ServiceAccount of the release may do something in a namespace."""
    return kubectl("auth", "can-i", verb, resource, "-n", namespace, _as_account(account)).out.strip() == "yes"


def rights(account: str, namespace: str) -> set[tuple[str, ...]]:
    """Return all that an account of the release's namespace may do in a namespace, as kubectl's table says it.

    Args:
        account: name of the ServiceAccount; of one that does not exist, what all of them may do.
        namespace: the namespace.

    Returns:
        Resources, URLs, names and verbs of each row; the columns that are empty are left out.
    """
    table = kubectl("auth", "can-i", "--list", "--no-headers", "-n", namespace, _as_account(account)).checked().out
    return {tuple(row.split()) for row in table.splitlines()}


def _as_account(account: str) -> str:
    return f"--as=system:serviceaccount:{NAMESPACE}:{account}"


def metrics(component: str) -> list[dict[str, float]]:
    """Return the samples of each replica of a component, by their names with labels as in Prometheus' text format.

    Args:
        component: "webhook", "operator" or "canary".
    """
    return [_samples(found["metadata"]["name"]) for found in pods(component)]


def _samples(name: str) -> dict[str, float]:
    response = api().send("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:8080/proxy/metrics")
    if not response.ok:
        # A replica that starts or ends has no metrics.
        return {}
    lines = (line for line in response.document["message"].splitlines() if not line.startswith("#"))
    return {sample: float(value) for sample, _, value in (line.rpartition(" ") for line in lines)}


def restart(component: str) -> Done:
    """Start a rolling restart of the webhook or the operator."""
    return kubectl("-n", NAMESPACE, "rollout", "restart", f"deployment/{NAME}-{component}").checked()


@contextmanager
def frequent_pod_syncs() -> Iterator[None]:
    """Have the kubelet sync the webhook's pods every two seconds, by changing an annotation of theirs.

    A sync updates the mounted Secrets and ConfigMaps, for which a kubelet takes up to 90 s if the pod does not change.
    """
    stop = threading.Event()

    def annotate() -> None:
        select = ("-l", "app.kubernetes.io/component=webhook")
        number = 0
        while not stop.wait(2):
            number += 1
            kubectl("-n", NAMESPACE, "annotate", "pod", *select, f"e2e/sync={number}", "--overwrite")

    thread = threading.Thread(target=annotate)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
