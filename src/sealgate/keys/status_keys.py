"""An authenticator's keys in a cluster: inline ones from its spec, the others from its status.

Only the operator may write the status, and it has read the Secret or the KMS. The webhook therefore holds no
credentials for either, and admission by inline keys needs no operator. The operator reads back what it is about to
write in the same way, so that its *Ready* means what the webhook will find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.status import root_source, secret_source
from sealgate.errors import KeyRefusedError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from sealgate.messages import quote
from sealgate.reasons import TRANSIENT_REASONS, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.api.v1alpha1.keyless import TrustedRootSource
    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.api.v1alpha1.model import SecretKeySelector
    from sealgate.api.v1alpha1.status import AuthenticatorStatus, KeyStatus
    from sealgate.keys.public_keys import PublicKey


class StatusKeys:
    """The keys of one authenticator.

    Args:
        status: what the operator wrote.
        now: the time at which keys must still be valid.

    Attributes:
        valid_until: the earliest end of a key that was used; None where none ends.
    """

    def __init__(self, status: AuthenticatorStatus, now: datetime) -> None:
        self._status = status
        self._now = now
        self.valid_until: datetime | None = None

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        """Return the keys behind an entry; see `sealgate.keys.resolvers.KeyResolver`."""
        if entry.pem is not None:
            return (load_public_key(entry.pem, entry.algorithm, entry.distinguishing_id),)
        if entry.kms is not None:
            found = self._accepted(entry.kms.source, entry.kms.versions)
        else:
            assert entry.secret_ref is not None  # noqa: S101 - the model has checked that it is one of them
            found = self._accepted(secret_source(entry.secret_ref))
        return tuple(
            load_public_key(key.pem or "", entry.algorithm, entry.distinguishing_id).of_version(key.key_version or "")
            for key in found
        )

    def secret(self, reference: SecretKeySelector) -> bytes:
        """Return what the operator read from a Secret (a keyring, a certificate).

        Raises:
            UnavailableError: it has not, or refused it.
        """
        return (self._accepted(secret_source(reference))[0].pem or "").encode()

    def trusted_root(self, source: TrustedRootSource) -> bytes:
        """Return the trusted root that the operator read; see `secret`."""
        return (self._accepted(root_source(source))[0].pem or "").encode()

    def _accepted(self, source: str, versions: tuple[str, ...] = ()) -> list[KeyStatus]:
        """Return the keys that were read from a source; of some versions only, if some are named."""
        known = [key for key in self._status.keys if key.source == source]
        if versions:  # a key that is refused as a whole has no version in its status
            known = [key for key in known if key.key_version in versions or key.key_version is None]
        usable = [key for key in known if self._holds(key)]
        if usable:
            return usable
        said = next((key.message for key in known if key.message), "")
        why = said or ("it has to be read again" if known else "the operator has not read it yet")
        if known and all(_is_final(key) for key in known):
            raise KeyRefusedError(f"{quote(source)}: {why}")
        raise UnavailableError(f"{quote(source)}: {why}", reason=Reason.AUTHENTICATOR_NOT_READY)

    def _holds(self, key: KeyStatus) -> bool:
        if not key.is_usable(self._now):
            return False
        end = key.end
        if end is not None:
            self.valid_until = end if self.valid_until is None else min(self.valid_until, end)
        return True


def _is_final(key: KeyStatus) -> bool:
    """Return whether a key is refused for what it is, and not because it could not be read."""
    return key.state == "Refused" and key.reason not in TRANSIENT_REASONS
