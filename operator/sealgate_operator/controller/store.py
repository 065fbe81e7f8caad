"""Cache of the API server's objects, of the kinds that a process watches.

Watches report changes at once; a resync compares whole lists, because a watch that breaks off may lose a deletion. Both
may arrive in any order, so versions decide: an older version never replaces a newer one, and a deleted object stays
deleted. Versions are compared as numbers, which Kubernetes guarantees since 1.35 and did in practice before.

When a backup of etcd is restored, versions go back. A list that is older than the newest version known before the
request shows that, and then every cached object of that kind is discarded.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.dependencies import authenticators_named_in, secrets_named_in
from sealgate.kubernetes.secrets import secret_data
from sealgate_operator.controller.resources import AUTHENTICATOR, OPERATOR_RESOURCES, POLICY, SECRET

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

Object = dict[str, Any]


class ObjectStore:
    """Objects by kind and name. Thread-safe. Stored objects are never modified.

    Args:
        ignored: names of Secrets that are not stored.
        kinds: kinds of the objects; by default those that the operator watches.
    """

    def __init__(
        self, ignored: Collection[str] = frozenset(), kinds: Collection[str] = OPERATOR_RESOURCES.keys()
    ) -> None:
        self._ignored = frozenset(ignored)
        self.kinds = tuple(kinds)
        self._lock = threading.Lock()
        self._objects: dict[str, dict[str, Object]] = {kind: {} for kind in kinds}
        self._gone: dict[str, dict[str, int]] = {kind: {} for kind in kinds}
        #: The highest version of each kind that a watch or a list has reported.
        self._newest = dict.fromkeys(kinds, 0)
        #: The objects that each authenticator and policy names: an index, so that a change need not search all objects.
        self._names: dict[str, dict[str, frozenset[str]]] = {AUTHENTICATOR: {}, POLICY: {}}

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object; None if there is none."""
        with self._lock:
            return self._objects[kind].get(name)

    def all(self, kind: str) -> list[Object]:
        """Return every object of a kind."""
        with self._lock:
            return list(self._objects[kind].values())

    def secret(self, name: str) -> Mapping[str, bytes] | None:
        """Return the decoded data of a Secret; None if there is none. A value that is not base64 is empty."""
        found = self.get(SECRET, name)
        return None if found is None else secret_data(found)

    def newest(self, kind: str) -> int:
        """Return the highest version that was reported; a list that is requested now cannot be older."""
        with self._lock:
            return self._newest[kind]

    def put(self, kind: str, obj: Object) -> bool:
        """Store an object; return whether it was newer than the stored one."""
        with self._lock:
            return self._put(kind, obj)

    def remove(self, kind: str, obj: Object) -> bool:
        """Remove a deleted object; return whether it was stored.

        Args:
            kind: kind of the object.
            obj: the object as the watch reported its deletion, with the version of the deletion.
        """
        with self._lock:
            return self._remove(kind, obj["metadata"]["name"], _version(obj))

    def replace(self, kind: str, objects: Iterable[Object], version: str, since: int = 0) -> set[str]:
        """Store a whole list; return the names of the objects that changed.

        Args:
            kind: kind of the objects.
            objects: all objects of the kind.
            version: resource version of the list.
            since: value of `newest` before the list was requested.
        """
        listed = {obj["metadata"]["name"]: obj for obj in objects}
        changed: set[str] = set()
        with self._lock:
            if int(version) < since or self._contradicts(kind, listed, since):
                changed |= self._forget(kind)
            self._newest[kind] = max(self._newest[kind], int(version))
            changed |= {name for name, obj in listed.items() if self._put(kind, obj)}
            for name in self._objects[kind].keys() - listed.keys():
                if self._remove(kind, name, int(version)):
                    changed.add(name)
            gone = self._gone[kind]
            self._gone[kind] = {name: at for name, at in gone.items() if at > int(version)}
        return changed

    def authenticators_with(self, secret: str) -> list[str]:
        """Return the names of the authenticators that name a Secret."""
        return self._users(AUTHENTICATOR, secret)

    def policies_with(self, authenticator: str) -> list[str]:
        """Return the names of the policies that name an authenticator."""
        return self._users(POLICY, authenticator)

    def _users(self, kind: str, name: str) -> list[str]:
        with self._lock:
            return [user for user, names in self._names[kind].items() if name in names]

    def _put(self, kind: str, obj: Object) -> bool:
        name, version = obj["metadata"]["name"], _version(obj)
        if kind == SECRET and name in self._ignored:
            return False
        self._newest[kind] = max(self._newest[kind], version)
        known = self._objects[kind].get(name)
        if known is not None and version <= _version(known):
            return False
        if version <= self._gone[kind].get(name, -1):
            return False
        self._objects[kind][name] = obj
        if kind == AUTHENTICATOR:
            self._names[kind][name] = secrets_named_in(obj.get("spec"))
        elif kind == POLICY:
            self._names[kind][name] = authenticators_named_in(obj)
        return True

    def _contradicts(self, kind: str, listed: Mapping[str, Object], since: int) -> bool:
        """Return whether a list has an older version of an object than the one known when the list was requested.

        Within one history of etcd this cannot happen. It happens after the restore of a backup, also when the versions
        of the new history have passed those of the old one, so that the list as a whole appears newer.
        """
        known = self._objects[kind]
        gone = self._gone[kind]
        for name, obj in listed.items():
            latest = max(_version(known[name]) if name in known else -1, gone.get(name, -1))
            if _version(obj) < latest <= since:
                return True
        return False

    def _forget(self, kind: str) -> set[str]:
        names = set(self._objects[kind])
        self._objects[kind].clear()
        self._gone[kind].clear()
        self._names.get(kind, {}).clear()
        self._newest[kind] = 0
        return names

    def _remove(self, kind: str, name: str, version: int) -> bool:
        self._newest[kind] = max(self._newest[kind], version)
        known = self._objects[kind].get(name)
        if known is not None and _version(known) > version:
            return False
        self._gone[kind][name] = max(version, self._gone[kind].get(name, -1))
        self._names.get(kind, {}).pop(name, None)
        return self._objects[kind].pop(name, None) is not None


def _version(obj: Mapping[str, Any]) -> int:
    return int(obj["metadata"]["resourceVersion"])
