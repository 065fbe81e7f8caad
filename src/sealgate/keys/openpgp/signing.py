"""OpenPGP keys that sign messages: a protocol for secret keys in files and for keys that gpg holds.

A signer makes binary messages with one signature over literal data, the only shape that `keyring` verifies. It signs
with one key of its certificate, which is known before it signs, so that its signatures can be found again. No message
leaves this layer before the public certificate has verified it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import pysequoia

from sealgate.errors import InvalidKeyError, SigningError, VerificationError
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from datetime import datetime
    from typing import TypeAlias

    from sealgate.clocks import Deadline
    from sealgate.keys.openpgp.keyring import Keyring, KeyState

    #: Returns the passphrase of a key; None if there is none and it cannot be asked for. It is called when the key
    #: turns out to need one, and only once, so that a person is not asked again for each image.
    PassphraseSource: TypeAlias = Callable[[], str | None]

_ENDED = (Reason.EXPIRED, Reason.REVOKED)


class OpenPGPSigner(Protocol):
    """An OpenPGP key that signs messages. Thread-safe."""

    @property
    def keyring(self) -> Keyring:
        """The public half: a keyring of the one certificate that the key belongs to."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the primary key or subkey that signs, 40 upper-case hex digits, as findings have it."""

    @property
    def name(self) -> str:
        """The key for a person ("the key file release.asc", "gpg:4A4A..."); never a secret."""

    def sign(self, payload: bytes, deadline: Deadline) -> bytes:
        """Return a binary message with one signature over a payload.

        Args:
            payload: the exact bytes.
            deadline: when the message must be there.

        Raises:
            SigningError: the key cannot sign: it is locked, on a card that is not there, or no longer there.
            UnavailableError: gpg did not answer in time.
        """


def sign_message(signer: OpenPGPSigner, payload: bytes, now: datetime, deadline: Deadline) -> bytes:
    """Return a binary message with one signature over a payload, verified with the public certificate.

    Args:
        signer: signs.
        payload: the exact bytes.
        now: the time at which key and signature must be valid, timezone-aware.
        deadline: when the message must be there.

    Raises:
        SigningError: the key cannot sign, or what it returned is not its own valid signature over the payload.
        UnavailableError: gpg did not answer in time.
    """
    message = signer.sign(payload, deadline)
    try:
        signed = signer.keyring.verify(message, now)
    except VerificationError as error:
        raise _not_verified(signer, error.message) from error
    if signed.payload != payload:
        raise _not_verified(signer, "it is over other bytes")
    if signed.signing_fingerprint != signer.fingerprint:
        raise _not_verified(signer, f"it is by OpenPGP key {signed.signing_fingerprint}")
    return message


def armor(message: bytes) -> str:
    """Return a binary message as armored text (RFC 9580, 6.2)."""
    return pysequoia.armor(message, pysequoia.ArmorKind.Message)


def choose_signing_key(keyring: Keyring, present: Container[str], now: datetime, name: str) -> KeyState:
    """Return the key of a certificate that signs, as gpg chooses it: the newest subkey, else the primary key.

    Args:
        keyring: the certificate.
        present: fingerprints of the keys whose secret half is at hand.
        now: the time at which the key must be valid, timezone-aware.
        name: of the key for a person.

    Raises:
        InvalidKeyError: none of them can sign now; the message says why, and the reason is *Expired* or *Revoked* where
            one could before.
    """
    states = keyring.states(now)
    usable = [state for state in states if state.reason is Reason.VERIFIED and state.fingerprint in present]
    if not usable:
        why = "; ".join(_why_not(state) for state in states)
        ended = (state.reason for state in states if state.reason in _ENDED and state.fingerprint in present)
        raise InvalidKeyError(f"{quote(name)} cannot sign: {why}", reason=next(ended, None))
    return max(
        usable, key=lambda state: (state.fingerprint != state.primary_fingerprint, state.created, state.fingerprint)
    )


def only_once(source: PassphraseSource) -> PassphraseSource:
    """Return a source that asks another one at its first call, and later returns the same. Not thread-safe."""
    return lru_cache(1)(source)


def _why_not(state: KeyState) -> str:
    if state.reason is not Reason.VERIFIED:
        return state.message
    return f"the secret half of OpenPGP key {state.fingerprint} is missing"


def _not_verified(signer: OpenPGPSigner, why: str) -> SigningError:
    msg = f"{quote(signer.name)} returned a message that its certificate does not verify; nothing was stored: {why}"
    return SigningError(msg)
