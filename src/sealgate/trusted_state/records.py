"""Records of trusted state for one repository, and their encoding. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The file whose version belongs to `TrustRecord.root`.
ROOT: Final = "root"
_MAX_RECORD_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class TrustKey:
    """Key of a record.

    Attributes:
        server: address of the server, normalised.
        name: full name of the repository on that server.
    """

    server: str
    name: str

    @property
    def hashed(self) -> str:
        """A name for a file or an object: 64 hex digits."""
        return hashlib.sha256(f"{self.server}\n{self.name}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """The highest versions seen, and the last trusted root.

    Attributes:
        versions: the highest version seen of each file, by its role ("root", "timestamp", "targets/releases").
        root: the exact bytes of the root whose version is `versions["root"]`; None when there is none.
    """

    versions: Mapping[str, int] = field(default_factory=dict)
    root: bytes | None = None

    def version(self, role: str) -> int:
        """Return the highest version seen of a role's file; 0 if none was seen."""
        return self.versions.get(role, 0)

    def merged(self, other: TrustRecord) -> TrustRecord:
        """Return the higher of both, role by role; of two equally high roots, this record's."""
        versions = {
            role: max(self.version(role), other.version(role))
            for role in sorted(self.versions.keys() | other.versions.keys())
        }
        root = other.root if other.version(ROOT) > self.version(ROOT) else self.root
        return TrustRecord(versions, root)


def encode_record(record: TrustRecord, key: TrustKey) -> bytes:
    """Return a record as JSON that contains its key."""
    root = None if record.root is None else base64.b64encode(record.root).decode()
    members = {"server": key.server, "name": key.name, "versions": dict(record.versions), "root": root}
    return json.dumps(members, sort_keys=True, indent=1).encode() + b"\n"


def decode_record(data: bytes, key: TrustKey) -> TrustRecord:
    """Return the record that `encode_record` wrote.

    Raises:
        ValueError: it is not a record, or it has another key.
    """
    if len(data) > _MAX_RECORD_BYTES:
        raise ValueError("it is larger than a record can be")
    try:
        members = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(members, dict) or members.keys() != {"server", "name", "versions", "root"}:
        raise ValueError("it does not have the members of a record")
    if (members["server"], members["name"]) != (key.server, key.name):
        raise ValueError("it is about another repository")
    record = TrustRecord(_decode_versions(members["versions"]), _decode_root(members["root"]))
    if (record.root is None) != (record.version(ROOT) == 0):
        raise ValueError("its root and the root's version do not fit")
    return record


def _decode_versions(versions: object) -> dict[str, int]:
    if not isinstance(versions, dict) or not all(type(version) is int and version > 0 for version in versions.values()):
        raise ValueError("its versions are not positive numbers")
    return versions


def _decode_root(root: object) -> bytes | None:
    if root is None:
        return None
    if not isinstance(root, str):
        raise ValueError("its root is not text")  # noqa: TRY004 - one error for everything that is no record
    try:
        return base64.b64decode(root, validate=True)
    except binascii.Error:
        raise ValueError("its root is not base64") from None
