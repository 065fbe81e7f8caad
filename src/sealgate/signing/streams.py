"""Many images signed one after another as they come: within a rate, a bounded number at a time, results in order.

Nothing is kept of an image once its result is yielded. A run that is asked to stop ends with what is under way.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.budgets import Budgets
from sealgate.clocks import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from sealgate.clocks import Clock
    from sealgate.references import Reference
    from sealgate.signing.runs import SignedImage

#: Images under way. Some of them only wait some seconds for their second check.
CONCURRENCY = 32
#: Images of one repository take turns before their timeouts begin; repositories share this many queues.
_TURNS = 64
#: Seconds after which a wait for the rate looks whether the run is to stop.
_LONGEST_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class SigningStream:
    """Signs images within a rate.

    Attributes:
        sign_one: signs an image while it holds a lock; see `SigningRun.sign_one`.
        clock: measures the rate.
        per_minute: images a minute; at least 1.
        stop: set from outside to begin no further image.
    """

    sign_one: Callable[[Reference, AbstractContextManager[object]], SignedImage]
    clock: Clock
    per_minute: int
    stop: threading.Event = field(default_factory=threading.Event)

    def sign(self, references: Iterable[Reference]) -> Iterator[SignedImage]:
        """Yield the result of each image, in the order of the references; fewer if the run was stopped."""
        budget = Budgets(self.per_minute, 1, self.clock)
        turns = [threading.Lock() for _ in range(_TURNS)]
        pending: deque[Future[SignedImage]] = deque()
        pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="sign")
        try:
            for reference in references:
                if not self._wait(budget):
                    break
                turn = turns[hash(reference.name) % _TURNS]
                pending.append(pool.submit(self.sign_one, reference, turn))
                while pending and (len(pending) >= CONCURRENCY or pending[0].done()):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            # After a second Ctrl-C the command must not wait for what is under way.
            pool.shutdown(wait=False, cancel_futures=True)

    def _wait(self, budget: Budgets) -> bool:
        """Wait until the rate allows a further image; return whether one is to begin."""
        if self.stop.is_set():
            return False
        # A minute is the longest that the lowest rate makes an image wait; no more than one waits at a time.
        left = budget.reserve("", Deadline.after(self.clock, 120.0))
        while left > 0 and not self.stop.is_set():
            self.clock.sleep(min(left, _LONGEST_WAIT))
            left -= _LONGEST_WAIT
        return not self.stop.is_set()
