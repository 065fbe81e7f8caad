"""Entries wait on while a budget that replicas share has no slot for them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import closing

from sealgate.errors import RateLimitedError
from sealgate.verification.background_queue import BackgroundEntry
from sealgate.verification.background_runner import BackgroundRunner
from sealgate.verification.observers import BackgroundResult, NullObserver
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.tasks import NoSlotError, Requester, Task
from sealgate.verification.workers import Workers
from tests.support.clocks import FakeClock
from tests.verification.work import PATIENCE

HOST = "registry.example.org"


class SharedBudget:
    """A verification that finds no slot the first time.

    Attributes:
        refused: set once it was refused.
        done: set once it was made.
    """

    def __init__(self) -> None:
        self.refused = threading.Event()
        self.done = threading.Event()

    def __call__(self) -> BackgroundResult:
        if not self.refused.is_set():
            self.refused.set()
            raise NoSlotError(RateLimitedError("used up", retry_after=20.0))
        self.done.set()
        return "done"


def test_entry_without_a_shared_slot_waits_on_and_takes_no_local_one() -> None:
    clock, run, answered = FakeClock(), SharedBudget(), Future[object]()
    settings = VerifierSettings(verifications_per_minute=60, burst=5)
    with closing(Workers(settings, clock, NullObserver())) as workers:
        runner = BackgroundRunner(workers, clock, NullObserver())
        try:
            first = Task(HOST, False, lambda: None, lambda result, _: answered.set_result(result), 1e6, 0.0)
            workers.submit(first, Requester("a", 0))
            answered.result(PATIENCE)
            runner.keep(BackgroundEntry("image", HOST, "a", 1, run))
            assert run.refused.wait(PATIENCE)
            end = time.monotonic() + PATIENCE
            while not runner._queue._deferred:
                assert time.monotonic() < end
                time.sleep(0.01)
            assert workers._queue.hosts.pace(HOST).until_full(clock.monotonic()) == 0
            assert not run.done.is_set()
            clock.advance(21.0)
            assert run.done.wait(PATIENCE)
        finally:
            runner.close()
