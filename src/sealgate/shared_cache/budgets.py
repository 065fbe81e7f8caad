"""Budgets that the replicas share: the generic cell rate algorithm in a script on the server, over the server's clock.

The state of a budget is one number, which has no seal: only the server can change it atomically, and it knows no key.
A number that the algorithm cannot have made counts as an unused budget. Each replica therefore keeps its own budget
too, and the shared one can only make it wait for longer.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from sealgate.errors import RateLimitedError

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate.shared_cache.observers import SharedCacheObserver
    from sealgate.shared_cache.store import SealedStore

#: The longest wait for a slot, in seconds: no request has a later deadline.
MAX_WAIT_SECONDS: Final = 30.0

# KEYS[1]: the budget. ARGV: interval, tolerance, the longest wait of this request, and of any, and how much of the
# tolerance this request leaves to others, all in milliseconds.
# Returns whether a slot was reserved, and the milliseconds until it.
_RESERVE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local empty_at = tonumber(redis.pcall('GET', KEYS[1]))
if not empty_at or not (empty_at > now and empty_at <= now + tolerance + tonumber(ARGV[4]) + interval) then
  empty_at = now
end
local wait = math.max(0, empty_at - tolerance + tonumber(ARGV[5]) - now)
if wait > tonumber(ARGV[3]) then return {0, math.ceil(wait)} end
empty_at = empty_at + interval
redis.call('SET', KEYS[1], string.format('%.3f', empty_at), 'PX', math.ceil(empty_at - now) + 1)
return {1, math.ceil(wait)}
"""
# KEYS[1]: the budget. ARGV: interval.
_GIVE_BACK = """
local empty_at = tonumber(redis.pcall('GET', KEYS[1]))
if empty_at then redis.call('SET', KEYS[1], string.format('%.3f', empty_at - ARGV[1]), 'KEEPTTL') end
return 0
"""


class SharedBudgets:
    """One budget for each host, shared by all replicas. Thread-safe.

    Args:
        per_minute: slots a minute for each host; greater than 0.
        burst: slots that may be taken at once after an idle time; at least 1.
        store: reaches the server.
        observer: counts uses.
    """

    def __init__(self, per_minute: float, burst: int, store: SealedStore, observer: SharedCacheObserver) -> None:
        self._interval_ms = 60_000 / per_minute
        self._tolerance_ms = (burst - 1) * self._interval_ms
        self._store = store
        self._observer = observer

    def reserve(self, host: str, deadline: Deadline, *, spare: bool = False) -> float:
        """Reserve a slot and return how many seconds to wait for it; 0 if the server does not respond.

        Args:
            host: `host[:port]` whose budget is used.
            deadline: the latest moment at which the slot is of use.
            spare: whether only a slot that would be lost is taken: all others are free.

        Raises:
            RateLimitedError: the slot would come after the deadline; none was reserved.
        """
        limit_ms = max(0.0, min(deadline.remaining(), MAX_WAIT_SECONDS) * 1000)
        left_ms = self._tolerance_ms if spare else 0.0
        longest_ms = MAX_WAIT_SECONDS * 1000
        response = self._run(_RESERVE, host, self._interval_ms, self._tolerance_ms, limit_ms, longest_ms, left_ms)
        if not isinstance(response, list) or len(response) != 2 or not all(type(item) is int for item in response):  # noqa: PLR2004
            return 0.0
        granted, wait_ms = response
        wait = max(wait_ms, 0) / 1000
        if granted == 1 and wait_ms <= ceil(limit_ms):
            return float(wait)
        if granted == 0:
            raise RateLimitedError(
                f"rate limited: the budget of verifications for {host}, which all replicas share, is used up, "
                f"retry in {wait:.0f} s",
                retry_after=wait,
            )
        return 0.0

    def give_back(self, host: str) -> None:
        """Return a reserved slot that was not used.

        Args:
            host: as it was reserved.
        """
        self._run(_GIVE_BACK, host, self._interval_ms)

    def _run(self, script: str, host: str, *arguments: float) -> object:
        keys = self._store.keys
        if not keys:
            return None
        name = keys[0].name("budget", [host])
        responses = self._store.exchange("budget", [("EVAL", script, 1, name, *(f"{each:.3f}" for each in arguments))])
        if responses is None:
            return None
        self._observer.shared_cache_used("budget", "done")
        return responses[0]
