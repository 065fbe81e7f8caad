"""The root of a repository: pinned by the policy, and from one version to the next signed by the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.clocks import earliest
from sealgate.errors import VerificationError
from sealgate.formats.notary.certificates import check_root_bundle
from sealgate.formats.notary.signatures import check_signatures
from sealgate.formats.notary.wire.metadata import ROOT, RoleKeys, SignedFile, read_file, read_root_roles
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealgate.formats.notary.pins import RootPin


@dataclass(frozen=True, slots=True)
class Root:
    """A root file, and who may sign for the base roles if it is trusted.

    Attributes:
        file: the file.
        roles: the keys of root, timestamp, snapshot and targets.
    """

    file: SignedFile
    roles: Mapping[str, RoleKeys]


def read_root(raw: bytes, what: str, limit: int) -> Root:
    """Take a root file apart; it is not trusted yet.

    Raises:
        VerificationError: it is malformed.
    """
    file = read_file(raw, ROOT, what, limit)
    return Root(file, read_root_roles(file))


def check_pinned(root: Root, pin: RootPin, gun: str, now: datetime) -> datetime | None:
    """Accept a root that enough pinned keys have signed.

    Returns:
        When the first certificate ends by which these keys count.

    Raises:
        VerificationError: they have not.
    """
    keys = root.roles[ROOT]
    pinned = {}
    ends: dict[str, datetime | None] = {}
    refusals: list[VerificationError] = []
    for key_id, key in keys.keys.items():
        try:
            check_root_bundle(key.certificates, gun, now)
            ends[key_id] = pin.check(key, gun, now)
        except VerificationError as error:
            refusals.append(error)
        else:
            pinned[key_id] = key
    if not pinned:
        why = refusals[0].message if refusals else "it lists no usable root key"
        reason = refusals[0].reason if refusals else Reason.MALFORMED_EVIDENCE
        raise VerificationError(f"{root.file.what} is not trusted: {why}", reason=reason)
    signers = check_signatures(root.file, RoleKeys(ROOT, pinned, keys.threshold), now)
    return earliest(signers.valid_until, *(ends[key.key_id] for key in signers.keys))


def check_successor(root: Root, previous: Root) -> None:
    """Accept a root as the one that follows another, whose keys must have signed it.

    The dates of the earlier root's certificates are left aside: they were good when it was trusted.

    Raises:
        VerificationError: it is of another version, or they have not signed it.
    """
    if root.file.version != previous.file.version + 1:
        msg = f"{root.file.what} has version {root.file.version} where {previous.file.version + 1} was asked for"
        raise VerificationError(msg, reason=Reason.MALFORMED_EVIDENCE)
    check_signatures(root.file, previous.roles[ROOT], None)
