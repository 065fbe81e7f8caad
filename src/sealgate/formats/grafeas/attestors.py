"""Keys that attest images: a key with detached signatures, or an OpenPGP key whose messages hold what they sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sealgate.formats.grafeas.keys import default_id, one_keyring, one_public_key
from sealgate.formats.grafeas.wire import attached_signature, detached_signature
from sealgate.keys.openpgp.signing import armor, sign_message
from sealgate.keys.signing_keys import sign_verified

if TYPE_CHECKING:
    from sealgate.clocks import Clock, Deadline
    from sealgate.formats.grafeas.keys import AttestationKeys
    from sealgate.formats.grafeas.wire import AttestedSignature
    from sealgate.keys.openpgp.signing import OpenPGPSigner
    from sealgate.keys.signing_keys import SigningKey


class Attestor(Protocol):
    """A key that attests images, and the id under which verifiers know it. Thread-safe."""

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint, as findings have it."""

    @property
    def version(self) -> str:
        """The key's version in its KMS; empty where keys have none."""

    @property
    def algorithm(self) -> str:
        """The signature's algorithm; of OpenPGP, "OpenPGP"."""

    @property
    def accepted(self) -> AttestationKeys:
        """The public half, as verifiers accept it."""

    def attest(self, payload: bytes, clock: Clock, deadline: Deadline) -> AttestedSignature:
        """Sign a payload, and verify the signature.

        Args:
            payload: the exact bytes.
            clock: the time at which an OpenPGP key must be valid.
            deadline: when the signature must be there.

        Raises:
            SigningError: the key cannot sign.
            UnavailableError: what holds the key could not be asked.
        """


@dataclass(frozen=True, slots=True)
class DetachedAttestor:
    """A key whose signatures are stored beside what they sign; see `Attestor`.

    Attributes:
        key: signs.
        key_id: the id under which verifiers know the key; empty for the default of kritis, `ni:///sha-256;...`.
    """

    key: SigningKey
    key_id: str = ""

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        return self.key.public.fingerprint

    @property
    def version(self) -> str:
        """The key's version in its KMS."""
        return self.key.public.version

    @property
    def algorithm(self) -> str:
        """The key's algorithm."""
        return self.key.public.algorithm.value

    @property
    def accepted(self) -> AttestationKeys:
        """The public key under its id."""
        return one_public_key(self.key.public, self._id)

    def attest(self, payload: bytes, clock: Clock, deadline: Deadline) -> AttestedSignature:
        """Sign a payload; see `Attestor.attest`."""
        del clock
        return detached_signature(self._id, sign_verified(self.key, payload, deadline), payload)

    @property
    def _id(self) -> str:
        return self.key_id or default_id(self.key.public)


@dataclass(frozen=True, slots=True)
class OpenPGPAttestor:
    """An OpenPGP key; see `Attestor`.

    Attributes:
        signer: signs.
        key_id: the id under which verifiers know the key; empty for the fingerprint of the certificate, as in kritis.
    """

    signer: OpenPGPSigner
    key_id: str = ""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the primary key or subkey that signs."""
        return self.signer.fingerprint

    @property
    def version(self) -> str:
        """Nothing: OpenPGP keys have no versions."""
        return ""

    @property
    def algorithm(self) -> str:
        """What all OpenPGP signatures are called."""
        return "OpenPGP"

    @property
    def accepted(self) -> AttestationKeys:
        """The certificate under its id."""
        return one_keyring(self.signer.keyring, self._id)

    def attest(self, payload: bytes, clock: Clock, deadline: Deadline) -> AttestedSignature:
        """Sign a payload; see `Attestor.attest`."""
        return attached_signature(self._id, armor(sign_message(self.signer, payload, clock.now(), deadline)))

    @property
    def _id(self) -> str:
        return self.key_id or self.signer.keyring.fingerprints[0]
