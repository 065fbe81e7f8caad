"""Cache of bytes: bounded in bytes, with a TTL for each entry, and shared fairly among namespaces.

Each entry is charged to the namespace on whose behalf it was cached. A full cache evicts from the namespace that is
charged most, its least recently used entries first. So a namespace that asks about any number of made-up names evicts
its own entries, until it has no more than any other.

Expired entries are never returned. Each new entry also removes a few of them, of one namespace after the other.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from sealgate.registry.callers import OPEN

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sealgate.clocks import Clock
    from sealgate.registry.callers import Access

#: Bytes of an entry without its key's item, its value and its access: the entry, its slot in the index, its key and the
#: time when it expires. Measured; a test compares it with what Python allocates.
ENTRY_BYTES: Final = 256
#: Bytes of one location, and of one fingerprint, of an access. Accesses are shared by most subjects of a repository.
LOCATION_BYTES: Final = 128
FINGERPRINT_BYTES: Final = 40
#: The largest entry, as a part of the whole cache. Larger ones are not cached.
_LARGEST: Final = 1 / 8
#: What is evicted at once, as a part of the whole cache, so that the largest namespace is not searched for each time.
_BATCH: Final = 1 / 64
#: Entries of one namespace that each new entry checks and removes if they have expired.
_CHECKED: Final = 2


class Key(NamedTuple):
    """Key of an entry.

    Attributes:
        group: what many entries have in common; equal ones should be one object.
        item: what tells them apart: the bytes of a digest, or the text of a tag.
    """

    group: Hashable
    item: bytes | str


class Hit(NamedTuple):
    """An entry that has not expired.

    Attributes:
        value: what was cached.
        expires_at: the moment, in the clock's monotonic seconds, from which on it may not be used.
        access: the credentials that it was obtained with.
    """

    value: bytes
    expires_at: float
    access: Access


class _Entry:
    """One entry, linked to its neighbours in the order of use. Slots and links: there are many of them."""

    __slots__ = ("access", "expires_at", "key", "newer", "older", "owner", "value")

    def __init__(self, key: Key, hit: Hit, owner: _Owner) -> None:
        self.key = key
        self.value, self.expires_at, self.access = hit
        self.owner = owner
        self.older: _Entry = self
        self.newer: _Entry = self

    @property
    def size(self) -> int:
        return size_of(self.key, self.value, self.access)

    def unlink(self) -> None:
        self.older.newer, self.newer.older = self.newer, self.older

    def link_as_newest(self) -> None:
        # The ring's anchor is older than the oldest entry and newer than the newest.
        anchor = self.owner.anchor
        self.older, self.newer = anchor.older, anchor
        self.older.newer = anchor.older = self


class _Owner:
    """The entries of one namespace: how many bytes they have, and a ring in the order of use."""

    __slots__ = ("anchor", "name", "size")

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0
        self.anchor = _Entry(Key(None, b""), Hit(b"", 0.0, OPEN), self)

    @property
    def oldest(self) -> _Entry | None:
        """The least recently used entry; None if there is none."""
        return None if self.anchor.newer is self.anchor else self.anchor.newer


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cache holds.

    Attributes:
        size: estimated bytes.
        entries: number of entries, expired ones included.
        evicted: number of entries, since the start, that were evicted before they expired.
    """

    size: int
    entries: int
    evicted: int


def size_of(key: Key, value: bytes, access: Access) -> int:
    """Return the estimated bytes of memory that an entry takes."""
    fingerprints = sum(len(identity) for _, identity in access)
    shared = LOCATION_BYTES * len(access) + FINGERPRINT_BYTES * fingerprints
    return ENTRY_BYTES + sys.getsizeof(key.item) + sys.getsizeof(value) + shared


class ByteCache:
    """Cache with a limit in bytes and a TTL for each entry. Thread-safe.

    Args:
        limit: maximum bytes of all entries together, as `size_of` estimates them.
        clock: measures the TTLs.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._entries: dict[Key, _Entry] = {}
        self._owners: OrderedDict[str, _Owner] = OrderedDict()
        self._size = 0
        self._evicted = 0
        self._lock = threading.Lock()

    def get(self, key: Key) -> Hit | None:
        """Return the entry for a key; None if there is none or it has expired."""
        if key not in self._entries:
            return None  # a new image misses several times, and one look needs no lock
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or self._clock.monotonic() >= entry.expires_at:
                return None
            entry.unlink()
            entry.link_as_newest()
            return Hit(entry.value, entry.expires_at, entry.access)

    def put(self, key: Key, value: bytes, seconds: float, access: Access, namespace: str) -> None:
        """Cache a value, instead of any that the key had. One that takes too much of the cache is not cached.

        Args:
            key: what it is found by.
            value: the value.
            seconds: time until it expires.
            access: the credentials that it was obtained with.
            namespace: the namespace on whose behalf it is cached.
        """
        with self._lock:
            now = self._clock.monotonic()
            former = self._entries.get(key)
            if former is not None:
                self._remove(former)
            if size_of(key, value, access) <= self._limit * _LARGEST:
                self._add(key, Hit(value, now + seconds, access), namespace)
            self._remove_expired(now)
            while self._size > self._limit:
                self._evict(now)

    def discard(self, key: Key) -> None:
        """Remove the entry for a key, if there is one."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._remove(entry)

    @property
    def usage(self) -> Usage:
        """What the cache holds now."""
        with self._lock:
            return Usage(self._size, len(self._entries), self._evicted)

    def __len__(self) -> int:
        """Return the number of entries, expired ones included."""
        return len(self._entries)

    def _add(self, key: Key, hit: Hit, namespace: str) -> None:
        owner = self._owners.get(namespace)
        if owner is None:
            owner = self._owners[namespace] = _Owner(namespace)
        entry = self._entries[key] = _Entry(key, hit, owner)
        entry.link_as_newest()
        owner.size += entry.size
        self._size += entry.size

    def _remove(self, entry: _Entry) -> None:
        entry.unlink()
        del self._entries[entry.key]
        entry.owner.size -= entry.size
        self._size -= entry.size
        if entry.owner.oldest is None:
            del self._owners[entry.owner.name]

    def _remove_expired(self, now: float) -> None:
        """Remove the least recently used entries of one namespace that have expired; another one's the next time."""
        if not self._owners:
            return
        owner = next(iter(self._owners.values()))
        self._owners.move_to_end(owner.name)
        for _ in range(_CHECKED):
            oldest = owner.oldest
            if oldest is None or now < oldest.expires_at:
                return
            self._remove(oldest)

    def _evict(self, now: float) -> None:
        """Evict the oldest entries of the namespace that is charged most: a batch, but at most half of what it has."""
        owner = max(self._owners.values(), key=lambda each: each.size)
        keep = owner.size - min(self._limit * _BATCH, owner.size / 2)
        while (oldest := owner.oldest) is not None and owner.size > keep:
            self._evicted += now < oldest.expires_at
            self._remove(oldest)
