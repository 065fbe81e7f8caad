"""Credentials for cloud APIs, out of a Secret: read strictly, named in messages, never shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sealgate.errors import UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The most bytes of one member; a private key of 8192 bits has about 6,500.
MAX_MEMBER_BYTES = 32768

# What can stand in an HTTP header and cannot end one.
_VISIBLE = re.compile(r"[!-~]+")


def credentials_error(secret: str, why: str) -> UnavailableError:
    """Return the error for a Secret whose credentials cannot be used.

    Args:
        secret: the Secret's name.
        why: what is wrong with it, and nothing of its content.
    """
    return UnavailableError(f"Secret {quote(secret)}: {why}", reason=Reason.AUTHENTICATOR_NOT_READY)


def bytes_member(secret: str, data: Mapping[str, bytes], key: str) -> bytes:
    """Return a member that must be there.

    Raises:
        UnavailableError: it is not, or is empty or too large.
    """
    value = data.get(key, b"").strip()
    if not value:
        raise credentials_error(secret, f"it has no {key}; add it")
    if len(value) > MAX_MEMBER_BYTES:
        raise credentials_error(secret, f"its {key} is larger than {MAX_MEMBER_BYTES} bytes")
    return value


def text_member(secret: str, data: Mapping[str, bytes], key: str) -> str:
    """Return a member that is one word of printable ASCII, as everything is that goes into a header.

    White space around it is dropped: editors leave a line break at the end.

    Raises:
        UnavailableError: it is missing or something else.
    """
    text = bytes_member(secret, data, key).decode("ascii", "replace")
    if _VISIBLE.fullmatch(text) is None:
        raise credentials_error(secret, f"its {key} is not one word of printable ASCII; copy it again")
    return text


def optional_text_member(secret: str, data: Mapping[str, bytes], key: str) -> str | None:
    """Return a member as `text_member` does; None if it is not there or empty.

    Raises:
        UnavailableError: it is there and something else.
    """
    return text_member(secret, data, key) if data.get(key, b"").strip() else None
