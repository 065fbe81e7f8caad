"""What is in Secrets and other objects as base64, decoded."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def secret_data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the decoded data of a Secret."""
    return {name: decode(value) for name, value in (secret.get("data") or {}).items()}


def decode(text: str) -> bytes:
    """Return decoded base64; what is none is empty."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
