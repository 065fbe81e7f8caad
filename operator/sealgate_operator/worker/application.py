"""Assembles the signing worker."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sealgate.budgets import Budgets
from sealgate.errors import NotFoundError, SealgateError
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.kms.credentials import Identities
from sealgate.kubernetes.lease import Lease, Timing
from sealgate.process.probes import probes_app
from sealgate.registry.client import RegistryClient
from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate_operator.controller.kopf_adapter import Watcher
from sealgate_operator.controller.object_lists import ObjectLists, resync_periodically
from sealgate_operator.controller.resources import SIGNING_POLICY, SIGNING_REQUEST, WORKER_RESOURCES
from sealgate_operator.controller.store import ObjectStore
from sealgate_operator.controller.work_queue import WorkQueue
from sealgate_operator.events import Events
from sealgate_operator.replica import POLL_SECONDS, Replica, Tasks
from sealgate_operator.worker import policies
from sealgate_operator.worker.agenda import Agenda, Outcome
from sealgate_operator.worker.attempts import Attempts
from sealgate_operator.worker.baselines import BaselineObjects
from sealgate_operator.worker.image_signer import ImageSigner
from sealgate_operator.worker.manual_runs import ManualRuns
from sealgate_operator.worker.metrics import WorkerMetrics
from sealgate_operator.worker.policies import Policies
from sealgate_operator.worker.rates import Rates
from sealgate_operator.worker.retention import Retention
from sealgate_operator.worker.scans import Scans
from sealgate_operator.worker.searches import Searches
from sealgate_operator.worker.secrets import RegistrySecrets, SigningSecrets
from sealgate_operator.worker.signing_jobs import SigningJobs
from sealgate_operator.worker.status_writer import StatusWriter

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.controller.store import Object
    from sealgate_operator.replica import Task
    from sealgate_operator.worker.config import WorkerConfig
    from sealgate_operator.worker.policy_states import PolicyState

#: Threads that sign; they mostly wait for registries and key services.
SIGNERS = 16
#: Seconds between two comparisons of all objects with the API server.
RESYNC_SECONDS = 60.0
#: Seconds after which a job is tried again that ended with an error that is not expected.
_UNEXPECTED_SECONDS = 60.0
COMPONENT = "sealgate-signing-worker"


class Worker:
    """One replica.

    Args:
        config: the settings file.
        namespace: the release's namespace.
        identity: unique name of this replica, the holder of the Lease while it leads.
        api: the API server.
        clock: source of the time.
        log: the process's log.
        identities: that the platform gives to the process; none by default.
        timing: durations of the Lease.

    Raises:
        ConfigError: the address for metrics cannot be bound, or a registry's settings are not valid.
    """

    def __init__(  # noqa: PLR0913 - what the worker is assembled from
        self,
        config: WorkerConfig,
        *,
        namespace: str,
        identity: str,
        api: KubernetesAPI,
        clock: Clock,
        log: FilteringBoundLogger,
        identities: Identities | None = None,
        timing: Timing = Timing(),  # noqa: B008 - frozen
    ) -> None:
        self._api = api
        self._log = log
        lease = Lease(api, namespace, config.lease, identity, clock, log, timing)
        self.metrics = WorkerMetrics(lease.leads)
        self._store = ObjectStore(kinds=WORKER_RESOURCES.keys())
        self._lists = ObjectLists(api, WORKER_RESOURCES, namespace, self._store, log)
        # A mirror may be older than the registry; signatures must be about what is there now.
        self._client = RegistryClient(config.registries.model_copy(update={"mirrors": {}}).settings(), clock=clock)
        secrets = SigningSecrets(api, config.secrets_namespace, config.secrets, clock)
        events = Events(api, COMPONENT, identity, clock, self.metrics, log)
        writer = StatusWriter(
            api=api,
            paths=self._lists.paths,
            store=self._store,
            fence=lease,
            events=events,
            clock=clock,
            metrics=self.metrics,
            log=log,
        )
        rates = Rates(clock)
        self._agenda = Agenda(clock, rates.admit)
        self._queue = WorkQueue(clock)
        baselines = BaselineObjects(api, namespace, lease)
        self._policies = Policies(
            store=self._store,
            queue=self._queue,
            secrets=secrets,
            client=self._client,
            budgets=Budgets(REQUESTS_PER_MINUTE, BURST, clock),
            identities=identities or Identities(),
            baselines=baselines,
            rates=rates,
            clock=clock,
            on_opened=self._add_requests,
            metrics=self.metrics,
            log=log,
        )
        signer = ImageSigner(self._client, RegistrySecrets(secrets), MemoryTrustedState(), lease, clock)
        attempts = Attempts(
            agenda=self._agenda,
            signer=signer,
            store=self._store,
            writer=writer,
            rates=rates,
            events=events,
            clock=clock,
            metrics=self.metrics,
            log=log,
        )
        self._jobs = SigningJobs(
            agenda=self._agenda,
            signer=signer,
            attempts=attempts,
            store=self._store,
            policies=self._policies.states,
            policy_uid=self._policy_uid,
            writer=writer,
            rates=rates,
            clock=clock,
            metrics=self.metrics,
            log=log,
        )
        scans = Scans(
            signer=signer,
            jobs=self._jobs,
            store=self._store,
            baselines=baselines,
            writer=writer,
            clock=clock,
            on_recorded=self._add_requests,
            log=log,
        )
        runs = ManualRuns(signer=signer, scans=scans, jobs=self._jobs, store=self._store, writer=writer, log=log)
        self._searches = Searches(scans, runs, config.resync_seconds, clock, self.metrics, log)
        self._retention = Retention(self._store, writer, config.request_retention_seconds, clock, self.metrics, log)
        self._writer = writer
        self._watcher = Watcher(api.configuration, WORKER_RESOURCES, namespace, self._on_event, log)
        self._synced = threading.Event()
        self._replica = Replica(lease, config.metrics_address, clock, log)
        self.address = self._replica.address

    def run(self, stop: threading.Event) -> int:
        """Run until `stop` is set, a background task ends, or the Lease is lost.

        Returns:
            exit status of the process: 0 if `stop` was set, else 1.
        """
        app = probes_app(self.metrics.registry, self._replica.well)
        try:
            return self._replica.run(stop, app, self._tasks())
        finally:
            self._client.close()

    def _tasks(self) -> Tasks:
        states = self._policies.states
        writing: dict[str, Task] = {
            **{f"signer-{number}": self._sign for number in range(SIGNERS)},
            **{f"policies-{number}": self._open for number in range(policies.WORKERS)},
            "searches": lambda stop: self._searches.run(stop, states),
            "statuses": lambda stop: self._writer.flush_periodically(stop, states),
            "retention": self._retention.run,
        }
        return Tasks(writing=writing, reading={"resync": self._resync, "watch": self._watch}, close=self._close)

    def _close(self) -> None:
        self._queue.close()
        self._agenda.close()

    def _on_event(self, kind: str, obj: Object, *, gone: bool = False) -> None:
        news = self._store.remove(kind, obj) if gone else self._store.put(kind, obj)
        if news:
            self._changed(kind, obj["metadata"]["name"])

    def _changed(self, kind: str, name: str) -> None:
        obj = self._store.get(kind, name)
        if kind != SIGNING_REQUEST:
            self._policies.on_change(kind, name)
        elif obj is not None:
            self._jobs.add_request(obj)

    def _policy_uid(self, name: str) -> str:
        try:
            return str(self._api.get(f"{self._lists.paths[SIGNING_POLICY]}/{name}")["metadata"]["uid"])
        except NotFoundError:
            return ""

    def _add_requests(self, policy: PolicyState) -> None:
        for obj in self._store.all(SIGNING_REQUEST):
            if ((obj.get("spec") or {}).get("policy") or {}).get("uid") == policy.uid:
                self._jobs.add_request(obj)

    def _compare(self) -> bool:
        changed = self._lists.compare()
        # Policies first: a request whose policy is not known is dropped.
        for kind, names in changed:
            for name in names:
                self._changed(kind, name)
        return any(names for _, names in changed)

    def _resync(self, stop: threading.Event) -> None:
        pause = POLL_SECONDS
        while not stop.is_set() and not self._synced.is_set():
            try:
                self._compare()
                self._synced.set()
            except SealgateError as error:
                self._resync_failed(error)
                stop.wait(pause)
                pause = min(pause * 2, 5.0)
        resync_periodically(stop, RESYNC_SECONDS, self._compare, self._watcher.restart, self._resync_failed)

    def _resync_failed(self, error: SealgateError) -> None:
        self.metrics.failed("resync")
        self._log.warning("objects cannot be listed; will retry", error=error.message)

    def _watch(self, stop: threading.Event) -> None:
        # Kopf discovers the kinds once. That they can be listed shows that the CRDs are installed.
        while not self._synced.wait(POLL_SECONDS):
            if stop.is_set():
                return
        self._watcher.run(stop)

    def _open(self, _: threading.Event) -> None:
        self._policies.work()

    def _sign(self, _: threading.Event) -> None:
        while (job := self._agenda.take()) is not None:
            try:
                outcome = job.work()
            except Exception as error:  # noqa: BLE001 - the boundary: one image must not end the worker of all
                self._log.error("job failed unexpectedly; will retry", exc_info=error)
                outcome = Outcome(retry_after=_UNEXPECTED_SECONDS)
            self._agenda.finish(job, outcome)
