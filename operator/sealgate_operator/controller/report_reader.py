"""Reads what the reports' process says about itself, and has it written into the policies' status."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import quote as url_quote

from sealgate.errors import UnavailableError
from sealgate.policies.report_state import decode_state
from sealgate_operator.status.conditions import ConditionUpdate
from sealgate_operator.status.reporting import REPORTED, reporting_condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.metrics import Metrics

#: Seconds between two readings.
READ_SECONDS: Final = 15.0


class ReportReader:
    """Reads the Lease of the reports' process. `condition` may be called from any thread.

    Args:
        api: the API server.
        namespace: sealgate's own.
        lease: name of the Lease.
        on_change: called when the condition has changed.
        clock: source of the time.
        metrics: counts readings.
        log: gets a line for every change.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        namespace: str,
        lease: str,
        on_change: Callable[[], None],
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{url_quote(namespace, safe='')}/leases"
        self._path = f"{leases}/{url_quote(lease, safe='')}"
        self._api = api
        self._on_change = on_change
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._lock = threading.Lock()
        self._condition: ConditionUpdate | None = None

    def condition(self) -> ConditionUpdate | None:
        """Return what the condition should say; None until that is known."""
        with self._lock:
            return self._condition

    def run(self, stop: threading.Event) -> None:
        """Read periodically until `stop` is set."""
        while not stop.is_set():
            self.read()
            stop.wait(READ_SECONDS)

    def read(self) -> None:
        """Read the Lease once."""
        try:
            update = reporting_condition(decode_state(self._api.get(self._path)), self._clock.now())
        except UnavailableError as error:
            self._metrics.failed("reports")
            update = ConditionUpdate(REPORTED, None, "NotKnown", f"cannot be found out: {error.message}")
        else:
            self._metrics.worked("reports")
        with self._lock:
            changed, self._condition = update != self._condition, update
        if changed:
            self._log.info("reporting changed", reason=update.reason, message=update.message)
            self._on_change()
