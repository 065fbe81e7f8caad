"""Answers of services beside the signature stores, such as whether a certificate is revoked.

One verification of an image is charged to the host that holds its signatures. What a format asks elsewhere meanwhile is
limited here: every host has a budget, of which one namespace takes at most half; an answer is kept for a short time,
and equal questions of several verifications at once are one request. A failure can be kept as well, so that a host that
does not answer is waited for once and not by every verification.

What is kept is bounded in number and bytes. It is never more than the answer to one question: what follows from it is
decided by the format each time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar, cast

from cachetools import LRUCache

from sealgate.budgets import Budgets, rate_limited
from sealgate.clocks import SystemClock
from sealgate.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from sealgate.clocks import Clock, Deadline

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

#: Requests a minute that one host gets, and how many of them at once, unless the settings say otherwise.
REQUESTS_PER_MINUTE: Final = 300.0
BURST: Final = 300
#: Maximum bytes of all kept answers together.
MAX_BYTES: Final = 8 << 20
#: What an answer counts beside its own bytes, so that their number is bounded too.
ENTRY_BYTES: Final = 1024
#: How long a request may wait for its turn: it holds a worker of the host that has the signatures.
SLOT_SECONDS: Final = 3.0


class NoSlotError(RateLimitedError):
    """The budget of a host is used up. Says nothing about the host, so it must not count as a failure to answer."""


class Answer(NamedTuple, Generic[V_co]):
    """An answer, and for how long it may be used.

    Attributes:
        value: what was answered; a failure to answer is a value too.
        seconds: how long it may be used; not kept if 0 or less.
        size: its bytes.
    """

    value: V_co
    seconds: float
    size: int = 0


class _Kept(NamedTuple):
    """A kept answer: its value, when it expires in monotonic seconds, and its bytes."""

    value: object
    expires_at: float
    size: int


class ServiceAnswers:
    """The answers that one process keeps, and its budgets. Thread-safe.

    Args:
        clock: measures budgets and how long answers are kept; the system's by default.
        per_minute: requests a minute to one host.
        burst: how many of them may come at once after a quiet time; at least 1.
    """

    def __init__(self, clock: Clock | None = None, per_minute: float = REQUESTS_PER_MINUTE, burst: int = BURST) -> None:
        self._clock = clock or SystemClock()
        self._hosts = Budgets(per_minute, burst, self._clock)
        self._shares = Budgets(per_minute / 2, max(burst // 2, 1), self._clock)
        self._kept: LRUCache[Hashable, _Kept] = LRUCache(MAX_BYTES, getsizeof=lambda kept: kept.size + ENTRY_BYTES)
        self._asked: dict[Hashable, threading.Event] = {}
        self._lock = threading.Lock()

    def of(self, namespace: str) -> NamespaceAnswers:
        """Return the answers as verifications for a namespace ask for them."""
        return NamespaceAnswers(self, namespace)

    def get(self, key: Hashable) -> object | None:
        """Return a kept value; None if there is none."""
        with self._lock:
            kept = self._kept.get(key)
        return None if kept is None or kept.expires_at <= self._clock.monotonic() else kept.value

    def put(self, key: Hashable, answer: Answer[object]) -> None:
        """Keep an answer, unless it may not be used, or is too large."""
        kept = _Kept(answer.value, self._clock.monotonic() + answer.seconds, answer.size)
        if answer.seconds > 0 and answer.size + ENTRY_BYTES <= MAX_BYTES:
            with self._lock:
                self._kept[key] = kept

    def join(self, key: Hashable) -> threading.Event | None:
        """Return what is set once the question is answered that is asked already; None if the caller is to ask it."""
        with self._lock:
            asked = self._asked.get(key)
            if asked is None:
                self._asked[key] = threading.Event()
            return asked

    def leave(self, key: Hashable) -> None:
        """End a question that the caller was to ask, with or without an answer."""
        with self._lock:
            asked = self._asked.pop(key)
        asked.set()

    def wait_for_slot(self, host: str, namespace: str, deadline: Deadline) -> None:
        """Wait until the budget of a host, and a namespace's half of it, permit a request.

        Raises:
            NoSlotError: that would be after the deadline; nothing was waited for.
        """
        share = f"{namespace} {host}"
        try:
            wait = self._shares.reserve(share, deadline)
            try:
                wait = max(wait, self._hosts.reserve(host, deadline))
            except RateLimitedError:
                self._shares.give_back(share)
                raise
        except RateLimitedError as error:
            message = rate_limited(host, error.retry_after).message
            raise NoSlotError(message, retry_after=error.retry_after) from error
        if wait > 0:
            self._clock.sleep(wait)


@dataclass(frozen=True, slots=True)
class NamespaceAnswers:
    """The answers of a process, as verifications for one namespace ask for them. Thread-safe.

    Attributes:
        answers: the answers of the process.
        namespace: whose share of each host's budget requests are charged to.
    """

    answers: ServiceAnswers
    namespace: str

    def get(self, key: Hashable) -> object | None:
        """See `ServiceAnswers.get`."""
        return self.answers.get(key)

    def put(self, key: Hashable, answer: Answer[object]) -> None:
        """See `ServiceAnswers.put`."""
        self.answers.put(key, answer)

    def ask(self, key: Hashable, host: str, deadline: Deadline, fetch: Callable[[], Answer[V]]) -> V:
        """Return the answer to a question: the kept one, that of another caller who asks just now, or a new one.

        Args:
            key: everything that decides about the answer.
            host: `host[:port]` whose budget a request is charged to.
            deadline: until when to wait for another caller, which may have to wait for the budget.
            fetch: sends the request. Errors that it raises are this caller's and are not kept.

        Raises:
            NoSlotError: the budget of the host grants no slot within `SLOT_SECONDS`.
            DeadlineError: another caller's request took too long.
        """
        kept = cast("V | None", self.answers.get(key))
        while kept is None and (asked := self.answers.join(key)) is not None:
            asked.wait(deadline.check(f"waiting for an answer of {host}"))
            kept = cast("V | None", self.answers.get(key))
        if kept is not None:
            return kept
        try:
            # The caller that asked before may have been answered since.
            kept = cast("V | None", self.answers.get(key))
            if kept is not None:
                return kept
            self.answers.wait_for_slot(host, self.namespace, deadline.within(SLOT_SECONDS))
            answer = fetch()
            self.answers.put(key, answer)
            return answer.value
        finally:
            self.answers.leave(key)
