"""Validation of policy objects, apart from reviews of workloads.

Validation takes CPU time instead of waiting for registries: at most about 50 ms for one object
(`sealgate.policies.limits`). So that a client that posts many cannot take a CPU from the reviews, one object of each
user and two in total are validated at once. The others wait, the longest first, at most until their deadlines; an
object whose turn does not come is denied with *try again*.
"""

from __future__ import annotations

from collections import Counter
from threading import Condition
from typing import TYPE_CHECKING, Final

from sealgate_webhook.admission.outcome import AdmissionOutcome
from sealgate_webhook.reviews.response import deny

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate_webhook.admission.outcome import AdmissionHandler
    from sealgate_webhook.reviews.request import AdmissionRequest

#: The most objects that are validated at once.
MAX_RUNNING: Final = 2
#: The most objects of one user, and of all users, that wait; each holds a thread.
MAX_WAITING_OF_USER: Final = 8
MAX_WAITING: Final = 32

_BUSY: Final = AdmissionOutcome(
    deny("too many policy objects are being validated; try again in a few seconds", unavailable=True),
    "too many validations",
)


class Validations:
    """Handler of the endpoint for policy objects: has another one validate them, a few at a time. Thread-safe.

    Args:
        validate: validates one object.
    """

    def __init__(self, validate: AdmissionHandler) -> None:
        self._validate = validate
        self._changed = Condition()
        # Both in the order in which they arrived.
        self._running: list[str] = []
        self._waiting: list[_Waiting] = []

    def __call__(self, request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        """Return the outcome for an object; a denial if its turn does not come before the deadline."""
        if not self._begin(request.username, deadline):
            return _BUSY
        try:
            return self._validate(request, deadline)
        finally:
            self._end(request.username)

    def _begin(self, username: str, deadline: Deadline) -> bool:
        """Wait for the turn of a user; return whether it has come."""
        waiting = _Waiting(username)
        with self._changed:
            of_user = Counter(other.username for other in self._waiting)[username]
            if of_user >= MAX_WAITING_OF_USER or len(self._waiting) >= MAX_WAITING:
                return False
            self._waiting.append(waiting)
            come = self._changed.wait_for(lambda: self._next() is waiting, max(deadline.remaining(), 0))
            self._waiting.remove(waiting)
            if come:
                self._running.append(username)
            # Another user's turn may have come too.
            self._changed.notify_all()
        return come

    def _end(self, username: str) -> None:
        with self._changed:
            self._running.remove(username)
            self._changed.notify_all()

    def _next(self) -> _Waiting | None:
        """Return the object whose turn it is, the first one of a user who has none running; None while two run."""
        if len(self._running) >= MAX_RUNNING:
            return None
        return next((waiting for waiting in self._waiting if waiting.username not in self._running), None)


class _Waiting:
    """An object that waits.

    Args:
        username: the user who applies it.
    """

    def __init__(self, username: str) -> None:
        self.username = username
