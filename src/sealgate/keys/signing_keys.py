"""Keys that sign: a protocol for private keys in files and for keys that never leave a key management service.

A signing key signs with one algorithm, that of its public half. No signature leaves this layer before the public half
has verified it: a KMS that answers with another key's signature, or an algorithm that the service confused, is an error
here and not a broken signature in a registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sealgate.errors import SigningError, VerificationError
from sealgate.messages import quote

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate.keys.public_keys import PublicKey


class SigningKey(Protocol):
    """A key that signs. Thread-safe."""

    @property
    def public(self) -> PublicKey:
        """The public half, with the algorithm that signatures have and, of a key in a KMS, its version."""

    @property
    def name(self) -> str:
        """The key for a person ("the key file release.pem", "alibaba:cn-hongkong/key-1"); never a secret."""

    def sign(self, message: bytes, deadline: Deadline) -> bytes:
        """Sign a message.

        Args:
            message: the exact bytes, before any hash; what is hashed, and how, is the key's concern.
            deadline: when the signature must be there; only a key in a KMS may wait.

        Returns:
            The signature as `PublicKey.verify` takes it: ECDSA and SM2 in DER.

        Raises:
            SigningError: the key must not, or cannot, sign this.
            UnavailableError: the service that holds the key could not be asked.
        """


def sign_verified(key: SigningKey, message: bytes, deadline: Deadline) -> bytes:
    """Sign a message and verify the signature with the public half.

    Args:
        key: signs.
        message: the exact bytes, before any hash.
        deadline: when the signature must be there.

    Raises:
        SigningError: the key cannot sign, or the signature that it returned is not its own.
        UnavailableError: the service that holds the key could not be asked.
    """
    signature = key.sign(message, deadline)
    try:
        key.public.verify(signature, message)
    except VerificationError as error:
        msg = (
            f"{quote(key.name)} returned a signature that its public key {key.public.fingerprint} does not verify with "
            f"{key.public.algorithm}; nothing was stored. Check the key and its algorithm"
        )
        raise SigningError(msg) from error
    return signature
