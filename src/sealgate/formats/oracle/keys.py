"""The trusted keys of an authenticator: by the key's OCID, its versions, and the algorithm that a record names.

The four algorithms are the only ones that image signatures have. A record chooses among them (or among those that the
policy leaves) and never adds one; the signed message has the same name, and is compared.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import NoKeyError, VerificationError, in_field
from sealgate.formats.oracle.wire import ALGORITHMS
from sealgate.formats.signers import each_once, public_check_keys
from sealgate.messages import name_accepted, quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sealgate.api.v1alpha1.oracle import OracleKey
    from sealgate.formats.interface import CheckKey
    from sealgate.formats.oracle.wire import SignatureRecord
    from sealgate.keys.public_keys import PublicKey
    from sealgate.keys.resolvers import KeyResolver


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key of a vault, in some or all of its versions.

    Attributes:
        key_id: its OCID.
        versions: the OCIDs of the versions that it has; empty for every version.
        keys: its public keys for each algorithm that it may sign with, by Oracle's name of that.
    """

    key_id: str
    versions: frozenset[str]
    keys: Mapping[str, tuple[PublicKey, ...]]

    @property
    def identity(self) -> list[object]:
        """Everything above as plain values, for hashes."""
        keys = {name: sorted((key.fingerprint, key.version) for key in found) for name, found in self.keys.items()}
        return [self.key_id, sorted(self.versions), keys]


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """All of them. Immutable, thread-safe.

    Attributes:
        entries: at least one.
    """

    entries: tuple[TrustedKey, ...]

    @property
    def fingerprints(self) -> frozenset[str]:
        """The fingerprints of all public keys."""
        found = (key.fingerprint for entry in self.entries for keys in entry.keys.values() for key in keys)
        return frozenset(found)

    @property
    def check_keys(self) -> tuple[CheckKey, ...]:
        """All public keys, each once; see `sealgate.formats.interface.Check.keys_at`."""
        found = (key for entry in self.entries for keys in entry.keys.values() for key in keys)
        return each_once(public_check_keys(found))

    def require_trusted(self, record: SignatureRecord) -> None:
        """Require that a record names a trusted key and version; whether that made it, `verify` finds out.

        Raises:
            VerificationError: it does not.
        """
        named = [entry for entry in self.entries if entry.key_id == record.key_id]
        if not named:
            msg = (
                f"made with the key {quote(record.key_id, 128)}, which is not trusted{name_accepted(self.fingerprints)}"
            )
            raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)
        if not any(not entry.versions or record.key_version_id in entry.versions for entry in named):
            msg = f"made with the version {quote(record.key_version_id, 128)} of a trusted key, which is not accepted"
            raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)

    def verify(self, record: SignatureRecord) -> tuple[str, str, bytes]:
        """Verify a record's signature over its message.

        Returns:
            The signer's fingerprint, how it was made, and the exact bytes that were signed.

        Raises:
            VerificationError: its algorithm is none of image signatures', or no trusted key made it.
        """
        if record.algorithm not in ALGORITHMS:
            msg = f"its algorithm {quote(record.algorithm, 64)} is not one of {', '.join(ALGORITHMS)}"
            raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE)
        for key in self._candidates(record):
            with suppress(VerificationError):
                key.verify(record.signature, record.message)
                how = f"made by the {key.kind} key {key.fingerprint} with {record.algorithm}"
                return key.fingerprint, how, record.message
        accepted = name_accepted(key.fingerprint for key in self._candidates(record))
        msg = f"the signature was not made by the key {quote(record.key_id, 128)}{accepted} with {record.algorithm}"
        raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE)

    def _candidates(self, record: SignatureRecord) -> Iterator[PublicKey]:
        for entry in self.entries:
            if entry.key_id == record.key_id and (not entry.versions or record.key_version_id in entry.versions):
                # What a vault says is one version's key makes no signature in another's name.
                found = entry.keys.get(record.algorithm, ())
                yield from (key for key in found if key.version in ("", record.key_version_id))


def load_trusted_keys(entries: Sequence[OracleKey], resolver: KeyResolver) -> TrustedKeys:
    """Load the keys of an authenticator.

    Raises:
        InvalidKeyError: one cannot be accepted.
        NoKeyError: there is none.
    """
    loaded: list[TrustedKey] = []
    for number, entry in enumerate(entries):
        with in_field(f"oracle.trustedKeys[{number}]"):
            loaded.append(_load(entry, resolver))
    trusted = TrustedKeys(tuple(entry for entry in loaded if any(entry.keys.values())))
    if not trusted.fingerprints:
        with in_field("oracle.trustedKeys"):
            raise NoKeyError("it is empty: without a key no signature can count; add one")
    return trusted


def _load(entry: OracleKey, resolver: KeyResolver) -> TrustedKey:
    accepted = {name: ours for name, ours in ALGORITHMS.items() if entry.algorithm in (None, ours)}
    found = resolver.public_keys(entry)
    return TrustedKey(
        entry.key_id,
        frozenset(entry.versions),
        {name: tuple(key.with_algorithm(ours) for key in found) for name, ours in accepted.items()},
    )
