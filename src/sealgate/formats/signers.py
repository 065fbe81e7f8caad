"""The keys whose signatures a check accepts, as far as they are known before an image is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.formats.interface import CheckKey
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sealgate.formats.interface import Check
    from sealgate.keys.openpgp.keyring import Keyring
    from sealgate.keys.public_keys import PublicKey


def signers_of(check: Check, now: datetime) -> frozenset[str] | None:
    """Return the fingerprints of the keys whose signatures count; None if others than the policy choose the keys.

    Args:
        check: one authenticator's rules.
        now: the time at which the keys must be valid.
    """
    keys = check.keys_at(now)
    return None if keys is None else frozenset(key.fingerprint for key in keys if key.reason is Reason.VERIFIED)


def unusable_keys(check: Check, now: datetime) -> tuple[CheckKey, ...]:
    """Return the accepted keys whose signatures do not count at that time: expired, revoked, not valid yet."""
    return tuple(key for key in check.keys_at(now) or () if key.reason is not Reason.VERIFIED)


def public_check_keys(keys: Iterable[PublicKey]) -> Iterable[CheckKey]:
    """Yield public keys, which time cannot spoil, as a check reports them."""
    return (CheckKey(key.fingerprint, f"{key.kind} key {key.fingerprint}") for key in keys)


def openpgp_check_keys(keyring: Keyring, now: datetime) -> Iterable[CheckKey]:
    """Yield the keys of a keyring that can sign, as a check reports them."""
    for state in keyring.states(now):
        name = f"OpenPGP key {state.fingerprint}"
        yield CheckKey(state.fingerprint, name, state.reason, state.message, state.primary_fingerprint)


def each_once(keys: Iterable[CheckKey]) -> tuple[CheckKey, ...]:
    """Return the keys without repetitions, in order."""
    return tuple(dict.fromkeys(keys))
