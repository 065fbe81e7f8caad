"""Names to addresses, without ever waiting longer than the caller has time.

`getaddrinfo` knows no timeout. So it runs in threads of its own: whoever asks waits for the result only until its
deadline, and the thread is left to come back when it likes. One lookup runs for a name however many ask, and at
most `MAX_LOOKUPS` run at once, so that names whose servers stay silent cannot pile up threads.
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

#: The most lookups under way at once; one more is refused at once.
MAX_LOOKUPS = 64
#: The most addresses of one name that are looked at.
MAX_ADDRESSES = 16
#: Seconds that addresses are kept, so that a burst of connections asks once.
KEEP_SECONDS = 5.0


class Resolver(Protocol):
    """Where addresses come from."""

    def resolve(self, host: str, deadline: Deadline) -> tuple[str, ...]:
        """Return the host's addresses as text, best first; an address as host is its own.

        Raises:
            UnavailableError: it has none.
            DeadlineError: the time ran out first.
        """


class SystemResolver:
    """The machine's own resolver.

    Args:
        clock: on which results age.
        lookup: host to addresses, blocking; `OSError` when there are none.
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
            why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no name"
            raise UnavailableError(f"the name {quote(host)} does not resolve: {quote(why, 80)}") from error

    def _start(self, host: str) -> Future[tuple[str, ...]]:
        lookup = self._under_way.get(host)
        if lookup is None:
            if len(self._under_way) >= MAX_LOOKUPS:
                raise UnavailableError(f"{quote(host)} is not looked up: too many other lookups wait for an answer")
            lookup = Future()
            threading.Thread(target=self._run, args=(host, lookup), name="lookup", daemon=True).start()
            # Only now: one that did not start would be waited for by everybody who comes after.
            self._under_way[host] = lookup
        return lookup

    def _run(self, host: str, lookup: Future[tuple[str, ...]]) -> None:
        try:
            addresses = self._lookup(host)
        except Exception as error:  # noqa: BLE001 - a thread hands every exception to those who wait
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
