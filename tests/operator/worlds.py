"""A cluster with what the chart installs, and operators on it."""

from __future__ import annotations

import base64
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kubernetes.client.configuration import Configuration

from sealgate.clocks import SystemClock
from sealgate.services.kubernetes_api import KubernetesAPI
from sealgate.services.logs import configure_logs
from sealgate_operator.application import Operator
from sealgate_operator.config import OperatorConfig
from sealgate_operator.handlers import quieten_kopf
from sealgate_operator.leadership import Timing
from tests.operator.objects import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from structlog.typing import FilteringBoundLogger

    from tests.support.kubernetes_simulator import KubernetesSimulator

AUTHENTICATORS = "/apis/sealgate.dev/v1alpha1/authenticators"
POLICIES = "/apis/sealgate.dev/v1alpha1/verificationpolicies"
SECRETS = "/api/v1/namespaces/sealgate/secrets"
CA_SECRET, TLS_SECRET = f"{SECRETS}/sealgate-webhook-ca", f"{SECRETS}/sealgate-webhook-tls"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/sealgate/leases/sealgate-operator"
VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
#: So long that no machine is so busy that the Lease is lost.
PATIENT = Timing(duration=90, deadline=60, period=0.1)
#: What an operator calls its threads, besides its workers.
TASKS = frozenset({"lease", "sweep", "watch", "certificates"})


def install(cluster: KubernetesSimulator) -> None:
    """Put there what the chart does: two Secrets without data, two configurations without a bundle."""
    for path in (CA_SECRET, TLS_SECRET):
        cluster.put(SECRETS, {"metadata": {"name": path.rpartition("/")[2]}, "type": "Opaque"})
    for collection, names in ((VALIDATING, ("workloads", "policies")), (MUTATING, ("pods",))):
        hooks = [{"name": f"{name}.sealgate.dev", "clientConfig": {"service": {"path": "/x"}}} for name in names]
        cluster.put(collection, {"metadata": {"name": "sealgate"}, "webhooks": hooks})


def api_of(cluster: KubernetesSimulator) -> KubernetesAPI:
    return KubernetesAPI(Configuration(host=cluster.url))


def log() -> FilteringBoundLogger:
    quieten_kopf(30)
    return configure_logs("json")


def bundles(cluster: KubernetesSimulator) -> set[bytes]:
    """Return every different bundle of a webhook."""
    found = [cluster.get(f"{VALIDATING}/sealgate"), cluster.get(f"{MUTATING}/sealgate")]
    hooks = [hook for configuration in found for hook in configuration["webhooks"]]
    return {base64.b64decode(hook["clientConfig"].get("caBundle", "")) for hook in hooks}


def data(cluster: KubernetesSimulator, path: str) -> dict[str, bytes]:
    """Return the decoded data of a Secret."""
    return {name: base64.b64decode(value) for name, value in (cluster.get(path).get("data") or {}).items()}


def holder(cluster: KubernetesSimulator) -> str:
    """Return who holds the Lease; empty for nobody."""
    leases = cluster.find("leases")
    return str(leases[0]["spec"]["holderIdentity"]) if leases else ""


class Running:
    """An operator in a thread of this process."""

    def __init__(self, cluster: KubernetesSimulator, identity: str, **options: Any) -> None:
        timing = options.pop("timing", PATIENT)
        sweep_seconds = options.pop("sweep_seconds", 60.0)
        self.operator = Operator(
            OperatorConfig.model_validate(settings(**options)),
            namespace="sealgate",
            identity=identity,
            api=api_of(cluster),
            clock=SystemClock(),
            log=log(),
            timing=timing,
            sweep_seconds=sweep_seconds,
        )
        self.stop = threading.Event()
        self.status: int | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.status = self.operator.run(self.stop)

    def join(self, seconds: float = 60.0) -> int | None:
        """Wait for its end and return its exit status."""
        self._thread.join(seconds)
        return self.status


@contextmanager
def running(cluster: KubernetesSimulator, identity: str = "one", **options: Any) -> Iterator[Running]:
    """Run an operator; at the end it is told to stop."""
    operator = Running(cluster, identity, **options)
    try:
        yield operator
    finally:
        operator.stop.set()
        assert operator.join() is not None


def wait_for_threads() -> None:
    """Return when nothing of any operator runs here any more.

    An operator that ends does not wait for those of its threads that only read: its process ends with it. This one
    goes on, to tests that must not find them at work, nor what they say on their way out in a log.
    """

    def at_work() -> list[str]:
        names = [thread.name for thread in threading.enumerate()]
        return [name for name in names if name in TASKS or name.startswith("worker-")]

    eventually(lambda: not at_work())


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return when a condition holds that no simulator can be asked about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)
