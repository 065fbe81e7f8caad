from __future__ import annotations

from sealgate.counts import add_count


def test_counts_that_become_zero_are_removed() -> None:
    counts: dict[str, int] = {}
    for change in (1, 1, -1):
        add_count(counts, "a", change)
    add_count(counts, "b", 2)
    assert counts == {"a": 1, "b": 2}
    add_count(counts, "a", -1)
    add_count(counts, "c", 0)
    assert counts == {"b": 2}
