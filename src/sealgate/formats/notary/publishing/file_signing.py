"""Signing metadata files: each role's file by as many of its keys as its threshold asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from sealgate.errors import SigningError, VerificationError
from sealgate.formats.notary.limits import LIMITS
from sealgate.formats.notary.wire.metadata import ROOT, SNAPSHOT, TARGETS, Signature, read_file
from sealgate.formats.notary.wire.writing import complete, file_bytes, message_of
from sealgate.keys.signing_keys import sign_verified

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sealgate.clocks import Deadline
    from sealgate.formats.notary.wire.keys import MetadataKey
    from sealgate.formats.notary.wire.metadata import RoleKeys
    from sealgate.formats.notary.wire.writing import Members
    from sealgate.keys.signing_keys import SigningKey


class KeyStore(Protocol):
    """Private keys that sign metadata: files that the user named, a trust directory, or both. Thread-safe."""

    @property
    def name(self) -> str:
        """Where the keys are, for a person ("the trust directory /home/alice/.docker/trust")."""

    def has(self, key: MetadataKey) -> bool:
        """Return whether the private half is here, without opening it."""

    def find(self, key: MetadataKey, role: str) -> SigningKey | None:
        """Return the private half of a key, ready to sign for a role; None if it is not here.

        Raises:
            SigningError: it is here, and cannot be read or decrypted; the message says why.
        """


class NewFile(NamedTuple):
    """A file to be signed and posted.

    Attributes:
        role: the role whose file it is.
        members: of `signed`, without type, version and expiry.
        version: 1 for the first, one more than the stored one for each that follows.
        signed_by: the keys of which enough must sign; several for a root that replaces another.
    """

    role: str
    members: Members
    version: int
    signed_by: tuple[RoleKeys, ...]


class FileSigner(NamedTuple):
    """Signs files with the keys of one store.

    Attributes:
        gun: full name of the repository, for messages.
        keys: the private keys.
        now: the time at which the keys' certificates must be valid.
        deadline: when signatures must be there.
    """

    gun: str
    keys: KeyStore
    now: datetime
    deadline: Deadline

    def sign(self, file: NewFile, expires: datetime) -> bytes:
        """Return the bytes of a file, signed.

        Args:
            file: what is signed.
            expires: when the file ends.

        Raises:
            SigningError: the store does not have enough of the role's keys, or one cannot sign; the message names
                role and keys.
            VerificationError: the file would be too large, or would not be one that a verifier reads.
            UnavailableError: a key could not be asked.
        """
        what = f"the {file.role} file of {self.gun}"
        message = message_of(complete(file.role, file.members, file.version, expires), what)
        signatures: dict[str, Signature] = {}
        for role in file.signed_by:
            found = list(self._usable(role))
            if len({key.canonical_id for key, _ in found}) < role.threshold:
                raise self._too_few(role)
            for key, private in found:
                signatures[key.key_id] = self._signature(key, private, message)
        raw = file_bytes(message, list(signatures.values()))
        # A verifier must be able to read what is about to be posted; some text that others stored has no spelling.
        read_file(raw, file.role, what, LIMITS.targets_bytes)
        return raw

    def holds(self, role: RoleKeys) -> bool:
        """Return whether the store has enough keys of a role to sign for it."""
        return len({key.canonical_id for key in role.keys.values() if self.keys.has(key)}) >= role.threshold

    def _usable(self, role: RoleKeys) -> Iterable[tuple[MetadataKey, SigningKey]]:
        for key in role.keys.values():
            private = self.keys.find(key, role.name)
            if private is not None:
                self._check_dates(key, role)
                yield key, private

    def _check_dates(self, key: MetadataKey, role: RoleKeys) -> None:
        try:
            key.check_dates(self.now)
        except VerificationError as error:
            msg = (
                f"the key {key.canonical_id} must not sign for {role.name} of {self.gun}: {error.message}; delegate to "
                "a new certificate: sealgate notary delegation add"
            )
            raise SigningError(msg) from error

    def _signature(self, key: MetadataKey, private: SigningKey, message: bytes) -> Signature:
        if private.public.algorithm is not key.algorithm:
            msg = f"{private.name} signs with {private.public.algorithm}; Notary needs {key.algorithm} of this key"
            raise SigningError(msg)
        method, value = key.encode(sign_verified(private, message, self.deadline))
        key.verify(method, value, message)
        return Signature(key.key_id, method, value)

    def _too_few(self, role: RoleKeys) -> SigningError:
        listed = ", ".join(key.canonical_id for key in role.keys.values()) or "none"
        need = "" if role.threshold == 1 else f", of which {role.threshold} must sign"
        return SigningError(
            f"there is no valid signing key for {role.name} of {self.gun} in {self.keys.name}; the role's keys are "
            f"{listed}{need}. Use the private key of one of them{self._other_way(role.name)}"
        )

    def _other_way(self, role: str) -> str:
        """Return what helps if the private key of a role is somewhere else, or lost."""
        if role == ROOT:
            return "; without it nothing of the repository can be rotated"
        if role in (TARGETS, SNAPSHOT):
            return f", or replace the key with the root key: sealgate notary rotate {self.gun} {role}"
        return ", or delegate to yours: sealgate notary delegation add"
