"""Data of ConfigMaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.kubernetes.secrets import decode

if TYPE_CHECKING:
    from collections.abc import Mapping


def config_map_data(config_map: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the data of a ConfigMap, text as UTF-8; empty if it has none. A value that is not base64 is empty.

    Args:
        config_map: the object, as the API server sends it.
    """
    text = {name: value.encode() for name, value in (config_map.get("data") or {}).items()}
    return text | {name: decode(value) for name, value in (config_map.get("binaryData") or {}).items()}
