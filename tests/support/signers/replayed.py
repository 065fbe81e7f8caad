"""Keys without a private half, which answer with recorded signatures.

What is signed with them today is stored byte for byte as it was recorded, if it is still the same text; another text
has no recorded signature, and signing fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sealgate.errors import SigningError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.clocks import Deadline
    from sealgate.keys.openpgp.keyring import Keyring
    from sealgate.keys.public_keys import PublicKey


@dataclass(frozen=True)
class ReplayedKey:
    """A `SigningKey`.

    Attributes:
        public: the public half.
        signatures: the recorded ones; ECDSA and SM2 in DER.
        name: name in messages.
    """

    public: PublicKey
    signatures: Sequence[bytes]
    name: str = "a recorded key"

    def sign(self, message: bytes, deadline: Deadline) -> bytes:
        del deadline
        for signature in self.signatures:
            if self._fits(signature, message):
                return signature
        raise SigningError(f"another text was signed when this was recorded: {message!r}")

    def _fits(self, signature: bytes, message: bytes) -> bool:
        try:
            self.public.verify(signature, message)
        except VerificationError:
            return False
        return True


@dataclass(frozen=True)
class ReplayedOpenPGPKey:
    """An `OpenPGPSigner`; what it returns is verified by its caller, over another text too.

    Attributes:
        keyring: the public half.
        message: the recorded one.
        name: name in messages.
    """

    keyring: Keyring
    message: bytes
    name: str = "a recorded key"

    @property
    def fingerprint(self) -> str:
        return self.keyring.verify(self.message, datetime.now(UTC)).signing_fingerprint

    def sign(self, payload: bytes, deadline: Deadline) -> bytes:
        del payload, deadline
        return self.message
