"""How many verifications a minute a host is asked for.

A budget hands out places in a queue that moves at a fixed pace (the generic cell rate algorithm): up to `burst` at
once after a quiet time, then one every `60 / per_minute` seconds. Places are handed out in the order they are asked
for, so waiting is fair, and who would get one only after his deadline is told at once when to come back, without
taking a place.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cachetools import LRUCache

from sealgate.errors import RateLimitedError

if TYPE_CHECKING:
    from sealgate.clocks import Clock, Deadline

#: Hosts whose pace is remembered; more than a cluster has registries, fewer than an attacker has names.
MAX_HOSTS = 10_000


class Budgets:
    """The budgets of all hosts, made as hosts come up.

    Args:
        per_minute: places a minute for each host.
        burst: places that may be taken at once after a quiet time; at least 1.
        clock: the pace is measured on it.
    """

    def __init__(self, per_minute: float, burst: int, clock: Clock) -> None:
        self._interval = 60.0 / per_minute
        self._tolerance = (burst - 1) * self._interval
        self._clock = clock
        #: Host -> the moment at which its queue, taken at the fixed pace, is empty again.
        self._empty_at: LRUCache[str, float] = LRUCache(MAX_HOSTS)
        self._lock = threading.Lock()

    def reserve(self, host: str, deadline: Deadline) -> float:
        """Take a place and return how many seconds to wait for it.

        Args:
            host: whose budget it is.
            deadline: by when the place must come.

        Raises:
            RateLimitedError: it would come later than that; no place was taken.
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
