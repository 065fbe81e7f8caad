"""Changes of trust data: the stored files in, the files to be signed out. No network, no keys.

Every function takes a `RepositoryState` (which fetches what it is asked for) and returns the files to publish, none if
the repository is already as it should be. So a change can be applied again to what another writer has stored meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sealgate.errors import SigningError
from sealgate.formats.notary.publishing.file_signing import NewFile
from sealgate.formats.notary.wire.keys import KeyEntry, key_members, read_key
from sealgate.formats.notary.wire.metadata import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleKeys
from sealgate.formats.notary.wire.writing import empty_targets, target_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sealgate.formats.notary.publishing.repository import RepositoryState, RoleState
    from sealgate.formats.notary.targets import TargetsFile
    from sealgate.formats.notary.wire.metadata import FileHashes
    from sealgate.formats.notary.wire.writing import Members
    from sealgate.references import Digest


class TagTarget(NamedTuple):
    """What a tag is to name.

    Attributes:
        tag: the tag.
        digest: of the image's manifest.
        size: bytes of the manifest.
    """

    tag: str
    digest: Digest
    size: int

    def is_named_by(self, entry: FileHashes | None) -> bool:
        """Return whether an entry already says this."""
        return entry is not None and (f"sha256:{entry.sha256.hex()}", entry.length) == (self.digest, self.size)


def new_repository(keys: Mapping[str, KeyEntry]) -> tuple[NewFile, NewFile]:
    """Return the first root and targets of a repository.

    Args:
        keys: the key of each of the four base roles.
    """
    root = NewFile(ROOT, _root_members(keys), 1, (role_of(ROOT, keys[ROOT]),))
    return root, NewFile(TARGETS, empty_targets(), 1, (role_of(TARGETS, keys[TARGETS]),))


def add_tag(state: RepositoryState, roles: Iterable[str], target: TagTarget) -> list[NewFile]:
    """Let roles name an image by a tag. A role's file that is not validly signed begins anew, without its entries.

    Raises:
        SigningError: a role does not exist, or may not name the tag.
        VerificationError: what is stored cannot be trusted.
        UnavailableError: it could not be fetched.
    """
    files = []
    for role in roles:
        state.check_expiry(role)
        stored = state.role(role)
        if not stored.keys.may_name(target.tag):
            msg = f"{role} of {state.gun} may not name the tag {target.tag}, only {_paths(stored.keys)}"
            raise SigningError(msg)
        members = _members(stored)
        members["targets"][target.tag] = target_entry(target.digest, target.size)
        files.append(_next(role, stored, members))
    return files


def remove_tag(state: RepositoryState, roles: Iterable[str], tag: str) -> list[NewFile]:
    """Remove a tag from roles that name it; see `add_tag`."""
    files = []
    for role in roles:
        state.check_expiry(role)
        stored = state.role(role)
        members = _members(stored)
        if members["targets"].pop(tag, None) is not None:
            files.append(_next(role, stored, members))
    return files


def renew(state: RepositoryState, roles: Iterable[str], ending: datetime) -> list[NewFile]:
    """Sign roles anew with what they have, if they end before a time.

    A role that has ended already is left alone: its file may be an old one that is replayed, and would count again.

    Args:
        state: of the repository.
        roles: the roles.
        ending: the time; timezone-aware.

    Raises:
        SigningError: a role does not exist.
        VerificationError: what is stored cannot be trusted.
        UnavailableError: it could not be fetched.
    """
    files = []
    for role in roles:
        stored = state.role(role)
        if stored.content is not None and state.now < stored.content.file.expires < ending:
            state.check_expiry(role)
            files.append(_next(role, stored, _members(stored)))
    return files


def empty_role(state: RepositoryState, role: str) -> list[NewFile]:
    """Remove every tag from a delegation, so that none comes back if it is delegated to again."""
    stored = state.role(role)
    if stored.content is None or not stored.content.entries:
        return []
    return [_next(role, stored, {**_members(stored), "targets": {}})]


def delegate(state: RepositoryState, roles: Sequence[str], keys: Sequence[KeyEntry]) -> list[NewFile]:
    """Let keys sign for delegations, for all tags; delegations that do not exist are added with a threshold of 1."""
    stored = state.role(TARGETS)
    members = _members(stored)
    listed = _delegated(members)
    added = {entry.key_id: key_members(*entry) for entry in keys}
    changed = False
    for name in roles:
        role = listed.setdefault(name, {"keyids": [], "name": name, "paths": [""], "threshold": 1})
        missing = [item for item in added if item not in (role["keyids"] or ())]
        role["keyids"] = [*(role["keyids"] or ()), *missing]
        changed = changed or bool(missing)
    return [_next(TARGETS, stored, _with_delegations(members, listed, added))] if changed else []


def withdraw(state: RepositoryState, role: str, key_ids: Sequence[str] = ()) -> list[NewFile]:
    """Remove a delegation, or keys of it.

    Args:
        state: of the repository.
        role: the delegation; only keys of its own list are removed.
        key_ids: ids as the role lists them; empty to remove the whole delegation.

    Raises:
        SigningError: there is no such delegation.
        VerificationError: what is stored cannot be trusted.
        UnavailableError: it could not be fetched.
    """
    stored = state.role(TARGETS)
    members = _members(stored)
    listed = _delegated(members)
    if role not in listed:
        raise SigningError(f"{state.gun} has no role {role}")
    if not key_ids:
        del listed[role]
    else:
        left = [item for item in listed[role]["keyids"] or () if item not in key_ids]
        listed[role] = {**listed[role], "keyids": left}
    return [_next(TARGETS, stored, _with_delegations(members, listed, {}))]


def rotate_snapshot(state: RepositoryState, key: KeyEntry) -> list[NewFile]:
    """Give the snapshot to a key of the server, which then writes that file."""
    if key.key_id in state.root.roles[SNAPSHOT].keys:
        return []
    return [_next_root(state, {SNAPSHOT: key})]


def rotate_timestamp(state: RepositoryState, key: KeyEntry) -> list[NewFile]:
    """Give the timestamp to another key of the server, which then writes that file."""
    return [_next_root(state, {TIMESTAMP: key})]


def rotate_targets(state: RepositoryState, key: KeyEntry) -> list[NewFile]:
    """Give targets to another key: root and targets together, since a new root alone would make targets invalid."""
    stored = state.role(TARGETS)
    targets = NewFile(TARGETS, _members(stored), stored.version + 1, (role_of(TARGETS, key),))
    return [_next_root(state, {TARGETS: key}), targets]


def rotate_root(state: RepositoryState, key: KeyEntry) -> list[NewFile]:
    """Give the root to another key; both the old and the new one sign, so that readers can follow."""
    return [_next_root(state, {ROOT: key})]


def role_of(name: str, key: KeyEntry) -> RoleKeys:
    """Return a role with one key.

    Raises:
        InvalidKeyError: the key cannot be used.
    """
    return RoleKeys(name, {key.key_id: read_key(*key)}, 1)


def _next(role: str, stored: RoleState, members: Members) -> NewFile:
    return NewFile(role, members, stored.version + 1, (stored.keys,))


def _members(stored: RoleState) -> Members:
    """Return a copy of a role's members, to be changed; those of an empty file if there is none that counts."""
    if stored.content is None:
        return empty_targets()
    members = dict(stored.content.file.members)
    return {**members, "targets": dict(stored.content.entries), "delegations": _delegations_of(stored.content)}


def _delegations_of(content: TargetsFile) -> Members:
    found = content.file.members.get("delegations")
    return dict(found) if isinstance(found, dict) else {"keys": {}, "roles": []}


def _delegated(members: Members) -> dict[str, dict[str, Any]]:
    """Return the delegations of a file by name, in their order."""
    return {role["name"]: dict(role) for role in members["delegations"]["roles"] or ()}


def _with_delegations(members: Members, listed: Mapping[str, dict[str, Any]], added: Mapping[str, object]) -> Members:
    """Return members with other delegations, without keys that no role uses."""
    used = {item for role in listed.values() for item in role["keyids"] or ()}
    keys = {name: entry for name, entry in {**members["delegations"]["keys"], **added}.items() if name in used}
    return {**members, "delegations": {"keys": keys, "roles": list(listed.values())}}


def _root_members(keys: Mapping[str, KeyEntry]) -> Members:
    return {
        "consistent_snapshot": False,
        "keys": {entry.key_id: key_members(*entry) for entry in keys.values()},
        "roles": {
            name: {"keyids": [keys[name].key_id], "threshold": 1} for name in (ROOT, SNAPSHOT, TARGETS, TIMESTAMP)
        },
    }


def _next_root(state: RepositoryState, changed: Mapping[str, KeyEntry]) -> NewFile:
    """Return the next root with other keys for some roles, signed by the root's old and new keys."""
    root = state.root
    members = dict(root.file.members)
    roles = {**_as_members(members["roles"])}
    keys = {**_as_members(members["keys"])}
    for name, entry in changed.items():
        roles[name] = {"keyids": [entry.key_id], "threshold": 1}
        keys[entry.key_id] = key_members(*entry)
    used = {item for role in roles.values() for item in role["keyids"]}
    members |= {"roles": roles, "keys": {name: entry for name, entry in keys.items() if name in used}}
    signed_by = [root.roles[ROOT]]
    if ROOT in changed:
        signed_by.append(role_of(ROOT, changed[ROOT]))
    return NewFile(ROOT, members, root.file.version + 1, tuple(signed_by))


def _as_members(value: object) -> Members:
    # Parsed before: the root is trusted.
    return dict(value) if isinstance(value, dict) else {}


def _paths(keys: RoleKeys) -> str:
    return " or ".join(f"tags that begin with {path}" for path in keys.paths) or "no tag at all"
