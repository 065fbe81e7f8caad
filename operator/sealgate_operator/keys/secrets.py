"""Key sources: keys that are not inline in a spec, one class for each kind of source.

A source never raises for what it finds. The keys that it returns are written to `status.keys`, where the webhook
reads them. A source that cannot be watched gives its keys an expiry (`validUntil`) and is asked again before it
(`refresh_after`); while it does not respond, it returns the known keys with the expiry unchanged. Objects are
reconciled more often than that, after every change of an object that they name: such a source responds from its cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.status import KeyStatus, secret_source
from sealgate.errors import InvalidKeyError, UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate_operator.keys.public_material import read_key, read_public

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.api.v1alpha1.model import SecretKeySelector
    from sealgate_operator.keys.public_material import PublicMaterial


class SecretKeys:
    """Keys in Secrets of the operator's own namespace.

    Args:
        read: returns the decoded data of a Secret; None if there is none.
        forbidden: names of sealgate's own Secrets, which are never read as keys.
    """

    def __init__(
        self, read: Callable[[str], Mapping[str, bytes] | None], forbidden: Collection[str] = frozenset()
    ) -> None:
        self._read = read
        self._forbidden = frozenset(forbidden)

    def name(self, entry: KeyEntry) -> str | None:
        """Return `secretRef NAME/KEY`; see `KeySource`."""
        return None if entry.secret_ref is None else secret_source(entry.secret_ref)

    def observe(self, entry: KeyEntry, known: Sequence[KeyStatus], now: datetime) -> tuple[KeyStatus, ...]:  # noqa: ARG002 - of the protocol
        """Return the one key; see `KeySource`."""
        assert entry.secret_ref is not None  # noqa: S101 - `name` has said that it is one of these
        found = self._status(entry.secret_ref, lambda raw: read_key(raw, entry.algorithm, entry.distinguishing_id))
        return (found if entry.has_one_algorithm else found.model_copy(update={"algorithm": None}),)

    def refresh_after(self, entry: KeyEntry) -> float | None:  # noqa: ARG002 - of the protocol
        """Return None: Secrets are watched."""
        return None

    def observe_whole(self, reference: SecretKeySelector) -> KeyStatus:
        """Return what is public in one key of a Secret: a keyring, a certificate."""
        return self._status(reference, read_public)

    def _status(self, reference: SecretKeySelector, parse: Callable[[bytes], PublicMaterial]) -> KeyStatus:
        source, name, key = secret_source(reference), quote(reference.name, 64), quote(reference.key, 64)
        if reference.name in self._forbidden:
            message = f"Secret {name} is sealgate's own; put the key into another one"
            return refused(source, "SecretNotAllowed", message)
        data = self._read(reference.name)
        if data is None:
            message = f"there is no Secret {name} in sealgate's namespace; create it there, or name another"
            return refused(source, "SecretNotFound", message)
        if reference.key not in data:
            message = f"Secret {name} has no key {key}; add it, or name another"
            return refused(source, "SecretKeyNotFound", message)
        try:
            found = parse(data[reference.key])
        except InvalidKeyError as error:
            return refused(source, "InvalidKey", f"key {key} of Secret {name}: {error.message}")
        return KeyStatus(
            source=source,
            state="Accepted",
            pem=found.text,
            algorithm=found.algorithm,
            fingerprint=found.fingerprint,
        )


class CredentialSecrets:
    """Credentials for key management services, in Secrets of the operator's own namespace; see `ServiceSecrets`.

    Args:
        read: returns the decoded data of a Secret; None if there is none.
        forbidden: names of sealgate's own Secrets, which are never read as credentials.
    """

    def __init__(self, read: Callable[[str], Mapping[str, bytes] | None], forbidden: Collection[str]) -> None:
        self._read = read
        self._forbidden = frozenset(forbidden)

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return the whole content of a Secret.

        Raises:
            UnavailableError: there is none, or it is sealgate's own.
        """
        data = None if name in self._forbidden else self._read(name)
        if data is None:
            message = f"there is no Secret {quote(name, 64)} for credentials in sealgate's namespace; create it there"
            raise UnavailableError(message, reason=Reason.AUTHENTICATOR_NOT_READY)
        return data


def refused(source: str, reason: str, message: str) -> KeyStatus:
    """Return a key that is not used.

    Args:
        source: as in `status.keys[].source`.
        reason: why, as one word.
        message: why, for a person; the end of a long one is left out.
    """
    return KeyStatus(source=source, state="Refused", reason=reason, message=message[:4096])
