"""The process: what is read from the API server, the verifier, the rounds, metrics and probes."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sealgate.clocks import SystemClock
from sealgate.kubernetes.watch import Informer
from sealgate.policies.decisions import Workloads
from sealgate.process.metrics_server import MetricsServer
from sealgate.process.probes import probes_app
from sealgate.registry.client import RegistryClient
from sealgate.verification.verifier import Verifier
from sealgate_webhook.backends.cluster.backend import OwnSecrets, ReadyPolicies
from sealgate_webhook.backends.cluster.namespaces import PATH, read_namespace
from sealgate_webhook.backends.cluster.platform_credentials import platform_credentials
from sealgate_webhook.backends.cluster.policies import ClusterPolicies
from sealgate_webhook.backends.cluster.pull_secrets import ClusterCredentials, SecretReader, SharedSecret
from sealgate_webhook.backends.cluster.trusted_state import ConfigMapTrustedState
from sealgate_webhook.metrics import Metrics
from sealgate_webhook.reports.checks import ImageChecks
from sealgate_webhook.reports.contents import ImageContents
from sealgate_webhook.reports.metrics import ReportMetrics
from sealgate_webhook.reports.rounds import Rounds
from sealgate_webhook.reports.store import ReportStore
from sealgate_webhook.transport.addresses import Address

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.verification.policy_sets import PolicySet
    from sealgate_webhook.reports.config import ReportsConfig

#: Seconds after which it is checked again whether the policies are known.
_POLL_SECONDS: Final = 0.2


class Reports:
    """The process.

    Args:
        config: the settings file.
        api: the API server.
        namespace: the release's own.
        log: the process's log.
        clock: source of the time.

    Attributes:
        metrics: its metrics.
        rounds: makes the rounds.
        address: host and port that metrics and probes are served on.

    Raises:
        ConfigError: the settings or the address for metrics cannot be used.
    """

    def __init__(
        self,
        config: ReportsConfig,
        api: KubernetesAPI,
        namespace: str,
        log: FilteringBoundLogger,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._log = log
        self.metrics = Metrics(log)
        kinds = config.workload_kinds()
        secrets = OwnSecrets(api, namespace, config.service_secrets)
        longest = timedelta(hours=config.exceptions.max_hours)
        self._compiled = ClusterPolicies(api, config.unmatched_images, longest, secrets, clock, self.metrics, log)
        self._namespaces = Informer(api, PATH, read_namespace, lambda: None, clock, log)
        self._ready = ReadyPolicies(self._compiled, self._namespaces)
        self.metrics.literal_hosts = self._compiled.literal_hosts
        reader = SecretReader(api, clock, log)
        shared = config.registries.docker_config_secret
        credentials = ClusterCredentials(
            reader,
            SharedSecret(reader, namespace, shared) if shared else None,
            pull_secrets=config.pull_secrets,
            kinds=kinds,
            platform=platform_credentials(config.registries, clock, self.metrics, log),
        )
        self._network = RegistryClient(config.registries.settings(), clock=clock, observer=self.metrics)
        state = ConfigMapTrustedState(api, namespace, config.trusted_state)
        self._verifier = Verifier(self._network, clock, config.verifier_settings(), self.metrics, state)
        report_metrics = ReportMetrics(self.metrics.registry)
        self.rounds = Rounds(
            api=api,
            kinds=kinds,
            excluded=config.excluded_namespaces,
            templates=config.workloads is not Workloads.IGNORE,
            owner=config.owner,
            lease=f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{config.lease}",
            interval=config.interval_seconds,
            policies=self._policies,
            checks=ImageChecks(
                self._verifier, ImageContents(self._network, clock), credentials, self._namespaces.get, clock
            ),
            store=ReportStore(api, clock, report_metrics, log),
            clock=clock,
            metrics=report_metrics,
            log=log,
        )
        self._listener = Address.parse(config.metrics_listen).bind()
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def run(self, stop: threading.Event) -> None:
        """Make rounds until `stop` is set."""
        app = probes_app(self.metrics.registry, lambda: True, self.rounds.problem)
        server = MetricsServer(self._listener, app, self._log)
        try:
            self.watch(stop)
            self.rounds.run(stop)
        finally:
            server.close()
            self.close()

    def watch(self, stop: threading.Event) -> list[threading.Thread]:
        """Follow policies and namespaces until `stop` is set; return the threads that do once both are known."""
        tasks = (*self._compiled.tasks(), self._namespaces.run)
        threads = [threading.Thread(target=task, args=(stop,), name="watch", daemon=True) for task in tasks]
        for thread in threads:
            thread.start()
        while self._policies() is None and not stop.wait(_POLL_SECONDS):
            pass
        return threads

    def close(self) -> None:
        """Start no more work and close the connections."""
        self._listener.close()
        self._verifier.close()
        self._network.close()

    def _policies(self) -> PolicySet | None:
        return None if self._ready.problem() else self._ready.current()
