"""Single flight: one piece of work under way for each key, however many callers want its result.

The first caller of a key leads: it starts the work and completes the call. Callers that join before that wait for the
same result, or the same exception. If the leader cannot start the work, the call is abandoned and the callers that
joined must start again, since what stopped the leader (a budget, a deadline) may not stop them.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sealgate.verification.tasks import Task


class NotStartedError(Exception):
    """The caller that led the call could not start the work; start again."""


@dataclass(slots=True, eq=False)
class Call:
    """One piece of work under way.

    Attributes:
        key: what the work is about.
        future: its result.
        task: the work itself, set by the leader once it is known; None again once it is over.
    """

    key: Hashable
    future: Future[Any]
    task: Task | None = None


class SingleFlight:
    """The calls under way. Thread-safe; only its own code runs under its lock."""

    def __init__(self) -> None:
        self._calls: dict[Hashable, Call] = {}
        self._lock = threading.Lock()

    def join(self, key: Hashable) -> tuple[Call, bool]:
        """Return the call for a key, and whether the caller leads it: a leader must complete or abandon the call."""
        with self._lock:
            call = self._calls.get(key)
            if call is not None:
                return call, False
            call = self._calls[key] = Call(key, Future())
            return call, True

    def waits(self, key: Hashable) -> bool:
        """Return whether the call for a key is under way and its work has not been started."""
        with self._lock:
            call = self._calls.get(key)
            task = None if call is None else call.task
            return task is not None and task.waiting

    def complete(self, call: Call, result: object, error: BaseException | None) -> None:
        """End a call that the caller leads, with its result or an exception.

        From now on the key can be joined anew. A caller that learns the result and asks again therefore never joins
        the call that is over.

        Args:
            call: the call.
            result: the result; ignored if there is an error.
            error: the exception for all callers; None if there is a result.
        """
        with self._lock:
            del self._calls[call.key]
        # The task refers to the call, so that both would be garbage that only the collector finds.
        call.task = None
        # Outside the lock: this wakes the callers.
        if error is not None:
            call.future.set_exception(error)
        else:
            call.future.set_result(result)

    def abandon(self, call: Call) -> None:
        """End a call whose work was not started; callers that joined get a `NotStartedError`."""
        self.complete(call, None, NotStartedError("the work was not started"))
