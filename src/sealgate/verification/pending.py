"""Work that one caller waits for: resolutions and verifications under way, each with its continuation.

A `PendingWork` belongs to one call and one thread. Whatever happens, its owner calls `give_up`, so that no place among
those that wait for a host stays taken.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Any, NamedTuple

from sealgate.errors import UnavailableError
from sealgate.verification.single_flight import PATIENCE_CHECK_SECONDS, next_look

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from sealgate.clocks import Deadline
    from sealgate.verification.single_flight import Flights, Place


class _Waiter(NamedTuple):
    """One continuation of a flight: where it waits, and what to do with the result or the exception."""

    place: Place
    take: Callable[[Any], None]
    fail: Callable[[BaseException], None]


class PendingWork:
    """Flights and their continuations. For one thread.

    Args:
        flights: where work is started and where waiting callers are counted for each host.
    """

    def __init__(self, flights: Flights) -> None:
        self._flights = flights
        # Two images of one Pod may wait for the same flight, so a flight has a list of waiters.
        self._waiters: dict[Future[Any], list[_Waiter]] = {}

    def board(
        self,
        host: str,
        start: Callable[[], Future[Any]],
        take: Callable[[Any], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Start or join a flight. One that cannot be started fails at once.

        Args:
            host: that it waits for, as `host[:port]`.
            start: returns the flight; may raise `UnavailableError`.
            take: called with the flight's result; may board further flights.
            fail: called with the exception otherwise.
        """
        try:
            place = self._flights.wait_in(host)
        except UnavailableError as error:
            fail(error)
            return
        try:
            flight = start()
        except UnavailableError as error:
            place.leave()
            fail(error)
        except BaseException:
            # A place that is never left would count forever among those that wait.
            place.leave()
            raise
        else:
            self._waiters.setdefault(flight, []).append(_Waiter(place, take, fail))

    def follow(self, deadline: Deadline) -> None:
        """Land flights as they arrive until none is left or the deadline has passed."""
        while self._waiters:
            timeout = next_look(deadline)
            done, _ = wait(self._waiters, timeout, return_when=FIRST_COMPLETED)
            if not done and timeout < PATIENCE_CHECK_SECONDS:
                return
            for flight in done:
                self._land(flight)
            if not done:
                self._recheck()

    def give_up(self) -> None:
        """Stop waiting; what lands later still goes into the caches."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.place.leave()
        self._waiters.clear()

    def _land(self, flight: Future[Any]) -> None:
        waiters = self._waiters.pop(flight)
        for waiter in waiters:
            waiter.place.leave()
        error = flight.exception()
        for waiter in waiters:
            if error is not None:
                waiter.fail(error)
            else:
                waiter.take(flight.result())

    def _recheck(self) -> None:
        """Stop waiting for hosts that are silent and have too many waiting for them."""
        for flight, waiters in list(self._waiters.items()):
            for waiter in list(waiters):
                try:
                    waiter.place.keep()
                except UnavailableError as error:
                    waiters.remove(waiter)
                    waiter.fail(error)
            if not waiters:
                del self._waiters[flight]
