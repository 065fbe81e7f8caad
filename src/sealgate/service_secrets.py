"""Credentials for signature stores: Secrets that are read when one is about to be asked, and go nowhere.

Public keys come from an object's spec or status (`sealgate.keys.resolvers`). Credentials are private, so no status may
hold them: whoever asks a store reads the Secret itself. In standalone mode it stands among the policy files; in a
cluster the webhook reads it, by name, from its own namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sealgate.errors import UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping


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


class StandaloneServiceSecrets:
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
