"""Whose signatures a check accepts, as far as that is known before an image is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.formats.grafeas.keys import Authority
from sealgate.formats.incomplete import IncompleteCheck
from sealgate.keys.openpgp.keyring import Keyring
from sealgate.keys.public_keys import PublicKey
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.formats.interface import Check
    from sealgate.keys.openpgp.keyring import KeyState


def signers_of(check: Check, now: datetime) -> frozenset[str] | None:
    """Return the fingerprints of the keys whose signatures a check accepts; None where others choose them.

    Args:
        check: one authenticator's rules.
        now: the time at which OpenPGP keys must be valid.
    """
    check = check.check if isinstance(check, IncompleteCheck) else check
    keys = getattr(check, "keys", None)
    if isinstance(keys, tuple) and all(isinstance(key, PublicKey) for key in keys):
        return frozenset(key.fingerprint for key in keys)
    keyrings, others = _openpgp(check)
    if not keyrings and not others:
        return None
    states = openpgp_states(check, now)
    return others | {state.fingerprint for state in states if state.reason is Reason.VERIFIED}


def openpgp_states(check: Check, now: datetime) -> tuple[KeyState, ...]:
    """Return the state of every OpenPGP key that a check may accept, each once; empty where it accepts none.

    Args:
        check: one authenticator's rules.
        now: the time at which the keys must be valid.
    """
    keyrings, _ = _openpgp(check.check if isinstance(check, IncompleteCheck) else check)
    return tuple(dict.fromkeys(state for keyring in keyrings for state in keyring.states(now)))


def _openpgp(check: Check) -> tuple[tuple[Keyring, ...], frozenset[str]]:
    """Return a check's keyrings, and the fingerprints of the keys that it accepts beside them."""
    keyring = getattr(check, "keyring", None)
    if isinstance(keyring, Keyring):
        return (keyring,), frozenset()
    authority = getattr(check, "authority", None)
    if isinstance(authority, Authority):
        keyrings = tuple(keyring for found in authority.keyrings.values() for keyring in found)
        return keyrings, frozenset(key.fingerprint for keys in authority.public_keys.values() for key in keys)
    return (), frozenset()
