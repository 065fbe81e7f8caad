"""DNS lookups with a deadline, shared fairly.

`getaddrinfo` has no timeout. It runs in threads of its own: a caller waits for the result until its deadline, and the
thread ends later. Single flight: one lookup runs for a name however many callers need it.

Names come from images, so from users, and their servers may stay silent. `MAX_LOOKUPS` run at the same time, of which
names that have not resolved before take at most `MAX_NEW_LOOKUPS` and names of one domain at most
`MAX_DOMAIN_LOOKUPS`. A further lookup waits, and the domains take turns.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections import Counter
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cachetools import LRUCache, TTLCache

from sealgate.errors import UnavailableError, UnreachableError
from sealgate.fair_queues import FairQueue
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.clocks import Clock, Deadline

#: Maximum number of lookups that run at the same time.
MAX_LOOKUPS = 64
#: The same for names that did not resolve the last time; the rest is kept for those that did.
MAX_NEW_LOOKUPS = 48
#: The same for the names of one domain.
MAX_DOMAIN_LOOKUPS = 8
#: Maximum number of lookups that wait; a further one is refused immediately.
MAX_WAITING_LOOKUPS = 1024
#: Names known to have resolved, least recently looked up evicted first.
MAX_RESOLVED = 4096
#: Maximum number of addresses used of one name.
MAX_ADDRESSES = 16
#: TTL of the addresses of a name in seconds, so that a burst of connections makes one lookup.
KEEP_SECONDS = 5.0


class Resolver(Protocol):
    """Resolves names to addresses."""

    def resolve(self, host: str, deadline: Deadline) -> tuple[str, ...]:
        """Return the addresses of a host as text, best first; a host that is an address has that one.

        Raises:
            UnavailableError: the name does not resolve, or the lookup failed.
            DeadlineError: the deadline passed first.
        """


@dataclass(slots=True, eq=False)
class _Lookup:
    """One lookup, waiting or running.

    Attributes:
        host: the name.
        resolved_before: whether its last lookup found addresses.
        deadline: the latest one of its callers; the lookup does not start after that.
        future: its addresses.
    """

    host: str
    resolved_before: bool
    deadline: Deadline
    future: Future[tuple[str, ...]] = field(default_factory=Future)


class _Limits:
    """Counts the lookups that run, and those that wait for one of them to end. Not thread-safe."""

    def __init__(self) -> None:
        self._running = 0
        self._new = 0
        self._of_domain: Counter[str] = Counter()
        self._waiting: FairQueue[str, _Lookup] = FairQueue()
        self._waiting_new: FairQueue[str, _Lookup] = FairQueue()

    def start(self, lookup: _Lookup) -> bool:
        """Count a lookup as running and return whether it may start; it waits otherwise.

        Raises:
            UnavailableError: too many lookups wait.
        """
        domain = _domain(lookup.host)
        if self._may_start(domain, lookup):
            self._count(lookup, 1)
            return True
        if len(self._waiting) + len(self._waiting_new) >= MAX_WAITING_LOOKUPS:
            raise UnavailableError(f"{quote(lookup.host)} is not looked up: too many other lookups wait; try again")
        (self._waiting if lookup.resolved_before else self._waiting_new).push(domain, lookup)
        return False

    def end(self, lookup: _Lookup) -> list[_Lookup]:
        """Note that a lookup has ended, and return those that waited for it; they count as running now."""
        self._count(lookup, -1)
        following = []
        while (waiting := self._waiting.pop(self._may_start) or self._waiting_new.pop(self._may_start)) is not None:
            self._count(waiting, 1)
            following.append(waiting)
        return following

    def _may_start(self, domain: str, lookup: _Lookup) -> bool:
        free = self._running < MAX_LOOKUPS and (lookup.resolved_before or self._new < MAX_NEW_LOOKUPS)
        return free and self._of_domain[domain] < MAX_DOMAIN_LOOKUPS

    def _count(self, lookup: _Lookup, change: int) -> None:
        domain = _domain(lookup.host)
        self._running += change
        self._new += 0 if lookup.resolved_before else change
        self._of_domain[domain] += change
        if not self._of_domain[domain]:
            del self._of_domain[domain]


class SystemResolver:
    """The resolver of the operating system.

    Args:
        clock: measures the TTL of addresses.
        lookup: returns the addresses of a host; may block; raises `OSError` if there are none. By default
            `getaddrinfo`.
    """

    def __init__(self, clock: Clock, lookup: Callable[[str], tuple[str, ...]] | None = None) -> None:
        self._lookup = lookup or _getaddrinfo
        self._known: TTLCache[str, tuple[str, ...]] = TTLCache(1024, KEEP_SECONDS, timer=clock.monotonic)
        self._resolved: LRUCache[str, bool] = LRUCache(MAX_RESOLVED)
        self._under_way: dict[str, _Lookup] = {}
        self._limits = _Limits()
        self._lock = threading.Lock()

    def resolve(self, host: str, deadline: Deadline) -> tuple[str, ...]:
        """See `Resolver.resolve`."""
        if _is_address(host):
            return (host,)
        with self._lock:
            known = self._known.get(host)
            lookup = None if known else self._join(host, deadline)
        if known or lookup is None:
            return known or ()
        doing = f"looking up {quote(host)}"
        try:
            return lookup.future.result(max(deadline.check(doing), 0.0))
        except FutureTimeoutError:
            deadline.check(doing)
            raise _late(host) from None
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "not a valid name"
            raise UnreachableError(f"the name {quote(host)} does not resolve: {quote(why, 80)}") from error

    def _join(self, host: str, deadline: Deadline) -> _Lookup:
        lookup = self._under_way.get(host)
        if lookup is not None:
            lookup.deadline = max(lookup.deadline, deadline, key=lambda one: one.remaining())
            return lookup
        # A name whose lookup stays silent is new the next time: only a result counts.
        lookup = _Lookup(host, self._resolved.pop(host, False), deadline)
        if self._limits.start(lookup):
            try:
                self._start(lookup)
            except RuntimeError:
                self._limits.end(lookup)
                raise
        # Only now: all later callers would wait in vain for a lookup that did not start.
        self._under_way[host] = lookup
        return lookup

    def _start(self, lookup: _Lookup) -> None:
        threading.Thread(target=self._run, args=(lookup,), name="lookup", daemon=True).start()

    def _run(self, lookup: _Lookup) -> None:
        """Do one lookup, and then those that waited for its end."""
        own = [lookup]
        while own:
            following = self._look_up(own.pop())
            own += following[:1]
            for waiting in following[1:]:
                try:
                    self._start(waiting)
                except RuntimeError:  # no thread is left but this one
                    own.append(waiting)

    def _look_up(self, lookup: _Lookup) -> list[_Lookup]:
        """Do one lookup; return those that it made room for."""
        with self._lock:
            # Under the lock, so that no caller with a later deadline joins a lookup that is given up.
            late = lookup.deadline.remaining() <= 0
            following = self._end(lookup) if late else []
        if late:
            lookup.future.set_exception(FutureTimeoutError())
            return following
        try:
            addresses = self._lookup(lookup.host)
        except Exception as error:  # noqa: BLE001 - a thread hands every exception to the callers
            following = self._finish(lookup, ())
            lookup.future.set_exception(error)
        else:
            following = self._finish(lookup, addresses)
            lookup.future.set_result(addresses)
        return following

    def _finish(self, lookup: _Lookup, addresses: tuple[str, ...]) -> list[_Lookup]:
        with self._lock:
            if addresses:
                self._known[lookup.host] = addresses
                self._resolved[lookup.host] = True
            return self._end(lookup)

    def _end(self, lookup: _Lookup) -> list[_Lookup]:
        """Note, under the lock, that a lookup has ended, and return those that it made room for."""
        del self._under_way[lookup.host]
        return self._limits.end(lookup)


def _late(host: str) -> UnreachableError:
    return UnreachableError(f"{quote(host)} could not be looked up in time; try again later")


def _domain(host: str) -> str:
    """Return the last two labels of a name, whose servers are usually of one owner."""
    return ".".join(host.rstrip(".").rsplit(".", 2)[-2:])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False  # other spellings of numbers ("127.1") included: the system's resolver knows what they mean
    return True


def _getaddrinfo(host: str) -> tuple[str, ...]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return tuple(addresses)[:MAX_ADDRESSES]
