"""Patches as an API server applies them: RFC 7396 and RFC 6902."""

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


def json_patch(before: Any, operations: list[dict[str, Any]]) -> Any:
    """Return the patched object; None if a test fails or a path is not there."""
    document = copy.deepcopy(before)
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place = document
        try:
            for part in parents:
                place = place[int(part)] if isinstance(place, list) else place[part]
            if operation["op"] == "test":
                found = place[int(last)] if isinstance(place, list) else place.get(last)
                if found != operation["value"]:
                    return None
            elif operation["op"] == "remove":
                del place[int(last) if isinstance(place, list) else last]
            elif isinstance(place, list):
                index = len(place) if last == "-" else int(last)
                place[index : index + (operation["op"] == "replace")] = [operation["value"]]
            else:
                place[last] = operation["value"]
        except (KeyError, IndexError, TypeError):
            return None
    return document
