"""Rate limits: how many verifications a minute each host is asked for.

A budget grants slots at a fixed rate (the generic cell rate algorithm): up to `burst` at once after an idle time, then
one every `60 / per_minute` seconds. Slots are granted in the order of the requests, so waiting is fair. A request whose
slot would come after its deadline is answered immediately with when to retry, and uses up no slot.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cachetools import LRUCache

from sealgate.errors import RateLimitedError

if TYPE_CHECKING:
    from sealgate.clocks import Clock, Deadline

#: Hosts that have a budget at a time, least recently used evicted first. More than a cluster has registries; bounded,
#: because the names of hosts come from images and so from users.
MAX_HOSTS = 10_000


class Budgets:
    """One budget for each host, created when the host is first used. Thread-safe.

    Args:
        per_minute: slots a minute for each host; greater than 0.
        burst: slots that may be taken at once after an idle time; at least 1.
        clock: its monotonic time measures the rate.
    """

    def __init__(self, per_minute: float, burst: int, clock: Clock) -> None:
        self._interval = 60.0 / per_minute
        self._tolerance = (burst - 1) * self._interval
        self._clock = clock
        #: Host -> the monotonic time at which every slot granted so far has been used up.
        self._empty_at: LRUCache[str, float] = LRUCache(MAX_HOSTS)
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
            empty_at = max(self._empty_at.get(host, now), now)
            wait = max(0.0, empty_at - self._tolerance - now)
            if wait > max(deadline.remaining(), 0.0):
                raise RateLimitedError(
                    f"rate limited: the budget of verifications for {host} is used up, retry in {wait:.0f} s",
                    retry_after=wait,
                )
            self._empty_at[host] = empty_at + self._interval
            return wait
