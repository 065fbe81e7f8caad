"""Prometheus metrics of the canary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from sealgate.canary import Proof

_VALUES: Final = {"denied": 1.0, "admitted": 0.0, "unknown": math.nan}


class CanaryMetrics:
    """All metrics of the canary. Until the first dry run, what it proves is unknown."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._denied = Gauge(
            "sealgate_canary_denied",
            "1 if the webhook denied the last dry run, 0 if it would have been admitted, NaN if neither is known.",
            registry=self.registry,
        )
        self._denied.set(math.nan)
        self._last_denied = Gauge(
            "sealgate_canary_last_denied_timestamp_seconds",
            "Time of the last dry run that the webhook denied, in seconds since the Unix epoch; 0 before the first.",
            registry=self.registry,
        )
        self._runs = Counter(
            "sealgate_canary_dry_runs", "Dry runs, by what they proved.", ("proof",), registry=self.registry
        )

    def proved(self, proof: Proof, now: float) -> None:
        """Record a dry run.

        Args:
            proof: what it proved.
            now: seconds since 1970.
        """
        self._runs.labels(proof).inc()
        self._denied.set(_VALUES[proof])
        if proof == "denied":
            self._last_denied.set(now)
