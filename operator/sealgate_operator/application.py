"""Assembles the operator."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from sealgate.errors import SealgateError
from sealgate.http.services import ServiceClient
from sealgate.kms.key_source import KMSKeySource
from sealgate.kubernetes.lease import Lease, Timing
from sealgate.process.probes import probes_app
from sealgate_operator.certificates.filled_secret import FilledSecretReconciler
from sealgate_operator.certificates.reconciler import CertificateReconciler
from sealgate_operator.certificates.self_test import next_data
from sealgate_operator.certificates.shared_cache_key import next_key_data
from sealgate_operator.controller.exceptions import ExceptionStatusWriter
from sealgate_operator.controller.kopf_adapter import Watcher
from sealgate_operator.controller.reconciler import WORKERS, Reconciler
from sealgate_operator.controller.replica_counts import ReplicaReader
from sealgate_operator.controller.replicas import Replicas
from sealgate_operator.controller.report_reader import ReportReader
from sealgate_operator.controller.resources import OPERATOR_RESOURCES
from sealgate_operator.controller.store import ObjectStore
from sealgate_operator.controller.work_queue import WorkQueue
from sealgate_operator.events import COMPONENT, Events
from sealgate_operator.keys.config_maps import ConfigMaps
from sealgate_operator.keys.secrets import CredentialSecrets, SecretKeys
from sealgate_operator.keys.trusted_roots import TrustedRoots
from sealgate_operator.metrics import Metrics
from sealgate_operator.replica import POLL_SECONDS, Replica, Tasks
from sealgate_operator.webhooks.enforcement import Enforcement
from sealgate_operator.webhooks.guard import Guard
from sealgate_operator.webhooks.node_critical import NodeCritical
from sealgate_operator.webhooks.observer import Observer

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kms.credentials import Identities
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.certificates.filled_secret import NextData
    from sealgate_operator.config import OperatorConfig
    from sealgate_operator.fetched_root.keeper import RootKeeper
    from sealgate_operator.replica import Task

#: Seconds between two resyncs of all objects with the API server.
RESYNC_SECONDS = 60.0


class Operator:
    """One replica.

    Args:
        config: the settings file.
        namespace: the operator's namespace.
        identity: unique name of this replica, the holder of the Lease while it leads.
        api: the API server.
        clock: source of the time.
        log: the process's log.
        identities: that the platform gives to the process; none by default.
        timing: durations of the Lease.
        resync_seconds: seconds between two resyncs of all objects.

    Raises:
        ConfigError: the address for metrics cannot be bound.
    """

    def __init__(  # noqa: PLR0913 - what the operator is assembled from
        self,
        config: OperatorConfig,
        *,
        namespace: str,
        identity: str,
        api: KubernetesAPI,
        clock: Clock,
        log: FilteringBoundLogger,
        identities: Identities | None = None,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        resync_seconds: float = RESYNC_SECONDS,
    ) -> None:
        self._log = log
        self._resync_seconds = resync_seconds
        self._lease = Lease(api, namespace, config.lease, identity, clock, log, timing)
        self.metrics = Metrics(self._lease.leads)
        own = {config.tls_secret, config.ca_secret, config.shared_cache_secret}
        store = ObjectStore(own)
        self._network = ServiceClient(config.registries.settings(), clock=clock)
        kms = KMSKeySource(
            self._network,
            CredentialSecrets(store.secret, own),
            clock,
            config.key_refresh_seconds,
            identities=identities,
        )
        self._queue = WorkQueue(clock)
        self.metrics.watch_queue(self._queue.__len__)
        events = Events(api, COMPONENT, identity, clock, self.metrics, log)
        self._enforcement = Enforcement(api, config, namespace, self._lease, events, self.metrics, log)
        replicas = Replicas(api, namespace, config.webhook_service.name, clock)
        self._replicas = ReplicaReader(replicas, store, self._queue, clock, self.metrics, log)
        self._counts = config.webhook_service.in_cluster
        self._guard = Guard(
            api,
            namespace,
            leads=self._lease.leads,
            events=events,
            on_change=self._conditions_changed,
            metrics=self.metrics,
            clock=clock,
            log=log,
        )
        self._reports: ReportReader | None = None
        if config.reports_lease:
            self._reports = ReportReader(
                api, namespace, config.reports_lease, self._conditions_changed, clock, self.metrics, log
            )
        self._config_maps = ConfigMaps(
            api,
            namespace,
            config.trusted_roots.config_maps,
            on_change=self._roots_changed,
            metrics=self.metrics,
            log=log,
        )
        self._root_keeper: RootKeeper | None = None
        if config.trusted_roots.tuf is not None:
            # Not before it is needed: an operator that fetches nothing does without python-tuf.
            from sealgate_operator.fetched_root.setup import root_keeper

            self._root_keeper = root_keeper(
                config.trusted_roots.tuf,
                namespace,
                api=api,
                network=self._network,
                fence=self._lease,
                on_change=self._roots_changed,
                clock=clock,
                metrics=self.metrics,
                log=log,
            )
        self._observer = Observer(api, namespace, config.webhooks, (self._guard, self._enforcement))
        self._reconciler = Reconciler(
            api=api,
            namespace=namespace,
            store=store,
            queue=self._queue,
            secrets=SecretKeys(store.secret, own),
            sources=(kms,),
            roots=TrustedRoots(self._config_maps, self._root_keeper),
            node_critical=NodeCritical(
                api,
                config.excluded_namespaces,
                blocking=config.failure_policy == "Fail",
                metrics=self.metrics,
                log=log,
            ),
            activity=self._replicas.activity,
            enforced=self._guard.condition,
            reported=lambda: None if self._reports is None else self._reports.condition(),
            fence=self._lease,
            events=events,
            clock=clock,
            refresh_seconds=config.key_refresh_seconds,
            metrics=self.metrics,
            log=log,
        )
        self._exceptions = ExceptionStatusWriter(
            api,
            timedelta(hours=config.exception_max_hours),
            fence=self._lease,
            clock=clock,
            metrics=self.metrics,
            log=log,
        )
        self._watcher = Watcher(api.configuration, OPERATOR_RESOURCES, namespace, self._reconciler.on_event, log)
        self._keeper: CertificateReconciler | None = None
        if config.certificates.managed:
            self._keeper = CertificateReconciler(
                api,
                config,
                namespace,
                clock=clock,
                fence=self._lease,
                events=events,
                metrics=self.metrics,
                log=log,
            )
        filled: dict[str, tuple[str, NextData]] = {
            "self-test certificate": (config.self_test_secret, next_data),
            "shared cache key": (config.shared_cache_secret, next_key_data),
        }
        self._filled = {
            what: FilledSecretReconciler(
                what,
                f"/api/v1/namespaces/{namespace}/secrets/{name}",
                wanted,
                api=api,
                clock=clock,
                fence=self._lease,
                metrics=self.metrics,
                log=log,
            )
            for what, (name, wanted) in filled.items()
            if name
        }
        self._synced = threading.Event()
        self._replica = Replica(self._lease, config.metrics_address, clock, log)
        self.address = self._replica.address

    def run(self, stop: threading.Event) -> int:
        """Run until `stop` is set, a background task ends, or the Lease is lost.

        Returns:
            exit status of the process: 0 if `stop` was set, else 1.
        """
        app = probes_app(self.metrics.registry, self._replica.well, self._enforcement.problem)
        try:
            return self._replica.run(stop, app, self._tasks())
        finally:
            self._network.close()

    def _tasks(self) -> Tasks:
        writing: dict[str, Task] = {f"worker-{number}": self._work for number in range(WORKERS)}
        if self._keeper is not None:
            writing["certificates"] = self._keeper.run
        writing["exceptions"] = self._exceptions.run
        if self._root_keeper is not None:
            writing["trusted root"] = self._root_keeper.run
        writing |= {what: reconciler.run for what, reconciler in self._filled.items()}
        reading: dict[str, Task] = {"resync": self._resync, "watch": self._watch}
        if self._counts:
            reading["counts"] = self._count
        if self._reports is not None:
            reading["reports"] = self._reports.run
        if self._config_maps.names:
            reading["config maps"] = self._config_maps.run
        return Tasks(
            # A follower observes too, so that it becomes ready when the leader has applied the rules.
            observing={"observer": self._observer.run},
            writing=writing,
            reading=reading,
            close=self._queue.close,
        )

    def _resync(self, stop: threading.Event) -> None:
        pause = POLL_SECONDS
        while not stop.is_set() and not self._synced.is_set():
            try:
                self._reconciler.resync()
                self._synced.set()
            except SealgateError as error:
                self.metrics.failed("resync")
                self._log.warning("objects cannot be listed; will retry", error=error.message)
                stop.wait(pause)
                pause = min(pause * 2, 5.0)
        self._reconciler.resync_periodically(stop, self._resync_seconds, self._watcher.restart)

    def _watch(self, stop: threading.Event) -> None:
        # Kopf discovers the kinds once. That they can be listed shows that the CRDs are installed.
        if self._wait_for_objects(stop):
            self._watcher.run(stop)

    def _count(self, stop: threading.Event) -> None:
        # Numbers that are read before the policies are known would be published one round later.
        if self._wait_for_objects(stop):
            self._replicas.run(stop)

    def _wait_for_objects(self, stop: threading.Event) -> bool:
        """Return once all objects were listed; False if `stop` was set before."""
        while not self._synced.wait(POLL_SECONDS):
            if stop.is_set():
                return False
        return True

    def _conditions_changed(self) -> None:
        self._reconciler.enqueue_policies()

    def _roots_changed(self) -> None:
        self._reconciler.enqueue_authenticators()

    def _work(self, _: threading.Event) -> None:
        self._reconciler.work()
