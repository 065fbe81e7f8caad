"""Counts by key, kept only while they are not zero, since keys come from users.

They are plain dictionaries: `collections.Counter` handles missing and deleted keys in Python, and every verification
changes some twenty counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

    K = TypeVar("K", bound=Hashable)
else:
    K = TypeVar("K")


def add_count(counts: dict[K, int], key: K, change: int) -> None:
    """Change a count; one that becomes zero is removed.

    Args:
        counts: the counts.
        key: whose count.
        change: what to add to it, 0 for a new key.
    """
    count = counts.get(key, 0) + change
    if count:
        counts[key] = count
    else:
        counts.pop(key, None)
