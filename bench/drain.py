"""How long it takes until every image of a large rollout is verified within a budget, on a virtual clock.

All images are new and come at once, each in a review of its own. A review that the budget cannot serve before its
deadline is refused at once, and its controller tries again as ReplicaSet controllers do: after 5 ms, and twice as long
after each further refusal, up to 1,000 s. The budgets are the webhook's own; nothing else takes time.
"""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta

from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.errors import RateLimitedError

TAGS = (300, 3_000, 30_000)
#: Verifications a minute.
BUDGETS = (100, 300, 1_000, 3_000)
#: Seconds that a review has.
DEADLINE = 10.0
_FIRST_RETRY, _LAST_RETRY = 0.005, 1_000.0
_HOST = "registry.example.org"


class VirtualClock:
    """A clock that the simulation moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """Return the time."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Return the seconds since the beginning."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.seconds += seconds


def measure() -> dict[int, dict[int, float]]:
    """Return the seconds until the last image is verified, by budget and number of images."""
    return {budget: {tags: drain(tags, budget) for tags in TAGS} for budget in BUDGETS}


def implied(tags: int, per_minute: float) -> float:
    """Return the seconds that the budget alone implies: its burst at once, the rest at its rate."""
    return max(tags - per_minute, 0) / per_minute * 60


def drain(tags: int, per_minute: float) -> float:
    """Return the seconds until the last of that many images is verified; the burst is that of a minute."""
    clock = VirtualClock()
    budgets = Budgets(per_minute, int(per_minute), clock)
    arrivals = [(0.0, number, _FIRST_RETRY) for number in range(tags)]
    last = 0.0
    while arrivals:
        clock.seconds, number, retry = heapq.heappop(arrivals)
        try:
            wait = budgets.reserve(_HOST, Deadline.after(clock, DEADLINE))
        except RateLimitedError:
            heapq.heappush(arrivals, (clock.seconds + retry, number, min(2 * retry, _LAST_RETRY)))
        else:
            last = max(last, clock.seconds + wait)
    return last
