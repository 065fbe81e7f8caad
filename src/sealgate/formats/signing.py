"""The interface between signing and formats: how one format writes signatures.

A *signer* is one format with the key and the store that a user or policy chose. It makes what the format's check
verifies, from the same `wire`. The order of steps is the same for every signer: read what is stored; if a valid
signature by the same key and key version with the same content is there, leave everything alone; otherwise sign, verify
with the public half, store, and read back through the format's own check. What was stored before is never lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from sealgate.formats.interface import Image, Sources
    from sealgate.references import Repository
    from sealgate.registry.interface import RegistryWriter


class SigningOutcome(StrEnum):
    """The outcome of signing one image."""

    SIGNED = "signed"
    ALREADY_SIGNED = "already signed"


@dataclass(frozen=True, slots=True)
class SigningContext:
    """Everything outside the process that a signer may use, for one image.

    Attributes:
        sources: reads: the registry with the signer's credentials, stores, Secrets, clock and deadline.
        writer: writes to registries, and to servers that authenticate as registries do, with the same credentials.
    """

    sources: Sources
    writer: RegistryWriter


@dataclass(frozen=True, slots=True)
class SigningResult:
    """The signature that is there after a signer has run.

    Attributes:
        outcome: whether it was made now or was there.
        fingerprint: of the key, as findings have it.
        key_version: the key's version in its KMS; empty where keys have none.
        algorithm: the signature's algorithm; of OpenPGP, "OpenPGP".
        location: where it is stored, for a person to find it again ("registry.example.org/app:sha256-4a4a….sig").
        digest: digest of what is stored (`sha256:<hex>`); empty where the store has none.
        size: bytes of what is stored; 0 where not known.
        contested: whether it was stored now where a writer on another machine may still replace it; it is then checked
            once more some seconds later.
        repairs: how often another writer had dropped it and it was added again.
    """

    outcome: SigningOutcome
    fingerprint: str
    key_version: str
    algorithm: str
    location: str
    digest: str = ""
    size: int = 0
    contested: bool = False
    repairs: int = 0


class Signer(Protocol):
    """One format with its key and its store, ready to sign images. Thread-safe."""

    @property
    def format(self) -> str:
        """The format's field name in the objects ("simpleSigning")."""

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint, as findings have it."""

    def lock_name(self, image: Image) -> str:
        """Return the name of what two signers must not write at the same time: the repository that holds signatures.

        Empty where the store adds records one by one, so that no writer can replace another's.
        """

    def sign(self, image: Image, context: SigningContext) -> SigningResult:
        """Sign an image, unless it is already signed with the same content by the same key and key version.

        Raises:
            SigningError: the signature was not made, or not stored; the message says what to do.
            VerificationError: what is stored cannot be read, or what was stored does not verify.
            UnavailableError: the key, the store or the registry could not be asked (and its subclasses).
        """


@runtime_checkable
class RenewingSigner(Signer, Protocol):
    """A signer of a format whose signatures end one day, and have to be made anew before that."""

    def renew(self, repository: Repository, context: SigningContext) -> tuple[str, ...]:
        """Sign anew what ends soon in a repository and is signed by this signer's keys; nothing else changes.

        Args:
            repository: the repository.
            context: reads and writes.

        Returns:
            What was signed anew, for a person ("targets/releases"); empty if nothing ends soon.

        Raises:
            SigningError: it was not signed, or not stored.
            VerificationError: what is stored cannot be trusted.
            UnavailableError: the store could not be asked (and its subclasses).
        """
