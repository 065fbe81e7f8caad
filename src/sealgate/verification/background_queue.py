"""Verifications that reviews could not wait for, bounded and in fair order until the runner starts them.

Each host has a queue in which namespaces take turns; a namespace's own entries are served in the order in which they
came. The memory of all entries is bounded: when it is full, the namespace that uses most of it loses its newest entry
to one that uses less. An entry that no review has asked for again for `MAX_SECONDS` is dropped, since its pod may have
been deleted. An entry holds names only: no credentials, no policies.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from sealgate.verification.observers import BackgroundResult

    Ended = list[tuple["BackgroundEntry", BackgroundResult]]

#: Memory of all entries, bytes (estimated). One takes about 1.6 KiB.
MAX_BYTES: Final = 16 << 20
#: How long an entry waits after the last review that asked for it, in seconds: controllers retry after 1,000 s at most.
MAX_SECONDS: Final = 1_200.0
#: Hosts that entries wait for, in all and for one namespace: the runner goes through them for each slot.
MAX_HOSTS: Final = 256
MAX_HOSTS_OF_NAMESPACE: Final = 16


@dataclass(slots=True, eq=False)
class BackgroundEntry:
    """One verification that is to be made when there is room.

    Attributes:
        key: what is verified, and with which source of credentials; equal keys of one namespace are one entry.
        host: the host whose budget it takes a slot of, as `host[:port]`.
        namespace: the namespace whose turn it takes.
        size: the memory that it takes, bytes (estimated).
        run: makes the verification, in a worker, and returns how it ended. Raises `NoSlotError` if a budget that
            replicas share has no slot for it, before anything was requested.
        expires_at: when it is dropped, in monotonic seconds.
        running: whether a worker has it.
    """

    key: Hashable
    host: str
    namespace: str
    size: int
    run: Callable[[], BackgroundResult]
    expires_at: float = inf
    running: bool = False


class BackgroundQueue:
    """The entries that wait and those that run. Not thread-safe, without threads and without a clock.

    Attributes:
        ended: entries that were removed, each with the reason. The caller takes them out and reports them.
    """

    def __init__(self) -> None:
        self.ended: Ended = []
        # The one that no review has asked for for longest first.
        self._entries: OrderedDict[tuple[str, Hashable], BackgroundEntry] = OrderedDict()
        # By host, then by namespace in the order of the turns.
        self._hosts: dict[str, OrderedDict[str, OrderedDict[Hashable, BackgroundEntry]]] = {}
        self._deferred: dict[str, float] = {}
        self._bytes: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return the number of entries, those that run included."""
        return len(self._entries)

    @property
    def size(self) -> int:
        """The memory of all entries, bytes (estimated)."""
        return self._bytes.total()

    def keep(self, entry: BackgroundEntry, now: float) -> None:
        """Add an entry behind those of its namespace; one that is there stays where it is, for longer.

        An entry for which there is no room is not added, and is in `ended`.
        """
        name = entry.namespace, entry.key
        known = self._entries.get(name)
        if known is not None:
            known.expires_at = now + MAX_SECONDS
            self._entries.move_to_end(name)
            return
        if not (self._has_host(entry) and self._make_room(entry)):
            self.ended.append((entry, "full"))
            return
        entry.expires_at = now + MAX_SECONDS
        self._entries[name] = entry
        self._hosts.setdefault(entry.host, OrderedDict()).setdefault(entry.namespace, OrderedDict())[entry.key] = entry
        self._bytes[entry.namespace] += entry.size

    def hosts(self, now: float) -> list[str]:
        """Return the hosts that entries wait for, without those that are deferred."""
        self._deferred = {host: until for host, until in self._deferred.items() if until > now}
        return [host for host in self._hosts if host not in self._deferred]

    def first(self, host: str) -> BackgroundEntry | None:
        """Return the next entry of a host that does not run; None if there is none."""
        for entries in self._hosts.get(host, {}).values():
            for entry in entries.values():
                if not entry.running:
                    return entry
        return None

    def pass_turn(self, entry: BackgroundEntry) -> None:
        """Note that an entry was started: all other namespaces come before its own now."""
        namespaces = self._hosts.get(entry.host, OrderedDict())
        if entry.namespace in namespaces:
            namespaces.move_to_end(entry.namespace)

    def defer(self, host: str, until: float) -> None:
        """Start no entry of a host before a time, in monotonic seconds: its shared budget has no slot for them."""
        self._deferred[host] = until

    def end(self, entry: BackgroundEntry, result: BackgroundResult) -> None:
        """Remove an entry, unless it was removed before."""
        name = entry.namespace, entry.key
        if self._entries.get(name) is entry:
            self._remove(entry, result)

    def expire(self, now: float) -> None:
        """Remove the entries that no review has asked for for too long."""
        while self._entries and (entry := next(iter(self._entries.values()))).expires_at <= now:
            self._remove(entry, "expired")

    def clear(self) -> None:
        """Remove all entries, because no more work is started."""
        for entry in list(self._entries.values()):
            self._remove(entry, "closed")

    def _has_host(self, entry: BackgroundEntry) -> bool:
        """Return whether the host of an entry may be waited for."""
        known = self._hosts.get(entry.host)
        if known is None and len(self._hosts) >= MAX_HOSTS:
            return False
        if known is not None and entry.namespace in known:
            return True
        return sum(entry.namespace in namespaces for namespaces in self._hosts.values()) < MAX_HOSTS_OF_NAMESPACE

    def _make_room(self, entry: BackgroundEntry) -> bool:
        """Drop what larger namespaces have kept last until an entry fits; return whether it does."""
        while self.size + entry.size > MAX_BYTES:
            largest, size = max(self._bytes.items(), key=itemgetter(1), default=("", 0))
            if size <= self._bytes[entry.namespace] + entry.size:
                return False
            self._remove(self._newest(largest), "full")
        return True

    def _newest(self, namespace: str) -> BackgroundEntry:
        """Return the last entry of a namespace for the host that most of its entries wait for."""
        lists = (namespaces[namespace] for namespaces in self._hosts.values() if namespace in namespaces)
        return next(reversed(max(lists, key=len).values()))

    def _remove(self, entry: BackgroundEntry, result: BackgroundResult) -> None:
        del self._entries[entry.namespace, entry.key]
        namespaces = self._hosts[entry.host]
        del namespaces[entry.namespace][entry.key]
        if not namespaces[entry.namespace]:
            del namespaces[entry.namespace]
        if not namespaces:
            del self._hosts[entry.host]
        self._bytes[entry.namespace] -= entry.size
        if not self._bytes[entry.namespace]:
            del self._bytes[entry.namespace]
        self.ended.append((entry, result))
