"""The four kinds of metadata file, parsed strictly.

Nothing here is trusted yet: parsing returns what a file says and the bytes that are signed, `signatures.py` verifies
who signed it, and `trusted_metadata.py` puts both together. Unknown members are ignored, because signers may add some;
known members must be exactly right.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.notary.errors import UnusableFileError
from sealgate.formats.notary.limits import LIMITS
from sealgate.formats.notary.wire.canonical import canonical_json
from sealgate.formats.notary.wire.keys import MetadataKey, key_id, read_key
from sealgate.messages import quote
from sealgate.parsing.evidence import (
    as_object,
    base64_member,
    list_member,
    malformed,
    object_member,
    parse_object,
    text_member,
)
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = "root"
TIMESTAMP: Final = "timestamp"
SNAPSHOT: Final = "snapshot"
TARGETS: Final = "targets"

# What the server's database can hold; a larger version could never be followed by another.
_MAX_VERSION = 2**31 - 1
_MAX_ROLE_NAME = 255
_SHA256_BYTES, _SHA512_BYTES = 32, 64
_TYPES = {ROOT: "Root", TIMESTAMP: "Timestamp", SNAPSHOT: "Snapshot", TARGETS: "Targets"}
_DELEGATION = re.compile(r"targets(?:/[-a-z0-9_]+)+")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a file, as written.

    Attributes:
        key_id: whose it says it is.
        method: how it says it was made, lower case.
        value: the signature.
    """

    key_id: str
    method: str
    value: bytes


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A metadata file of any kind, taken apart.

    Attributes:
        role: whose file it is ("root", "targets/releases").
        what: the same for a person, with the repository.
        raw: the bytes as fetched; other files' hashes are over these.
        members: of `signed`.
        message: `signed` in canonical form; signatures are over this.
        signatures: as written.
        version: 1 or more.
        expires: when it ends, in UTC.
    """

    role: str
    what: str
    raw: bytes = field(repr=False)
    members: Mapping[str, object] = field(repr=False)
    message: bytes = field(repr=False)
    signatures: tuple[Signature, ...] = field(repr=False)
    version: int
    expires: datetime

    def check_expiry(self, now: datetime) -> None:
        """Refuse a file that has expired.

        Raises:
            UnusableFileError: it has.
        """
        if self.expires <= now:
            msg = f"{self.what} expired on {self.expires:%Y-%m-%d %H:%M} UTC; it must be signed anew"
            raise UnusableFileError(msg, reason=Reason.EXPIRED)


@dataclass(frozen=True, slots=True)
class RoleKeys:
    """Who may sign for a role, as the role above it says.

    Attributes:
        name: the role.
        keys: the usable ones by id; entries under a wrong id and unusable keys are left out.
        threshold: how many of them must sign.
        paths: prefixes of the tags that it may name; "" is every tag.
    """

    name: str
    keys: Mapping[str, MetadataKey]
    threshold: int
    paths: tuple[str, ...] = ("",)

    def may_name(self, tag: str) -> bool:
        """Return whether the role may say anything about a tag."""
        return tag.startswith(self.paths)


@dataclass(frozen=True, slots=True)
class FileHashes:
    """What a file says about another file's, or a manifest's, bytes.

    Attributes:
        sha256: 32 bytes.
        sha512: 64 bytes; None when it does not say.
        length: in bytes.
    """

    sha256: bytes
    sha512: bytes | None
    length: int

    def check(self, data: bytes, what: str) -> None:
        """Compare bytes with what is said about them.

        Raises:
            VerificationError: they are others.
        """
        if len(data) != self.length:
            msg = f"{what} has {len(data)} bytes, and {self.length} are signed"
            raise VerificationError(msg, reason=Reason.MALFORMED_EVIDENCE)
        same = hashlib.sha256(data).digest() == self.sha256
        if not same or (self.sha512 is not None and hashlib.sha512(data).digest() != self.sha512):
            raise VerificationError(f"{what} is not the one whose hash is signed", reason=Reason.MALFORMED_EVIDENCE)


def read_file(raw: bytes, role: str, what: str, limit: int) -> SignedFile:
    """Parse a file of any kind.

    Args:
        raw: the bytes as fetched.
        role: whose file it should be.
        what: the same for a person.
        limit: the most bytes.

    Raises:
        VerificationError: it is malformed, too large, or of another kind.
    """
    envelope = parse_object(raw, what, limit=limit)
    members = object_member(envelope, "signed", what)
    kind = text_member(members, "_type", what)
    if kind != _TYPES[TARGETS if is_delegation(role) else role]:
        msg = f"{what} is of type {quote(kind, 40)}"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
    return SignedFile(
        role=role,
        what=what,
        raw=raw,
        members=members,
        message=canonical_json(members, what),
        signatures=_read_signatures(envelope, what),
        version=_positive(members, "version", what),
        expires=_moment(text_member(members, "expires", what), what),
    )


def read_root_roles(file: SignedFile) -> Mapping[str, RoleKeys]:
    """Return who may sign for the four base roles.

    Raises:
        VerificationError: the file is malformed, or a role names a key that is not in it.
    """
    keys = _read_keys(object_member(file.members, "keys", file.what), file.what)
    roles = object_member(file.members, "roles", file.what)
    return {role: _read_role(object_member(roles, role, file.what), role, keys, file.what) for role in _TYPES}


def read_delegations(file: SignedFile) -> Mapping[str, RoleKeys]:
    """Return who may sign for the delegations of a file of targets.

    Raises:
        VerificationError: the file is malformed, delegates to what is not its child, or a role names a key that is not
            in it.
    """
    if "delegations" not in file.members:
        return {}
    what = f"delegations of {file.what}"
    delegations = object_member(file.members, "delegations", file.what)
    keys = _read_keys(object_member(delegations, "keys", what), what)
    roles: dict[str, RoleKeys] = {}
    for item in _list_or_null(delegations, "roles", what):
        members = as_object(item, what)
        name = text_member(members, "name", what)
        if not is_delegation(name) or name.rpartition("/")[0] != file.role:
            raise malformed(what, f"{quote(name)} is not the name of a child of {file.role}")
        if name in roles:
            raise malformed(what, f"duplicate {name}")
        roles[name] = _read_role(members, name, keys, what, _read_paths(members, what))
    return roles


def read_hashes(files: Mapping[str, object], name: str, what: str) -> FileHashes:
    """Return what a file says about one name in its `meta` or `targets`.

    Args:
        files: that member.
        name: a role or a tag, known to be in it.
        what: the file, for the message.

    Raises:
        VerificationError: what it says is malformed.
    """
    where = f"{quote(name)} in {what}"
    entry = object_member(files, name, where)
    hashes = object_member(entry, "hashes", where)
    sha256 = base64_member(hashes, "sha256", where)
    sha512 = base64_member(hashes, "sha512", where) if "sha512" in hashes else None
    if len(sha256) != _SHA256_BYTES or (sha512 is not None and len(sha512) != _SHA512_BYTES):
        raise malformed(where, "a hash has the wrong length")
    return FileHashes(sha256, sha512, _integer(entry, "length", where))


def is_delegation(name: str) -> bool:
    """Return whether a name is that of a delegation, and nothing that could be another path."""
    return len(name) <= _MAX_ROLE_NAME and _DELEGATION.fullmatch(name) is not None


def _read_signatures(envelope: Mapping[str, object], what: str) -> tuple[Signature, ...]:
    items = list_member(envelope, "signatures", what)
    if len(items) > MAX_SIGNATURES:
        msg = f"{what} has {len(items)} signatures, more than {MAX_SIGNATURES}"
        raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
    where = f"a signature of {what}"
    members = [as_object(item, where) for item in items]
    return tuple(
        Signature(
            text_member(item, "keyid", where),
            text_member(item, "method", where).lower(),
            base64_member(item, "sig", where),
        )
        for item in members
    )


def _read_keys(entries: Mapping[str, object], what: str) -> Mapping[str, MetadataKey | None]:
    """Return every key by the id that it is listed under; None for one that is not usable.

    A key under another id than its own is not usable, nor is one of a type that is not supported. Such keys count for
    no role: what is left must still reach the threshold.
    """
    if len(entries) > LIMITS.keys:
        msg = f"{what} lists {len(entries)} keys, more than {LIMITS.keys}"
        raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
    keys: dict[str, MetadataKey | None] = {}
    for name, entry in entries.items():
        keys[name] = None
        where = f"key {quote(name, 64)} of {what}"
        members = as_object(entry, where)
        kind = text_member(members, "keytype", where)
        public = base64_member(object_member(members, "keyval", where), "public", where)
        if key_id(kind, public) != name:
            continue
        try:
            keys[name] = read_key(kind, public)
        except InvalidKeyError:
            continue
    return keys


def _read_role(
    members: Mapping[str, object],
    name: str,
    keys: Mapping[str, MetadataKey | None],
    what: str,
    paths: tuple[str, ...] = ("",),
) -> RoleKeys:
    where = f"role {name} of {what}"
    ids = _list_or_null(members, "keyids", where)
    if not all(isinstance(item, str) for item in ids):
        raise malformed(where, "keyids should be strings")
    names = [str(item) for item in ids]
    missing = next((item for item in names if item not in keys), None)
    if missing is not None:
        # The notary client refuses such a file as a whole (tuf/data/root.go, isValidRootRoleStructure).
        raise malformed(where, f"it names the key {quote(missing, 64)}, which is not among the file's keys")
    usable = {item: key for item in names if (key := keys[item]) is not None}
    return RoleKeys(name, usable, _positive(members, "threshold", where), paths)


def _read_paths(members: Mapping[str, object], what: str) -> tuple[str, ...]:
    if members.get("paths") is None:
        return ()
    paths = list_member(members, "paths", what)
    if not all(isinstance(path, str) for path in paths):
        raise malformed(what, "paths should be strings")
    return tuple(str(path) for path in paths)


def _list_or_null(members: Mapping[str, object], name: str, what: str) -> list[object]:
    """Return a list that the notary client writes as null once its last item is removed."""
    return [] if name in members and members[name] is None else list_member(members, name, what)


def _integer(members: Mapping[str, object], name: str, what: str) -> int:
    value = members.get(name)
    if type(value) is not int or value < 0:
        raise malformed(what, f"{name} should be a whole number and is {quote(value, 40)}")
    return value


def _positive(members: Mapping[str, object], name: str, what: str) -> int:
    value = _integer(members, name, what)
    if not 1 <= value <= _MAX_VERSION:
        raise malformed(what, f"{name} should be between 1 and {_MAX_VERSION}")
    return value


def _moment(text: str, what: str) -> datetime:
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise malformed(what, f"{quote(text, 40)} is not a time")
    second, fraction, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        local = datetime.fromisoformat(second).replace(tzinfo=UTC, microsecond=int((fraction or "").ljust(6, "0")[:6]))
        return local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError) as error:
        raise malformed(what, f"{quote(text, 40)} is not a time") from error
