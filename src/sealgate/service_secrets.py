"""Credentials for signature stores, read from Secrets just before a request to the store.

Public keys come from an object's spec or status (`sealgate.keys.resolvers`). Credentials are private, so they never go
into a status: the process that sends the request reads the Secret itself. In standalone mode the Secret is among the
policy files; in a cluster the webhook reads it by name from its own namespace.
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
# Characters that are safe in the value of an HTTP header.
_VISIBLE = re.compile(r"[!-~]+")


class ServiceSecrets(Protocol):
    """Source of the credentials for signature stores. Thread-safe; may block on the network."""

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return the whole content of a Secret.

        Raises:
            UnavailableError: the Secret does not exist (reason *AuthenticatorNotReady*) or cannot be read.
        """


class NoServiceSecrets:
    """A source without Secrets: stores that need credentials are unavailable."""

    def read(self, name: str) -> Mapping[str, bytes]:
        """Raise `UnavailableError`; see `ServiceSecrets.read`."""
        msg = f"Secret {quote(name)} cannot be read: this process has no access to Secrets"
        raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)


class MappingServiceSecrets:
    """The Secrets among the policy files.

    Args:
        secrets: name of each Secret -> its decoded data.
    """

    def __init__(self, secrets: Mapping[str, Mapping[str, bytes]]) -> None:
        self._secrets = secrets

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return a Secret among the policy files; see `ServiceSecrets.read`."""
        if name not in self._secrets:
            msg = f"Secret {quote(name)} is not among the policy files; add it"
            raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)
        return self._secrets[name]


def describe_secret(name: str) -> str:
    """Return what messages call a source of credentials.

    Args:
        name: a Secret's name; or, with white space, which no such name has, the description of another source ("the
            profile DEFAULT of /home/a/.oci/config").
    """
    return quote(name) if " " in name else f"Secret {quote(name)}"


def credentials_error(secret: str, why: str) -> UnavailableError:
    """Return the error for a Secret whose credentials cannot be used.

    Args:
        secret: the Secret's name; see `describe_secret`.
        why: a clause that says what is wrong; must not contain the Secret's content.
    """
    return UnavailableError(f"{describe_secret(secret)}: {why}", reason=Reason.AUTHENTICATOR_NOT_READY)


def bytes_member(secret: str, data: Mapping[str, bytes], key: str) -> bytes:
    """Return a required member of a Secret, without white space around it.

    Args:
        secret: the Secret's name, for messages.
        data: the Secret's decoded data.
        key: the member's key.

    Raises:
        UnavailableError: the member is missing, empty, or larger than `MAX_MEMBER_BYTES`.
    """
    value = data.get(key, b"").strip()
    if not value:
        raise credentials_error(secret, f"it has no {key}; add it")
    if len(value) > MAX_MEMBER_BYTES:
        raise credentials_error(secret, f"its {key} is larger than {MAX_MEMBER_BYTES} bytes")
    return value


def text_member(secret: str, data: Mapping[str, bytes], key: str) -> str:
    """Return a required member that is one word of printable ASCII, so that it is safe in an HTTP header.

    White space around it is dropped: editors leave a line break at the end.

    Raises:
        UnavailableError: the member is missing, or contains other characters.
    """
    text = bytes_member(secret, data, key).decode("ascii", "replace")
    if _VISIBLE.fullmatch(text) is None:
        raise credentials_error(secret, f"its {key} is not one word of printable ASCII; copy it again")
    return text


def optional_text_member(secret: str, data: Mapping[str, bytes], key: str) -> str | None:
    """Return a member as `text_member` does; None if it is missing or empty.

    Raises:
        UnavailableError: the member contains characters other than printable ASCII.
    """
    return text_member(secret, data, key) if data.get(key, b"").strip() else None
