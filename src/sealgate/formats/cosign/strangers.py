"""What is said of a signature that none of an authenticator's keys made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.cosign.wire import key_hint
from sealgate.keys.algorithms import Algorithm
from sealgate.messages import name_accepted, quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.formats.cosign.wire import Bundle
    from sealgate.keys.public_keys import PublicKey


def stranger(keys: Sequence[PublicKey], bundle: Bundle | None = None) -> VerificationError:
    """Return the refusal of a signature that none of the keys made.

    Args:
        keys: the authenticator's keys.
        bundle: the bundle that has the signature; what it says of its signer is for the message only.
    """
    accepted = name_accepted(key.fingerprint for key in keys)
    if bundle is not None and bundle.keyless:
        msg = f"it was made with a certificate (keyless); this authenticator accepts only its keys{accepted}"
        return VerificationError(msg, reason=Reason.UNKNOWN_KEY)
    if bundle is not None and bundle.hint and bundle.hint not in {key_hint(key.fingerprint) for key in keys}:
        hint = quote(bundle.hint, 100)
        msg = f"it says it was made by the key {hint}, which this authenticator does not accept{accepted}"
        return VerificationError(msg, reason=Reason.UNKNOWN_KEY)
    msg = f"none of the authenticator's keys made it, or it was changed afterwards{accepted}"
    if any(key.algorithm is Algorithm.ED25519 for key in keys):
        msg += f"; cosign 3 signs with {Algorithm.ED25519_PH}, which the key's algorithm must then say"
    return VerificationError(msg, reason=Reason.INVALID_SIGNATURE)
