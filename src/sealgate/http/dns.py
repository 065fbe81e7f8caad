"""DNS lookups with a deadline.

`getaddrinfo` has no timeout. It runs in threads of its own: a caller waits for the result until its deadline, and the
thread ends later. Single flight: one lookup runs for a name however many callers need it. At most `MAX_LOOKUPS` run at
the same time, so that names whose servers stay silent cannot pile up threads.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Protocol

from cachetools import TTLCache

from sealgate.errors import UnavailableError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.clocks import Clock, Deadline

#: Maximum number of lookups under way; a further one is refused immediately.
MAX_LOOKUPS = 64
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
        self._under_way: dict[str, Future[tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    def resolve(self, host: str, deadline: Deadline) -> tuple[str, ...]:
        """See `Resolver.resolve`."""
        if _is_address(host):
            return (host,)
        with self._lock:
            known = self._known.get(host)
            lookup = None if known else self._start(host)
        if known or lookup is None:
            return known or ()
        doing = f"looking up {quote(host)}"
        try:
            return lookup.result(max(deadline.check(doing), 0.0))
        except FutureTimeoutError:
            deadline.check(doing)
            raise UnavailableError(f"{quote(host)} could not be looked up in time; try again later") from None
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "not a valid name"
            raise UnavailableError(f"the name {quote(host)} does not resolve: {quote(why, 80)}") from error

    def _start(self, host: str) -> Future[tuple[str, ...]]:
        lookup = self._under_way.get(host)
        if lookup is None:
            if len(self._under_way) >= MAX_LOOKUPS:
                raise UnavailableError(f"{quote(host)} is not looked up: too many other lookups are in flight")
            lookup = Future()
            threading.Thread(target=self._run, args=(host, lookup), name="lookup", daemon=True).start()
            # Only now: all later callers would wait in vain for a lookup that did not start.
            self._under_way[host] = lookup
        return lookup

    def _run(self, host: str, lookup: Future[tuple[str, ...]]) -> None:
        try:
            addresses = self._lookup(host)
        except Exception as error:  # noqa: BLE001 - a thread hands every exception to the callers
            self._finish(host, ())
            lookup.set_exception(error)
        else:
            self._finish(host, addresses)
            lookup.set_result(addresses)

    def _finish(self, host: str, addresses: tuple[str, ...]) -> None:
        with self._lock:
            del self._under_way[host]
            if addresses:
                self._known[host] = addresses


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
