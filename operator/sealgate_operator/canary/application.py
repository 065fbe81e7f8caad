"""Asks the API server every minute for a Pod that the webhook must deny, and reports what the answer proves.

It needs nothing but the right to create Pods in a namespace of its own, in which a quota permits none. It works without
the operator, knows no policy, and creates nothing: every request is a dry run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealgate import canary
from sealgate.errors import UnavailableError
from sealgate.kubernetes.client import MAX_STATUS_MESSAGE
from sealgate.messages import quote
from sealgate.process.metrics_server import MetricsServer
from sealgate.process.probes import probes_app
from sealgate_operator.canary.metrics import CanaryMetrics
from sealgate_operator.replica import bind

if TYPE_CHECKING:
    import threading

    from structlog.typing import FilteringBoundLogger

    from sealgate.canary import Proof
    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.canary.config import CanaryConfig

#: Seconds between two dry runs.
PERIOD: Final = 60.0
#: Seconds that a dry run may take: the API server waits at most 30 s for each of the two webhooks.
_SECONDS: Final = 65.0
#: Of Pod Security level restricted, so that only the image is to be refused.
_CONTAINER: Final[dict[str, Any]] = {
    "name": "canary",
    "image": f"{canary.REPOSITORY.name}:dry-run",
    "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
POD: Final[dict[str, Any]] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "sealgate-canary"},
    "spec": {
        "containers": [_CONTAINER],
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    },
}


class DryRuns:
    """Sends the dry runs.

    Args:
        config: the settings file.
        api: the API server.
        clock: source of the time.
        log: gets a line for every other answer than before.

    Attributes:
        metrics: what the dry runs proved.
    """

    def __init__(self, config: CanaryConfig, api: KubernetesAPI, clock: Clock, log: FilteringBoundLogger) -> None:
        self._path = f"/api/v1/namespaces/{config.namespace}/pods"
        self._webhook = config.webhook
        self._api = api.within(_SECONDS)
        self._clock = clock
        self._log = log
        self._last: tuple[Proof, str] | None = None
        self.metrics = CanaryMetrics()

    def attempt(self) -> None:
        """Send one dry run and record what it proves."""
        try:
            answer = self._api.dry_run(self._path, POD)
            proof = canary.judge(answer, self._webhook)
        except UnavailableError as error:
            answer, proof = error.message, "unknown"
        self.metrics.proved(proof, self._clock.now().timestamp())
        if (proof, answer) != self._last:
            self._report(proof, quote(answer, MAX_STATUS_MESSAGE))
        self._last = proof, answer

    def _report(self, proof: Proof, answer: str) -> None:
        if proof == "denied":
            self._log.info("canary denied", answer=answer)
        elif proof == "admitted":
            self._log.error("canary admitted; images are not verified", answer=answer)
        else:
            self._log.warning("canary not decided; will retry", answer=answer)


class Canary:
    """The process.

    Args:
        config: the settings file.
        namespace: its own; dry runs are in another one.
        identity: name of the process; not used, since nothing is elected.
        api: the API server.
        clock: source of the time.
        log: the process's log.

    Raises:
        ConfigError: the address for metrics cannot be bound.
    """

    def __init__(
        self,
        config: CanaryConfig,
        *,
        namespace: str,
        identity: str,
        api: KubernetesAPI,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        del namespace, identity
        self._dry_runs = DryRuns(config, api, clock, log)
        self._log = log
        self._listener = bind(config.metrics_address)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def run(self, stop: threading.Event) -> int:
        """Send a dry run every minute until `stop` is set; return 0, the exit status."""
        app = probes_app(self._dry_runs.metrics.registry, lambda: True)
        server = MetricsServer(self._listener, app, self._log)
        try:
            while not stop.is_set():
                self._dry_runs.attempt()
                stop.wait(PERIOD)
        finally:
            server.close()
        return 0
