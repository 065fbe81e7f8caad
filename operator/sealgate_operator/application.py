"""Assembles and runs the operator: followers wait, the leader works, a leader that loses the Lease exits at once."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from sealgate.errors import ConfigError, SealgateError
from sealgate.http.services import ServiceClient
from sealgate.kms.key_source import KMSKeySource
from sealgate.kubernetes.lease import Lease, Timing
from sealgate.messages import quote
from sealgate.process.metrics_server import serve_in_thread
from sealgate_operator.certificates.reconciler import CertificateReconciler
from sealgate_operator.certificates.self_test import SelfTestCertificateReconciler
from sealgate_operator.controller.kopf_adapter import Watcher
from sealgate_operator.controller.reconciler import WORKERS, Reconciler
from sealgate_operator.controller.store import ObjectStore
from sealgate_operator.controller.work_queue import WorkQueue
from sealgate_operator.events import Events
from sealgate_operator.keys.secrets import CredentialSecrets, SecretKeys
from sealgate_operator.metrics import Metrics, metrics_app
from sealgate_operator.webhooks.enforcement import Enforcement
from sealgate_operator.webhooks.node_critical import NodeCritical

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.config import OperatorConfig

#: Seconds between two resyncs of all objects with the API server.
RESYNC_SECONDS = 60.0
#: Seconds between two checks of whether this replica still leads, and so the longest delay of noticing.
_POLL_SECONDS = 0.25
#: Seconds that an orderly shutdown may take.
_SHUTDOWN_SECONDS = 5.0


class Operator:
    """One replica.

    Args:
        config: the settings file.
        namespace: the operator's namespace.
        identity: unique name of this replica, the holder of the Lease while it leads.
        api: the API server.
        clock: source of the time.
        log: the process's log.
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
        timing: Timing = Timing(),  # noqa: B008 - frozen
        resync_seconds: float = RESYNC_SECONDS,
    ) -> None:
        self._clock = clock
        self._log = log
        self._resync_seconds = resync_seconds
        self._lease = Lease(api, namespace, config.lease, identity, clock, log, timing)
        self.metrics = Metrics(self._lease.leads)
        own = {config.tls_secret, config.ca_secret}
        store = ObjectStore(own)
        self._network = ServiceClient(config.registries.settings(), clock=clock)
        kms = KMSKeySource(self._network, CredentialSecrets(store.secret, own), clock, config.key_refresh_seconds)
        self._queue = WorkQueue(clock)
        self.metrics.watch_queue(self._queue.__len__)
        events = Events(api, identity, clock, self.metrics, log)
        self._enforcement = Enforcement(api, config, namespace, self._lease, events, self.metrics, log)
        self._reconciler = Reconciler(
            api=api,
            namespace=namespace,
            store=store,
            queue=self._queue,
            secrets=SecretKeys(store.secret, own),
            sources=(kms,),
            node_critical=NodeCritical(
                api,
                config.excluded_namespaces,
                blocking=config.failure_policy == "Fail",
                metrics=self.metrics,
                log=log,
            ),
            fence=self._lease,
            events=events,
            clock=clock,
            refresh_seconds=config.key_refresh_seconds,
            metrics=self.metrics,
            log=log,
        )
        self._watcher = Watcher(api.configuration, namespace, self._reconciler.on_event, log)
        self._keeper: CertificateReconciler | None = None
        if config.certificates.managed:
            self._keeper = CertificateReconciler(api, config, namespace, clock, self._lease, self.metrics, log)
        self._self_test: SelfTestCertificateReconciler | None = None
        if config.self_test_secret:
            path = f"/api/v1/namespaces/{namespace}/secrets/{config.self_test_secret}"
            self._self_test = SelfTestCertificateReconciler(api, path, clock, self._lease, self.metrics, log)
        self._synced = threading.Event()
        self._failed = threading.Event()
        self._listener = _bind(config.metrics_address)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def run(self, stop: threading.Event) -> int:
        """Run until `stop` is set, a background task ends, or the Lease is lost.

        Returns:
            exit status of the process: 0 if `stop` was set, else 1.
        """
        app = metrics_app(self.metrics, lambda: not self._failed.is_set(), self._enforcement.problem)
        side = serve_in_thread(self._listener, app)
        lease_stop, enforcement_stop = threading.Event(), threading.Event()
        lease = self._start("lease", self._lease.run, lease_stop)
        # A follower observes too, so that it becomes ready when the leader has applied the rules.
        enforcement = self._start("enforcement", self._enforcement.run, enforcement_stop)
        try:
            while not stop.is_set() and not self._failed.is_set() and not self._lease.leads():
                stop.wait(_POLL_SECONDS)
            if not stop.is_set() and not self._failed.is_set():
                self._lead(stop)
            return 0 if stop.is_set() else 1
        finally:
            # Tasks that write end before the Lease is released.
            enforcement_stop.set()
            enforcement.join(_SHUTDOWN_SECONDS)
            lease_stop.set()
            lease.join(_SHUTDOWN_SECONDS)
            side.shutdown()
            side.server_close()
            self._network.close()

    def _lead(self, stop: threading.Event) -> None:
        self._log.info("started leading")
        ended = threading.Event()
        tasks: dict[str, Callable[[threading.Event], None]] = {
            "resync": self._resync,
            "watch": self._watch,
            **{f"worker-{number}": self._work for number in range(WORKERS)},
        }
        if self._keeper is not None:
            tasks["certificates"] = self._keeper.run
        if self._self_test is not None:
            tasks["self-test certificate"] = self._self_test.run
        threads = {name: self._start(name, task, ended) for name, task in tasks.items()}
        while not stop.is_set() and not self._failed.is_set() and self._lease.leads():
            stop.wait(_POLL_SECONDS)
        ended.set()
        self._queue.close()
        if stop.is_set():
            # The Lease is released only when tasks that write have ended. The others only read, and Kopf stops slowly.
            latest = self._clock.monotonic() + _SHUTDOWN_SECONDS
            for name in threads.keys() - {"resync", "watch"}:
                threads[name].join(max(0.0, latest - self._clock.monotonic()))
        else:
            self._log.error("stopped leading; exiting, to be restarted as a follower")

    def _resync(self, stop: threading.Event) -> None:
        pause = _POLL_SECONDS
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
        while not self._synced.wait(_POLL_SECONDS):
            if stop.is_set():
                return
        self._watcher.run(stop)

    def _work(self, _: threading.Event) -> None:
        self._reconciler.work()

    def _start(self, name: str, task: Callable[[threading.Event], None], stop: threading.Event) -> threading.Thread:
        def guarded() -> None:
            try:
                task(stop)
            except BaseException as error:  # noqa: BLE001 - a replica without one of its tasks must not go on, for any reason
                self._log.error("background task ended unexpectedly", task=name, exc_info=error)
            if not stop.is_set():
                self._failed.set()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread


def _bind(address: tuple[str, int]) -> socket.socket:
    host, port = address
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = quote(error.strerror or error)
        raise ConfigError(f"cannot listen on {quote(host)}:{port} for metrics: {why}") from error
