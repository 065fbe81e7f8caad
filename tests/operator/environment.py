"""A cluster with what the chart installs, and operators on it."""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cryptography import x509
from kubernetes.client.configuration import Configuration

from sealgate import self_test
from sealgate.clocks import SystemClock
from sealgate.kubernetes.client import KubernetesAPI
from sealgate.kubernetes.lease import Timing
from sealgate.process.logs import configure_logs
from sealgate_operator.application import Operator
from sealgate_operator.certificates.rotation import LEAF
from sealgate_operator.config import OperatorConfig
from sealgate_operator.controller.kopf_adapter import quieten_kopf
from tests.operator.objects import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from structlog.typing import FilteringBoundLogger

    from tests.support.simulators.kubernetes import KubernetesSimulator

AUTHENTICATORS = "/apis/sealgate.dev/v1alpha1/authenticators"
POLICIES = "/apis/sealgate.dev/v1alpha1/verificationpolicies"
SECRETS = "/api/v1/namespaces/sealgate/secrets"
CA_SECRET, TLS_SECRET = f"{SECRETS}/sealgate-webhook-ca", f"{SECRETS}/sealgate-webhook-tls"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/sealgate/leases/sealgate-leader"
CONFIG_MAPS = "/api/v1/namespaces/sealgate/configmaps"
VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
#: So long that no machine is so busy that the Lease is lost.
PATIENT = Timing(duration=90, deadline=60, period=0.1)
#: What an operator calls its threads, besides its workers.
TASKS = frozenset(
    {
        "lease",
        "enforcement",
        "guard",
        "exceptions",
        "resync",
        "watch",
        "certificates",
        "counts",
        "reports",
        "config maps",
        "trusted root",
    }
)


WORKLOADS, POLICY_OBJECTS, SELF_TEST = (
    f"{VALIDATING}/sealgate-{name}" for name in ("workloads", "policies", "self-test")
)
PODS = f"{MUTATING}/sealgate-pods"
#: Which namespaces they are about.
NAMESPACES = {
    "matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "sealgate"]}
    ]
}
ENDPOINT_SLICES = "/apis/discovery.k8s.io/v1/namespaces/sealgate/endpointslices"
#: The configurations whose rules the operator applies.
ENFORCED = (WORKLOADS, POLICY_OBJECTS, PODS)


def rules(*resources: str) -> list[dict[str, Any]]:
    """Return rules as the chart writes them."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "scope": "Namespaced"}
    return [{**rule, "resources": list(resources)}]


def listed(path: str, *resources: str) -> dict[str, Any]:
    """Return the entry of the chart's list for a configuration."""
    kind = "MutatingWebhookConfiguration" if path.startswith(MUTATING) else "ValidatingWebhookConfiguration"
    name = path.rpartition("/")[2]
    found = {"kind": kind, "name": name, "webhook": f"{name.removeprefix('sealgate-')}.sealgate.dev"}
    if path == SELF_TEST:
        return {**found, "expected": {**chart_fields(), "rules": rules("leases")}}
    return {**found, "rules": rules(*resources), "expected": chart_fields()}


def release(*configurations: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return the ConfigMap that lists the webhooks; by default all of them, with the operator's certificates."""
    listing = {
        "managedCertificates": True,
        "selfTest": listed(SELF_TEST),
        "configurations": list(configurations)
        or [listed(WORKLOADS, "pods", "podtemplates"), listed(POLICY_OBJECTS, "authenticators"), listed(PODS, "pods")],
        **members,
    }
    return {"metadata": {"name": "sealgate-operator"}, "data": {"webhooks.yaml": json.dumps(listing)}}


def chart_fields() -> dict[str, Any]:
    """Return the fields of a webhook, but its name and rules."""
    service = {"namespace": "sealgate", "name": "sealgate-webhook", "port": 443, "path": "/x"}
    return {"clientConfig": {"service": service}, "failurePolicy": "Fail", "namespaceSelector": NAMESPACES}


def chart_webhook(path: str) -> dict[str, Any]:
    """Return a webhook configuration as the chart writes it: without rules and without a CA bundle."""
    hook: dict[str, Any] = {"name": listed(path)["webhook"], **chart_fields()}
    if path == SELF_TEST:
        hook["rules"] = rules("leases")
    return {"metadata": {"name": path.rpartition("/")[2]}, "webhooks": [hook]}


def install(cluster: KubernetesSimulator) -> None:
    """Put there what the chart does: two Secrets without data, and configurations without rules and CA bundles."""
    for path in (CA_SECRET, TLS_SECRET):
        cluster.put(SECRETS, {"metadata": {"name": path.rpartition("/")[2]}, "type": "Opaque"})
    cluster.put(CONFIG_MAPS, release())
    for path in (SELF_TEST, *ENFORCED):
        cluster.apply(path, chart_webhook(path), "helm")
    cluster.put(ENDPOINT_SLICES, endpoint_slice())
    cluster.admission = lambda obj: call_self_test(cluster, obj)


def endpoint_slice(*, ready: bool = True) -> dict[str, Any]:
    """Return the EndpointSlice of the webhook's Service."""
    labels = {"kubernetes.io/service-name": "sealgate-webhook"}
    return {
        "metadata": {"name": "sealgate-webhook-1", "namespace": "sealgate", "labels": labels},
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}],
    }


def call_self_test(cluster: KubernetesSimulator, obj: dict[str, Any]) -> str:
    """Answer for a webhook that runs as soon as it has a certificate, called by an API server that checks it."""
    if self_test.LABEL not in (obj["metadata"].get("labels") or {}):
        return ""
    (hook,) = cluster.get(SELF_TEST)["webhooks"]
    failed = f'Internal error occurred: failed calling webhook "{hook["name"]}"'
    leaf, bundle = data(cluster, TLS_SECRET).get(LEAF), hook["clientConfig"].get("caBundle")
    if leaf is None:
        return f"{failed}: connection refused"
    if not bundle or not _issued(base64.b64decode(bundle), leaf):
        return f"{failed}: tls: failed to verify certificate: x509: certificate signed by unknown authority"
    return self_test.refusal_by(hook["name"])


def _issued(bundle: bytes, leaf: bytes) -> bool:
    names = {authority.subject for authority in x509.load_pem_x509_certificates(bundle)}
    return x509.load_pem_x509_certificate(leaf).issuer in names


def rules_on(cluster: KubernetesSimulator, path: str) -> list[dict[str, Any]]:
    """Return the rules of a webhook configuration; empty without any."""
    (hook,) = cluster.get(path)["webhooks"]
    return list(hook.get("rules") or [])


def enforcing(cluster: KubernetesSimulator) -> bool:
    """Return whether every configuration has rules."""
    return all(rules_on(cluster, path) for path in ENFORCED)


def api_of(cluster: KubernetesSimulator) -> KubernetesAPI:
    return KubernetesAPI(Configuration(host=cluster.url))


def log() -> FilteringBoundLogger:
    quieten_kopf(30)
    return configure_logs("json")


def bundles(cluster: KubernetesSimulator) -> set[bytes]:
    """Return every different bundle of a webhook."""
    found = [cluster.get(path) for path in (SELF_TEST, *ENFORCED)]
    hooks = [hook for configuration in found for hook in configuration["webhooks"]]
    return {base64.b64decode(hook["clientConfig"].get("caBundle", "")) for hook in hooks}


def data(cluster: KubernetesSimulator, path: str) -> dict[str, bytes]:
    """Return the decoded data of a Secret."""
    return {name: base64.b64decode(value) for name, value in (cluster.get(path).get("data") or {}).items()}


def holder(cluster: KubernetesSimulator) -> str:
    """Return the holder of the Lease; empty if it has none."""
    leases = cluster.find("leases")
    return str(leases[0]["spec"]["holderIdentity"]) if leases else ""


class Running:
    """An operator in a thread of this process."""

    def __init__(self, cluster: KubernetesSimulator, identity: str, **options: Any) -> None:
        timing = options.pop("timing", PATIENT)
        resync_seconds = options.pop("resync_seconds", 60.0)
        self.operator = Operator(
            OperatorConfig.model_validate(settings(**options)),
            namespace="sealgate",
            identity=identity,
            api=api_of(cluster),
            clock=SystemClock(),
            log=log(),
            timing=timing,
            resync_seconds=resync_seconds,
        )
        self.stop = threading.Event()
        self.status: int | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.status = self.operator.run(self.stop)

    def join(self, seconds: float = 150.0) -> int | None:
        """Wait for its end and return its exit status."""
        self._thread.join(seconds)
        return self.status


@contextmanager
def running(cluster: KubernetesSimulator, identity: str = "one", **options: Any) -> Iterator[Running]:
    """Run an operator, and stop it at the end."""
    operator = Running(cluster, identity, **options)
    try:
        yield operator
    finally:
        operator.stop.set()
        assert operator.join() is not None


@contextmanager
def threads_end() -> Iterator[None]:
    """Wait at the end until nothing runs here any more of the operators that were started meanwhile.

    An operator that ends does not wait for those of its threads that only read: its process ends with it. This one
    goes on, to tests that must not find them at work, nor what they say on their way out in a log. What a failed test
    left at work before counts for that test alone.
    """
    before = set(threading.enumerate())

    def at_work() -> list[str]:
        names = [thread.name for thread in threading.enumerate() if thread not in before]
        return [name for name in names if name in TASKS or name.startswith("worker-")]

    yield
    eventually(lambda: not at_work())


def eventually(condition: Callable[[], bool], seconds: float = 150.0) -> None:
    """Return when a condition holds that is not about a simulator."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)
