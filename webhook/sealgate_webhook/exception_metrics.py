"""Metrics of exceptions: how often each admitted an object, and how many are in force.

Exceptions and their namespaces are named by administrators, and a forged review can name no others. So that exceptions
which come and go for years take bounded memory, the series beyond `MAX_SERIES` are counted as exception "other".
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import Metric

#: Label of exceptions and namespaces that are not named.
OTHER: Final = "other"
#: The most series of exceptions and namespaces that are named.
MAX_SERIES: Final = 1000


class ExceptionMetrics(Collector):
    """Counts the uses of exceptions. Thread-safe.

    Attributes:
        count_open: returns how many exceptions are in force now.
    """

    def __init__(self) -> None:
        self.count_open: Callable[[], int] = lambda: 0
        self._uses: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def used(self, exceptions: Iterable[str], namespace: str) -> None:
        """Count an object that was admitted by exceptions.

        Args:
            exceptions: their names, each once.
            namespace: the object's namespace, which is one of those of each exception.
        """
        with self._lock:
            for name in exceptions:
                series = (name, namespace)
                if series not in self._uses and len(self._uses) >= MAX_SERIES:
                    series = (OTHER, OTHER)
                self._uses[series] = self._uses.get(series, 0) + 1

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        uses = CounterMetricFamily(
            "sealgate_exception_uses",
            "Objects that were admitted because a VerificationException lifted a denial, without dry runs.",
            labels=("exception", "namespace"),
        )
        with self._lock:
            counts = list(self._uses.items())
        for series, count in counts:
            uses.add_metric(series, count)
        in_force = GaugeMetricFamily(
            "sealgate_exceptions_open", "VerificationExceptions that are in force.", value=self.count_open()
        )
        return uses, in_force
