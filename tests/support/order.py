"""The order of tests: a worker that begins a long test last is waited for by all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


def long_ones_first(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return tests in the order in which each worker begins with its share of those that are marked as long.

    Args:
        items: all tests, in their order.
        workers: how many processes run them. pytest-xdist (worksteal) gives each an equal share, one after the other.
    """
    longest = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        share = (len(items) - len(ordered)) // (workers - worker)
        first = longest[worker::workers]
        more = max(0, share - len(first))
        ordered += [*first, *others[:more]]
        del others[:more]
    return ordered + others
