"""Merge patches as an API server applies them (RFC 7396)."""

from __future__ import annotations

import copy
from typing import Any


def merge(before: Any, patch: Any) -> Any:
    """Return the merged object."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = copy.deepcopy(before) if isinstance(before, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged
