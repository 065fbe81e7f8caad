"""A server process: gunicorn with one worker, rotating TLS, background tasks, metrics on a port of their own.

The parent process binds the ports, so that an error is reported at once in one sentence; threads start in the worker,
since threads do not survive a fork.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from gunicorn.app.base import BaseApplication

from sealgate.process.metrics_server import MetricsServer, metrics_app
from sealgate.process.serving.limits import BACKLOG, ServingLimits
from sealgate.process.serving.server import Server
from sealgate_webhook.transport.addresses import address_of
from sealgate_webhook.transport.callers import CALLER
from sealgate_webhook.transport.client_certificates import identify
from sealgate_webhook.transport.logs import GunicornLogger
from sealgate_webhook.transport.workers import ServerWorker

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from gunicorn._types import _WSGIAppType
    from gunicorn.arbiter import Arbiter
    from prometheus_client import CollectorRegistry
    from structlog.typing import FilteringBoundLogger

    from sealgate.process.serving.asgi import ASGIApplication
    from sealgate.process.serving.limits import Crowding
    from sealgate_webhook.transport.addresses import Address
    from sealgate_webhook.transport.tls import CertificateFiles

#: Seconds before a failed background task is restarted.
RESTART_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """How a server process is run.

    Attributes:
        listen: address of the application.
        metrics: address for Prometheus metrics, over plain HTTP; None for no metrics.
        connections: connections open at once; a further one closes the one that has been idle longest.
        keep_alive: seconds for which an idle connection is kept; longer than the clients keep theirs.
        drain: the most seconds that requests in flight have after SIGTERM.
        served: the log line that says where the application is served ("reviews served").
    """

    listen: Address
    metrics: Address | None
    connections: int
    keep_alive: int
    drain: int
    served: str


class ServerProcess(BaseApplication):
    """gunicorn's application: its configuration, and the server, made in the worker.

    Args:
        settings: how it is run.
        certificates: source of the TLS context; None for plain HTTP.
        registry: metrics to serve.
        log: the process's log.

    Raises:
        ConfigError: an address cannot be listened on.
    """

    def __init__(
        self,
        settings: ProcessSettings,
        certificates: CertificateFiles | None,
        registry: CollectorRegistry,
        log: FilteringBoundLogger,
    ) -> None:
        self._process = settings
        self._certificates = certificates
        self._registry = registry
        self._log = log
        self._metrics_listener = None if settings.metrics is None else settings.metrics.bind()
        self._listener = settings.listen.bind()
        _allow_descriptors(4 * settings.connections)
        super().__init__()

    @abstractmethod
    def application(self) -> ASGIApplication:
        """Return the application; called in the worker."""

    @abstractmethod
    def tasks(self) -> Iterable[Callable[[threading.Event], None]]:
        """Return what runs beside it, each in a thread of its own; a task that fails is restarted."""

    def metrics_application(self) -> ASGIApplication:
        """Return the application of the port of the metrics; called in the worker, after `application`."""
        return metrics_app(self._registry)

    @abstractmethod
    def task_failed(self) -> None:
        """Count the failure of a task."""

    @abstractmethod
    def crowded(self, of: Crowding) -> None:
        """Count a connection that was closed because these had run out."""

    def load_config(self) -> None:
        """Set the options that differ from gunicorn's defaults; command line and environment are ignored."""
        options: dict[str, object] = {
            "bind": f"fd://{self._listener.detach()}",
            "backlog": BACKLOG,
            "worker_class": ServerWorker,
            "workers": 1,
            "graceful_timeout": self._process.drain,
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108 - memory, not a disk
            "control_socket_disable": True,
            "logger_class": GunicornLogger,
            "proc_name": "sealgate",
            "pre_fork": _freeze,
            "post_worker_init": self._start_threads,
            "worker_exit": _leave,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> _WSGIAppType:
        """Make the server; called in the worker, which knows that this is what it gets."""
        limits = ServingLimits(connections=self._process.connections, keep_alive=self._process.keep_alive)
        certificates = self._certificates
        context = None if certificates is None else certificates.context
        server = Server(self.application(), limits, self._log, context, self._describe, self.crowded)
        return cast("_WSGIAppType", server)

    def _describe(self, connection: ssl.SSLObject) -> tuple[dict[str, Any], bool]:
        """Return the `Caller` of a connection, and whether the next request may come over it.

        If not, the next request needs a new handshake, under the current trust.
        """
        trust = None if self._certificates is None else self._certificates.clients()
        if trust is None:
            return {}, True
        caller, current = identify(connection, trust)
        return {CALLER: caller}, current

    def _start_threads(self, worker: ServerWorker) -> None:
        stop = threading.Event()
        for task in self.tasks():
            threading.Thread(target=self._keep_running, args=(task, stop), name="background", daemon=True).start()
        if self._metrics_listener is not None:
            MetricsServer(self._metrics_listener, self.metrics_application(), self._log)
            self._log.info("metrics served", address=address_of(self._metrics_listener))
        scheme = "http" if self._certificates is None else "https"
        for listener in worker.sockets:
            self._log.info(self._process.served, scheme=scheme, address=address_of(listener))

    def _keep_running(self, task: Callable[[threading.Event], None], stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                task(stop)
            except Exception as error:  # noqa: BLE001 - without the task, requests would be answered with old state
                self.task_failed()
                self._log.error("background task failed; restarting", exc_info=error)
            stop.wait(RESTART_SECONDS)


def _allow_descriptors(wanted: int) -> None:
    """Raise the limit of open files of this process as far as permitted; every connection needs a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def _freeze(_arbiter: Arbiter, _worker: ServerWorker) -> None:
    """Exempt every object that exists from garbage collection, which would write to memory that the processes share."""
    gc.freeze()


def _leave(_arbiter: Arbiter, worker: ServerWorker) -> None:
    """Exit the worker process as soon as every request is answered.

    Work may still be in progress, for example at a registry that hangs. No request waits for it any more, but Python
    would wait for its threads.
    """
    if worker.booted:
        sys.stderr.flush()
        os._exit(int(worker.alive))
