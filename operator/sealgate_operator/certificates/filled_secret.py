"""Reconciles a Secret that the chart creates empty and the operator fills: one function says what it should have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.errors import UnavailableError
from sealgate.kubernetes.secrets import secret_data, write_secret_data

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.lease import Fence
    from sealgate_operator.metrics import Metrics

    #: Returns what to change in the data of a Secret (None removes a member), or None if it is good as it is.
    NextData = Callable[[Mapping[str, bytes], datetime], Mapping[str, bytes | None] | None]

#: Seconds between two reconciliations.
RESYNC_SECONDS: Final = 10.0


class FilledSecretReconciler:
    """Reconciles one Secret.

    Args:
        what: what the Secret holds, in words for the log ("self-test certificate"); with hyphens, for metrics.
        path: of the Secret. The chart creates it; it is only changed here.
        next_data: what the Secret should have.
        api: the API server.
        clock: source of the time.
        fence: whether this replica may still write.
        metrics: counts successes and failures.
        log: gets a line for every write and failure.
    """

    def __init__(  # noqa: PLR0913 - five of them are what every task of the operator is given
        self,
        what: str,
        path: str,
        next_data: NextData,
        *,
        api: KubernetesAPI,
        clock: Clock,
        fence: Fence,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._what = what
        self._label = what.replace(" ", "-")
        self._path = path
        self._next_data = next_data
        self._api = api
        self._clock = clock
        self._fence = fence
        self._metrics = metrics
        self._log = log

    def run(self, stop: threading.Event) -> None:
        """Reconcile periodically until `stop` is set."""
        while not stop.is_set():
            try:
                self.reconcile()
                self._metrics.worked(self._label)
            except UnavailableError as error:
                self._metrics.failed(self._label)
                self._log.warning("secret not reconciled; will retry", secret=self._what, error=error.message)
            stop.wait(RESYNC_SECONDS)

    def reconcile(self) -> None:
        """Change the Secret if it is not good as it is.

        Raises:
            UnavailableError: the Secret cannot be read or written.
        """
        found = self._api.get(self._path)
        data = self._next_data(secret_data(found), self._clock.now())
        if data is None:
            return
        self._fence.check()
        write_secret_data(self._api, self._path, found, data)
        self._log.info("secret written", secret=self._what)
