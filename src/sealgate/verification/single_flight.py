"""Work under way: one for each thing, however many ask; and bounded for each host.

A *flight* is one resolution or verification in a worker thread. Whoever asks for the same thing while it is under
way waits for the same result, or the same exception. Workers are never waiters, so they cannot starve each other.
Flights for one host take at most `host_concurrency` workers; further ones queue for that host alone, so a host that
hangs slows nobody else down.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealgate.errors import DeadlineError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from sealgate.clocks import Clock, Deadline
    from sealgate.verification.settings import VerifierSettings

#: Flights that may queue for one host; beyond this nobody would be answered in time anyway.
MAX_QUEUED = 10_000
#: How often reviews that wait look whether they should give way, seconds.
PATIENCE_CHECK_SECONDS = 1.0


@dataclass(slots=True)
class _Host:
    """What is going on with one host; forgotten when nothing is."""

    under_way: int = 0
    waiting: int = 0
    queue: deque[Callable[[], None]] = field(default_factory=deque)
    #: When it last answered; a host that nobody asked yet gets the benefit of the doubt.
    answered_at: float = 0.0


class Place:
    """A review's place among those that wait for a host; for one thread.

    Args:
        flights: where it counts.
        host: the host.
    """

    def __init__(self, flights: Flights, host: str) -> None:
        self._flights = flights
        self._host = host
        self._left = False

    def keep(self) -> None:
        """Go on waiting, or give way where a crowd came before anybody could know that the host is silent.

        To be asked every `PATIENCE_CHECK_SECONDS`. The crowd shrinks to what may wait for such a host, and no further.

        Raises:
            UnavailableError: the place was given up.
        """
        try:
            self._flights.wait_on(self._host)
        except UnavailableError:
            self._left = True
            raise

    def leave(self) -> None:
        """Give the place up, unless that has been done."""
        if not self._left:
            self._left = True
            self._flights.wait_out(self._host)


def next_look(deadline: Deadline) -> float:
    """Return how many seconds to wait before `Place.keep` is due: fewer than usual when the deadline comes first."""
    return max(min(deadline.remaining(), PATIENCE_CHECK_SECONDS), 0)


class Flights:
    """All work under way.

    Args:
        settings: the bounds.
        clock: on which a host's silence is measured.
    """

    def __init__(self, settings: VerifierSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="verification")
        self._flights: dict[Hashable, Future[Any]] = {}
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def board(self, key: Hashable, host: str, prepare: Callable[[], Callable[[], Any]]) -> tuple[Future[Any], bool]:
        """Return the flight for `key`, started if there is none, and whether it was under way already.

        Args:
            key: what the work is about.
            host: whose places it takes.
            prepare: called (without any lock held by a worker) only when a flight has to be started; returns the
                work itself. What it raises goes to the caller, and no flight is started.

        Raises:
            UnavailableError: too many flights queue for that host.
        """
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, True
            state = self._hosts.setdefault(host, _Host(answered_at=self._clock.monotonic()))
            if len(state.queue) >= MAX_QUEUED:
                raise UnavailableError(f"too many images wait for {host}; try again later")
            try:
                work = prepare()
            except BaseException:
                self._forget_idle(host, state)
                raise
            flight = Future()
            self._flights[key] = flight
            self._enqueue(state, lambda: self._fly(key, host, flight, work))
            return flight, False

    def wait_in(self, host: str) -> Place:
        """Take a place among the reviews that wait for a host, to be left again.

        Raises:
            UnavailableError: the host has been silent for a while and a crowd waits for it already.
        """
        with self._lock:
            state = self._hosts.setdefault(host, _Host(answered_at=self._clock.monotonic()))
            self._turn_away(host, state, state.waiting)
            state.waiting += 1
        return Place(self, host)

    def wait_on(self, host: str) -> None:
        """Go on waiting for a host, or give up a place; see `Place.keep`."""
        with self._lock:
            state = self._hosts[host]
            state.waiting -= 1
            self._turn_away(host, state, state.waiting)
            state.waiting += 1

    def wait_out(self, host: str) -> None:
        """Give up a place; see `Place.leave`."""
        with self._lock:
            state = self._hosts[host]
            state.waiting -= 1
            self._forget_idle(host, state)

    def close(self) -> None:
        """Start nothing more and let go of the workers; what is under way ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _turn_away(self, host: str, state: _Host, others: int) -> None:
        silent = self._clock.monotonic() - state.answered_at
        if others >= self._settings.crowd and silent > self._settings.patience_seconds:
            raise UnavailableError(
                f"{host} has not answered for {silent:.0f} s and {others} reviews wait for it; try again later"
            )

    def _enqueue(self, state: _Host, flight: Callable[[], None]) -> None:
        if state.under_way >= self._settings.host_concurrency:
            state.queue.append(flight)
            return
        if state.under_way == 0 and state.waiting == 0:
            state.answered_at = self._clock.monotonic()
        state.under_way += 1
        self._pool.submit(flight)

    def _fly(self, key: Hashable, host: str, flight: Future[Any], work: Callable[[], Any]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - a worker hands every exception to those who wait
            # Only silence is silence: a refused connection, a 404 or a 429 came back at once.
            self._land(key, host, answered=not isinstance(error, DeadlineError))
            flight.set_exception(error)
        else:
            self._land(key, host, answered=True)
            flight.set_result(result)

    def _land(self, key: Hashable, host: str, *, answered: bool) -> None:
        with self._lock:
            del self._flights[key]
            state = self._hosts[host]
            if answered:
                state.answered_at = self._clock.monotonic()
            if state.queue:
                self._pool.submit(state.queue.popleft())
            else:
                state.under_way -= 1
                self._forget_idle(host, state)

    def _forget_idle(self, host: str, state: _Host) -> None:
        if not state.under_way and not state.waiting and not state.queue:
            self._hosts.pop(host, None)
