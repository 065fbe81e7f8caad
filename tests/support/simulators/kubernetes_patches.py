"""Merge patches as an API server applies them (RFC 7396)."""

from __future__ import annotations

from typing import Any

from tests.support.simulators.json_copies import copied


def merge(before: Any, patch: Any) -> Any:
    """Return the merged object."""
    if not isinstance(patch, dict):
        return copied(patch)
    merged = copied(before) if isinstance(before, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged
