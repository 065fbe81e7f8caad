"""Private keys of `private_keys` and `sm2` as signing keys of the code under test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.keys.public_keys import load_public_key
from tests.support.signers.private_keys import PrivateKey, public_pem, sign
from tests.support.signers.sm2 import SM2PrivateKey

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate.keys.public_keys import PublicKey


@dataclass
class LocalSigningKey:
    """A `SigningKey`; tests may change its fields.

    Attributes:
        private: private key that signs.
        algorithm: as policies name it; None for the default of the key.
        version: of the key in its KMS.
        name: name in messages.
        messages: everything that it has signed.
    """

    private: PrivateKey | SM2PrivateKey
    algorithm: str | None = None
    version: str = ""
    name: str = "the test's key"
    messages: list[bytes] = field(default_factory=list)

    @property
    def public(self) -> PublicKey:
        pem = self.private.public_pem if isinstance(self.private, SM2PrivateKey) else public_pem(self.private)
        return load_public_key(pem, self.algorithm).of_version(self.version)

    def sign(self, message: bytes, deadline: Deadline) -> bytes:
        deadline.check("signing")
        self.messages.append(message)
        if isinstance(self.private, SM2PrivateKey):
            return self.private.sign(message)
        return sign(self.private, message, self.algorithm)
