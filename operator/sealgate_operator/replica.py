"""Run one replica: followers wait, the leader works, a leader that loses the Lease exits at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.errors import ConfigError
from sealgate.messages import quote
from sealgate.process.metrics_server import MetricsServer
from sealgate.process.serving.limits import BACKLOG

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.lease import Lease
    from sealgate.process.serving.asgi import ASGIApplication

#: Runs until the event is set.
Task = Callable[[threading.Event], None]

#: Seconds between two checks of whether this replica still leads, and so the longest delay of noticing.
POLL_SECONDS = 0.25
#: Seconds that an orderly shutdown may take.
_SHUTDOWN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Tasks:
    """Background tasks of a replica, by the name of their thread.

    Attributes:
        observing: run in every replica.
        writing: run in the leader; the Lease is released when they have ended.
        reading: run in the leader, and are not waited for.
        close: wakes tasks that wait for work, so that they end.
    """

    writing: Mapping[str, Task]
    reading: Mapping[str, Task]
    close: Callable[[], None]
    observing: Mapping[str, Task] = field(default_factory=dict)


class Replica:
    """One replica of a process that works only while it leads.

    Args:
        lease: elects the leader.
        listen: host and port of metrics and probes.
        clock: measures the shutdown.
        log: the process's log.

    Attributes:
        address: host and port that metrics and probes are served on.

    Raises:
        ConfigError: the address for metrics cannot be bound.
    """

    def __init__(self, lease: Lease, listen: tuple[str, int], clock: Clock, log: FilteringBoundLogger) -> None:
        self._lease = lease
        self._clock = clock
        self._log = log
        self._failed = threading.Event()
        self._listener = bind(listen)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def well(self) -> bool:
        """Return whether every background task runs."""
        return not self._failed.is_set()

    def run(self, stop: threading.Event, app: ASGIApplication, tasks: Tasks) -> int:
        """Run until `stop` is set, a background task ends, or the Lease is lost.

        Args:
            stop: ends the replica.
            app: metrics and probes.
            tasks: what runs.

        Returns:
            exit status of the process: 0 if `stop` was set, else 1.
        """
        side = MetricsServer(self._listener, app, self._log)
        lease_stop, observing_stop = threading.Event(), threading.Event()
        lease = self._start("lease", self._lease.run, lease_stop)
        observing = [self._start(name, task, observing_stop) for name, task in tasks.observing.items()]
        try:
            while not stop.is_set() and self.well() and not self._lease.leads():
                stop.wait(POLL_SECONDS)
            if not stop.is_set() and self.well():
                self._lead(stop, tasks)
            return 0 if stop.is_set() else 1
        finally:
            # Tasks that write end before the Lease is released.
            observing_stop.set()
            self._join(observing)
            lease_stop.set()
            self._join([lease])
            side.close()

    def _lead(self, stop: threading.Event, tasks: Tasks) -> None:
        self._log.info("started leading")
        ended = threading.Event()
        for name, task in tasks.reading.items():
            self._start(name, task, ended)
        writing = [self._start(name, task, ended) for name, task in tasks.writing.items()]
        while not stop.is_set() and self.well() and self._lease.leads():
            stop.wait(POLL_SECONDS)
        ended.set()
        tasks.close()
        if stop.is_set():
            # The Lease is released only when tasks that write have ended. The others only read, and Kopf stops slowly.
            self._join(writing)
        else:
            self._log.error("stopped leading; exiting, to be restarted as a follower")

    def _join(self, threads: list[threading.Thread]) -> None:
        latest = self._clock.monotonic() + _SHUTDOWN_SECONDS
        for thread in threads:
            thread.join(max(0.0, latest - self._clock.monotonic()))

    def _start(self, name: str, task: Task, stop: threading.Event) -> threading.Thread:
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


def bind(address: tuple[str, int]) -> socket.socket:
    """Return a socket that listens on a host and port, for metrics and probes.

    Raises:
        ConfigError: the address cannot be bound.
    """
    host, port = address
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = quote(error.strerror or error)
        raise ConfigError(f"cannot listen on {quote(host)}:{port} for metrics: {why}") from error
