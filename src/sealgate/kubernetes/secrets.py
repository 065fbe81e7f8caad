"""Data of Secrets, and other base64 in objects of the API server: decoded, and written back."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.kubernetes.client import KubernetesAPI

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


def write_secret_data(
    api: KubernetesAPI, path: str, found: Mapping[str, Any], data: Mapping[str, bytes | None]
) -> None:
    """Change the data of a Secret, if it still is as it was read.

    Args:
        api: the API server.
        path: path of the Secret.
        found: the Secret as it was read.
        data: the new values by key; None removes a key. Other keys stay.

    Raises:
        ConflictError: the Secret has been changed since.
        UnavailableError: it could not be written.
    """
    encoded = {name: None if value is None else encode(value) for name, value in data.items()}
    api.merge(path, {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "data": encoded})


def encode(data: bytes) -> str:
    """Return base64 (RFC 4648, section 4), as the API server takes it."""
    return base64.b64encode(data).decode()


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
