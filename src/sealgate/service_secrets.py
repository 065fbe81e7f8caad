"""Credentials for signature stores: Secrets that are read when one is about to be asked, and go nowhere.

Public keys come from an object's spec or status (`sealgate.keys.resolvers`). Credentials are private, so no status may
hold them: whoever asks a store reads the Secret itself. In standalone mode it stands among the policy files; in a
cluster the webhook reads it, by name, from its own namespace.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from sealgate.errors import UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The most bytes of one member; a private key of 8192 bits has about 6,500.
MAX_MEMBER_BYTES = 32768
# What can stand in an HTTP header and cannot end one.
_VISIBLE = re.compile(r"[!-~]+")


class ServiceSecrets(Protocol):
    """Where the credentials for signature stores come from. Thread-safe; may wait for a network."""

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return the whole content of a Secret.

        Raises:
            UnavailableError: it is not there, or cannot be read; reason *AuthenticatorNotReady* where it is missing.
        """


class NoServiceSecrets:
    """No Secrets at all: stores that need credentials are unavailable."""

    def read(self, name: str) -> Mapping[str, bytes]:
        """Say that there are none; see `ServiceSecrets.read`."""
        msg = f"Secret {quote(name)} cannot be read here: nothing gives this process access to it"
        raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)


class MappingServiceSecrets:
    """The Secrets that stand among the policy files.

    Args:
        secrets: the decoded data of each Secret by its name.
    """

    def __init__(self, secrets: Mapping[str, Mapping[str, bytes]]) -> None:
        self._secrets = secrets

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return a Secret among the policy files; see `ServiceSecrets.read`."""
        if name not in self._secrets:
            msg = f"Secret {quote(name)} is not among the policy files; add it"
            raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)
        return self._secrets[name]


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
