"""Rate limits: how many verifications a minute each host is asked for.

A budget grants slots at a fixed rate (the generic cell rate algorithm): up to `burst` at once after an idle time, then
one every `60 / per_minute` seconds. In any window of t seconds it grants at most `burst + per_minute * t / 60` slots.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from cachetools import LRUCache

from sealgate.errors import RateLimitedError

if TYPE_CHECKING:
    from sealgate.clocks import Clock, Deadline

#: Hosts that have a budget at a time, least recently used evicted first. More than a cluster has registries; bounded,
#: because the names of hosts come from images and so from users.
MAX_HOSTS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a budget grants slots.

    Attributes:
        interval: seconds between two slots.
        tolerance: seconds by which slots may come early after an idle time.
    """

    interval: float
    tolerance: float

    @classmethod
    def per_minute(cls, slots: float, burst: int) -> Rate:
        """Return a rate.

        Args:
            slots: slots a minute; greater than 0.
            burst: slots that may be taken at once after an idle time; at least 1.
        """
        interval = 60.0 / slots
        return cls(interval, (burst - 1) * interval)


class Pace:
    """The slots of one host. Not thread-safe.

    Times are monotonic seconds of one clock.

    Args:
        rate: how fast it grants slots.

    Attributes:
        paused_until: when the last pause that the host asked for is over.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self.paused_until = -inf
        #: When every slot that was taken has been used up.
        self._empty_at = -inf

    def wait(self, now: float, ahead: int = 0) -> float:
        """Return the seconds until a slot is free; 0 if one is free now.

        Args:
            now: the time.
            ahead: how many others take a slot before.
        """
        empty_at = max(self._empty_at, now) + ahead * self._rate.interval
        return max(0.0, empty_at - self._rate.tolerance - now)

    def until_full(self, now: float) -> float:
        """Return the seconds until every slot of the burst is free, so that the next one would be lost."""
        return max(0.0, self._empty_at - now)

    def take(self, now: float) -> None:
        """Take a slot."""
        self._empty_at = max(self._empty_at, now) + self._rate.interval

    def give_back(self) -> None:
        """Return a slot that was taken and not used."""
        self._empty_at -= self._rate.interval

    def pause(self, until: float) -> None:
        """Note that the host asked for a pause; see `defer`."""
        self.paused_until = max(self.paused_until, until)
        self.defer(until)

    def defer(self, until: float) -> None:
        """Grant no slot before a time, and then one after the other without a burst."""
        self._empty_at = max(self._empty_at, until + self._rate.tolerance)


class Budgets:
    """One budget for each host, created when the host is first used. Thread-safe.

    Slots are granted in the order of the requests. A request whose slot would come after its deadline is answered
    immediately with when to retry, and uses up no slot.

    Args:
        per_minute: slots a minute for each host; greater than 0.
        burst: slots that may be taken at once after an idle time; at least 1.
        clock: its monotonic time measures the rate.
    """

    def __init__(self, per_minute: float, burst: int, clock: Clock) -> None:
        self._rate = Rate.per_minute(per_minute, burst)
        self._clock = clock
        self._paces: LRUCache[str, Pace] = LRUCache(MAX_HOSTS)
        self._lock = threading.Lock()

    def reserve(self, host: str, deadline: Deadline) -> float:
        """Reserve a slot and return how many seconds to wait for it.

        Args:
            host: `host[:port]` whose budget is used.
            deadline: the latest moment at which the slot is of use.

        Raises:
            RateLimitedError: the slot would come after the deadline; none was reserved.
        """
        with self._lock:
            now = self._clock.monotonic()
            pace = self._paces.setdefault(host, Pace(self._rate))
            wait = pace.wait(now)
            if wait > max(deadline.remaining(), 0.0):
                raise rate_limited(host, wait)
            pace.take(now)
            return wait

    def give_back(self, host: str) -> None:
        """Return a reserved slot that was not used, so that another request can have it.

        Args:
            host: as it was reserved.
        """
        with self._lock:
            if host in self._paces:
                self._paces[host].give_back()


def rate_limited(host: str, wait: float) -> RateLimitedError:
    """Return the error for a request that would wait too long for a slot.

    Args:
        host: `host[:port]` whose budget is used up.
        wait: seconds until it could have one.
    """
    return RateLimitedError(
        f"rate limited: the budget of verifications for {host} is used up, retry in {wait:.0f} s", retry_after=wait
    )
