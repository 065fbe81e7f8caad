"""Where an authenticator's keys come from: one resolver for each way of running sealgate.

A format asks a `KeyResolver` for the keys of each entry and never knows whether they stood in the policy, in a
Secret or in a KMS. Standalone, everything is among the policy files; in a cluster the operator resolves what is
not inline and writes it into the object's status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sealgate.errors import InvalidKeyError, Reason, UnavailableError
from sealgate.keys.public_keys import load_public_key
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.keys.public_keys import PublicKey
    from sealgate.policies.models import KeyEntry, SecretKey


class KeyResolver(Protocol):
    """The keys behind one entry of an authenticator."""

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        """Return the keys that the entry stands for, at least one; a KMS key may have several versions.

        Raises:
            InvalidKeyError: what the entry names is not a key that can be accepted.
            UnavailableError: what the entry names is not there (yet); reason *AuthenticatorNotReady*.
        """

    def secret(self, reference: SecretKey) -> bytes:
        """Return one key of a Secret as it is: an OpenPGP keyring, a certificate.

        Raises:
            UnavailableError: it is not there (yet); reason *AuthenticatorNotReady*.
        """


class StandaloneKeys:
    """Inline keys, and Secrets that stand among the policy files.

    Args:
        secrets: the decoded data of each Secret by its name.
    """

    def __init__(self, secrets: Mapping[str, Mapping[str, bytes]]) -> None:
        self._secrets = secrets

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        """Return the entry's one key; see `KeyResolver.public_keys`."""
        if (entry.pem is None) == (entry.secret_ref is None):
            msg = "a key entry has exactly one source: write either pem or secretRef"
            raise InvalidKeyError(msg)
        if entry.secret_ref is None:
            return (load_public_key(entry.pem or "", entry.algorithm),)
        try:
            return (load_public_key(self.secret(entry.secret_ref), entry.algorithm),)
        except InvalidKeyError as error:
            msg = f"key {quote(entry.secret_ref.key)} of Secret {quote(entry.secret_ref.name)}: {error.message}"
            raise InvalidKeyError(msg) from error

    def secret(self, reference: SecretKey) -> bytes:
        """Return one key of a Secret among the policy files; see `KeyResolver.secret`."""
        name, key = quote(reference.name), quote(reference.key)
        data = self._secrets.get(reference.name)
        if data is None:
            msg = f"Secret {name} is not among the policy files; add it"
            raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)
        if reference.key not in data:
            msg = f"Secret {name} has no key {key}; add it, or name another"
            raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)
        return data[reference.key]
