"""Scrapes of metrics while they are updated."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from prometheus_client import CollectorRegistry

#: Where the operator's own code is; locks of the client library are free before each of its lines.
_CODE = "/sealgate_operator/"


def scrapes_during(update: Callable[[], None], registry: CollectorRegistry) -> list[set[tuple[str, tuple[str, ...]]]]:
    """Update metrics, and return the series that a scrape finds before each line of the operator's code."""
    found: list[set[tuple[str, tuple[str, ...]]]] = []
    scraping = False

    def trace(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        nonlocal scraping
        if scraping or _CODE not in frame.f_code.co_filename:
            return None
        if event == "line":
            scraping = True
            metrics = registry.collect()
            found.append({(one.name, tuple(one.labels.values())) for each in metrics for one in each.samples})
            scraping = False
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        update()
    finally:
        sys.settrace(before)
    return found
