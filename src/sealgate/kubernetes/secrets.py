"""Decoding of Secrets and of other base64 in objects of the API server."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What becomes of a value that is not base64.
OnInvalid = Literal["empty", "raise"]


class InvalidBase64Error(ValueError):
    """A value is not base64."""


def secret_data(secret: Mapping[str, Any], on_invalid: OnInvalid = "empty") -> dict[str, bytes]:
    """Return the decoded data of a Secret; empty if it has none.

    Args:
        secret: the object, as the API server sends it.
        on_invalid: whether a value that is not base64 is decoded as empty or raises.

    Raises:
        InvalidBase64Error: a value is not base64, and `on_invalid` is "raise".
    """
    return {name: decode(value, on_invalid) for name, value in (secret.get("data") or {}).items()}


def decode(text: str, on_invalid: OnInvalid = "empty") -> bytes:
    """Return decoded base64 (RFC 4648, section 4).

    Args:
        text: the encoded value.
        on_invalid: whether text that is not base64 is decoded as empty or raises.

    Raises:
        InvalidBase64Error: the text is not base64, and `on_invalid` is "raise".
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:  # binascii.Error, or text that is not ASCII
        if on_invalid == "raise":
            raise InvalidBase64Error("not base64") from error
        return b""
