"""Whose signatures a check accepts, as far as that is known before an image is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import Reason
from sealgate.formats.incomplete import IncompleteCheck
from sealgate.keys.openpgp import Keyring
from sealgate.keys.public_keys import PublicKey

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.formats.interface import Check


def signers_of(check: Check, now: datetime) -> frozenset[str] | None:
    """Return the fingerprints of the keys whose signatures a check accepts; None where others choose them.

    Args:
        check: one authenticator's rules.
        now: the time at which OpenPGP keys must be valid.
    """
    keys = getattr(check.check if isinstance(check, IncompleteCheck) else check, "keys", None)
    if isinstance(keys, tuple) and all(isinstance(key, PublicKey) for key in keys):
        return frozenset(key.fingerprint for key in keys)
    keyring = getattr(check, "keyring", None)
    if isinstance(keyring, Keyring):
        return frozenset(state.fingerprint for state in keyring.states(now) if state.reason is Reason.VERIFIED)
    return None
