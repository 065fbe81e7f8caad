"""Counting who signed a file: distinct keys of the role, each at most once, however often it signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.clocks import earliest
from sealgate.errors import VerificationError
from sealgate.findings import SeenSignature
from sealgate.formats.notary.errors import UnusableFileError
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.formats.notary.wire.keys import MetadataKey
    from sealgate.formats.notary.wire.metadata import RoleKeys, Signature, SignedFile


@dataclass(frozen=True, slots=True)
class Signers:
    """Who signed a file.

    Attributes:
        keys: the distinct keys of the role that did, in the order of their signatures.
        seen: every signature, those that did not count included.
    """

    keys: tuple[MetadataKey, ...]
    seen: tuple[SeenSignature, ...]

    @property
    def valid_until(self) -> datetime | None:
        """When the first of the keys ends that came in a certificate; None if none did."""
        return earliest(*(key.ends for key in self.keys))


def check_signatures(file: SignedFile, role: RoleKeys, now: datetime | None) -> Signers:
    """Return who signed a file, if they are enough.

    Args:
        file: the file.
        role: the keys that may sign it, and how many must.
        now: for the dates of keys that came in certificates; None leaves the dates aside.

    Raises:
        UnusableFileError: too few distinct keys of the role have signed it.
    """
    keys: dict[str, MetadataKey] = {}
    seen: list[SeenSignature] = []
    for signature in file.signatures:
        source = f"{file.what}, key {quote(signature.key_id, 64)}"
        try:
            key = _check_signature(file, signature, role, now)
        except VerificationError as error:
            seen.append(SeenSignature(source, error.reason, error.message))
            continue
        seen.append(SeenSignature(source, Reason.VERIFIED, "it counts", key.fingerprint))
        # By the bare key: neither a second signature nor a second certificate makes a second signer.
        keys.setdefault(key.canonical_id, key)
    if len(keys) < role.threshold:
        raise _too_few(file, role, len(keys), seen)
    return Signers(tuple(keys.values()), tuple(seen))


def _check_signature(file: SignedFile, signature: Signature, role: RoleKeys, now: datetime | None) -> MetadataKey:
    """Return the key of the role that made a signature."""
    key = role.keys.get(signature.key_id)
    if key is None:
        msg = f"{role.name} has no usable key {quote(signature.key_id, 64)}"
        raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)
    key.verify(signature.method, signature.value, file.message)
    if now is not None:
        key.check_dates(now)
    return key


def _too_few(file: SignedFile, role: RoleKeys, count: int, seen: list[SeenSignature]) -> UnusableFileError:
    refusals = [signature for signature in seen if signature.reason is not Reason.VERIFIED]
    why = f": {refusals[0].message}" if refusals else ""
    reason = refusals[0].reason if refusals else Reason.INVALID_SIGNATURE
    msg = f"{file.what} is signed by {count} of the {role.threshold} keys that it needs{why}"
    return UnusableFileError(msg, reason=reason, signatures=seen)
