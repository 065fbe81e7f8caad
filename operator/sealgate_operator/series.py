"""Gauges whose series come and go: a scrape never sees one missing that is there before and after an update."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import Gauge


Labels = TypeVar("Labels", bound="tuple[str, ...]")


def replace_series(gauge: Gauge, values: Mapping[Labels, float]) -> None:
    """Set the series of a gauge, then remove its other series.

    In the other order, a scrape between the two steps would find no series, and an alert on it would start anew.

    Args:
        gauge: a gauge with labels, whose series no other thread adds or removes.
        values: value of each series, by the values of its labels in the gauge's order.
    """
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
    for metric in gauge.collect():
        for sample in metric.samples:
            found = tuple(sample.labels.values())
            if found not in values:
                gauge.remove(*found)
