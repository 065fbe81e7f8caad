"""How long it takes until every image of a large rollout is verified within a budget, on a virtual clock.

All images are new and come at once, each in a review of its own. A review that the budget cannot serve before its
deadline is refused at once, and its controller tries again as ReplicaSet controllers do: after 5 ms, and twice as long
after each further refusal, up to 1,000 s. Meanwhile its verification waits in the background. The queues and budgets
are the webhook's own; nothing else takes time.
"""

from __future__ import annotations

import heapq
from functools import partial
from math import inf

from sealgate.errors import UnavailableError
from sealgate.verification.background_queue import BackgroundEntry, BackgroundQueue
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.tasks import Requester, Task
from sealgate.verification.work_queue import WorkQueue

TAGS = (300, 3_000, 30_000)
#: Verifications a minute.
BUDGETS = (100, 300, 1_000, 3_000)
#: Seconds that a review has.
DEADLINE = 10.0
_FIRST_RETRY, _LAST_RETRY = 0.005, 1_000.0
_HOST = "registry.example.org"
_NAMESPACE = "shop"
_REQUESTER = Requester(_NAMESPACE, 0)


def measure() -> dict[int, dict[int, float]]:
    """Return the seconds until the last image is admitted, by budget and number of images."""
    return {budget: {tags: drain(tags, budget) for tags in TAGS} for budget in BUDGETS}


def implied(tags: int, per_minute: float) -> float:
    """Return the seconds that the budget alone implies: its burst at once, the rest at its rate."""
    return max(tags - per_minute, 0) / per_minute * 60


def drain(tags: int, per_minute: float) -> float:
    """Return the seconds until the last of that many images is admitted; the burst is that of a minute."""
    rollout = _Rollout(tags, VerifierSettings(verifications_per_minute=per_minute, burst=int(per_minute)))
    while rollout.step():
        pass
    return rollout.last


class _Rollout:
    """The reviews of one rollout, and the webhook's queues.

    Args:
        tags: how many images there are.
        settings: the webhook's.

    Attributes:
        last: when an image was last admitted.
    """

    def __init__(self, tags: int, settings: VerifierSettings) -> None:
        self.last = 0.0
        self._now = 0.0
        self._verified_seconds = settings.verified_seconds
        self._queue = WorkQueue(settings)
        self._background = BackgroundQueue()
        self._verified_at: dict[int, float] = {}
        # The reviews to come: when, of which image, and after which time the one after it follows.
        self._reviews = [(0.0, number, _FIRST_RETRY) for number in range(tags)]
        self._waiting: dict[Task, tuple[int, float]] = {}
        # The registry has answered before.
        self._queue.hosts.note_response(self._queue.hosts.get_or_add(_HOST, 0.0), 0.0)
        self._queue.hosts.set_silent(self._queue.hosts[_HOST], silent=False)

    def step(self) -> bool:
        """Do what is due, and move the clock to what follows; return whether an image is left."""
        while self._reviews and self._reviews[0][0] <= self._now:
            _, number, pause = heapq.heappop(self._reviews)
            self._review(number, pause)
        self._queue.sweep(self._now)
        for task, _ in self._queue.refused:
            self._refuse(*self._waiting.pop(task))
        self._queue.refused.clear()
        while (taken := self._queue.take(self._now)) is not None:
            self._queue.end(taken, self._now, responded=True)
            number, _ = self._waiting.pop(taken)
            self._verified_at[number] = self.last = self._now
        self._background.expire(self._now)
        self._background.ended.clear()
        due = self._queue.next_due(self._now)
        waits = (self._offer(), inf if due is None else due)
        self._now = min(self._reviews[0][0] if self._reviews else inf, self._now + min(waits))
        return bool(self._reviews or self._waiting)

    def _review(self, number: int, pause: float) -> None:
        if self._is_known(number):
            self.last = self._now
            return
        task = Task(_HOST, True, partial(int), lambda *_: None, self._now + DEADLINE, self._now)
        try:
            self._queue.add(task, _REQUESTER, self._now)
        except UnavailableError:
            self._refuse(number, pause)
        else:
            self._waiting[task] = number, pause

    def _is_known(self, number: int) -> bool:
        return self._now - self._verified_at.get(number, -inf) < self._verified_seconds

    def _refuse(self, number: int, pause: float) -> None:
        heapq.heappush(self._reviews, (self._now + pause, number, min(2 * pause, _LAST_RETRY)))
        # An entry as large as one of an image with names of usual length.
        entry = BackgroundEntry(number, _HOST, _NAMESPACE, 1_700, lambda: "done")
        self._background.keep(entry, self._now)

    def _offer(self) -> float:
        """Verify what the budget has slots for that would be lost; return the seconds until the next one."""
        while (entry := self._background.first(_HOST)) is not None:
            task = Task(_HOST, True, entry.run, lambda *_: None, self._now, self._now, background=True)
            wait = self._queue.start_spare(task, _REQUESTER, self._now)
            if wait is None:
                return inf
            if wait > 0:
                return wait
            number = int(str(entry.key))
            known = self._is_known(number)
            if known:
                self._queue.give_back(_HOST)
            self._queue.end(task, self._now, responded=True)
            self._background.end(entry, "done")
            if not known:
                self._verified_at[number] = self._now
        return inf
