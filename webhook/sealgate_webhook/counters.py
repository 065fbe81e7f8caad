"""Counters by policy, for the operator, which shows them in the policies' status.

Memory is bounded by the policies in force: for each the denials of an hour by minute, and how many different images it
covered. The images are not kept. Each sets one bit, picked by Python's keyed hash, in a bitmap of fixed size, and from
the share of bits that are set follows how many they were (linear counting). So a flood takes no more memory than a few.
"""

from __future__ import annotations

import secrets
import threading
from itertools import islice
from math import log
from typing import TYPE_CHECKING, Final

from sealgate.policies.policy_counts import (
    MAX_IMAGES,
    MAX_POLICIES,
    MINUTES,
    PATH,
    PolicyCounts,
    ReplicaCounts,
    encode_counts,
)
from sealgate.process.serving.asgi import respond

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.process.serving.asgi import ASGIApplication, Receive, Scope, Send

#: Bits of a bitmap: 1 KiB. Of 100 images hardly one is missed, of 1,000 about one in a hundred.
_BITS: Final = 8192
#: Seconds after which a new bitmap is begun. The one before still counts, so that images count for 12 to 24 hours.
_GENERATION_SECONDS: Final = 12 * 3600.0
#: Policies beyond which those that are no longer in force are forgotten.
_PRUNE_AT: Final = 1024


class PolicyCounters:
    """The counters of one process. Thread-safe.

    Args:
        clock: measures minutes.
        in_force: returns the names of the policies in force.

    Attributes:
        replica: names this process; another one after a restart.
    """

    def __init__(self, clock: Clock, in_force: Callable[[], Collection[str]]) -> None:
        self.replica = secrets.token_hex(8)
        self._clock = clock
        self._in_force = in_force
        self._policies: dict[str, _Counter] = {}
        self._prune_at = _PRUNE_AT
        self._lock = threading.Lock()

    def decided(self, verdicts: Iterable[ImageVerdict], *, dry_run: bool) -> None:
        """Count the verdicts of a review.

        Args:
            verdicts: one for each image.
            dry_run: whether nothing comes of the review; its denials are counted apart, its images not.
        """
        now = self._clock.monotonic()
        with self._lock:
            for verdict in verdicts:
                image = 0 if dry_run else _identity(verdict)
                for policy in verdict.policies:
                    counter = self._of(policy.name)
                    if not policy.met:
                        counter.deny(now, dry_run=dry_run)
                    if not dry_run:
                        counter.cover(image, now)
                for name in () if dry_run else verdict.exempting:
                    self._of(name).cover(image, now)

    def counts(self) -> ReplicaCounts:
        """Return what was counted for the policies in force."""
        now = self._clock.monotonic()
        with self._lock:
            self._prune()
            counted = {name: counter.counts(now) for name, counter in self._policies.items()}
        nothing = PolicyCounts()
        policies = ((name, counts) for name, counts in counted.items() if counts != nothing)
        return ReplicaCounts(version=1, replica=self.replica, policies=dict(islice(policies, MAX_POLICIES)))

    def _of(self, name: str) -> _Counter:
        counter = self._policies.get(name)
        if counter is None:
            if len(self._policies) >= self._prune_at:
                self._prune()
            counter = self._policies[name] = _Counter()
        return counter

    def _prune(self) -> None:
        """Forget the policies that are no longer in force."""
        names = frozenset(self._in_force())
        self._policies = {name: counter for name, counter in self._policies.items() if name in names}
        self._prune_at = max(_PRUNE_AT, 2 * len(self._policies))


class _Counter:
    """What is counted for one policy."""

    __slots__ = ("_denied", "_dry_run", "_earlier", "_generation", "_images", "_last")

    def __init__(self) -> None:
        self._denied: dict[int, int] = {}
        self._dry_run: dict[int, int] = {}
        self._last: float | None = None
        self._generation = 0
        self._images = self._earlier = 0

    def deny(self, now: float, *, dry_run: bool) -> None:
        """Count a denial."""
        buckets, minute = self._dry_run if dry_run else self._denied, int(now // 60)
        buckets[minute] = buckets.get(minute, 0) + 1
        if len(buckets) > MINUTES:
            _forget_old(buckets, minute)
        if not dry_run:
            self._last = now

    def cover(self, image: int, now: float) -> None:
        """Count an image, given by its hash."""
        self._turn(now)
        self._images |= 1 << (image % _BITS)

    def counts(self, now: float) -> PolicyCounts:
        """Return what was counted."""
        self._turn(now)
        set_bits = (self._images | self._earlier).bit_count()
        last = None if self._last is None else int(now - self._last)
        return PolicyCounts(
            images=_estimate(set_bits),
            denied=_by_age(self._denied, int(now // 60)),
            dry_run=_by_age(self._dry_run, int(now // 60)),
            last_denied=last,
        )

    def _turn(self, now: float) -> None:
        generation = int(now // _GENERATION_SECONDS)
        if generation != self._generation:
            self._earlier = self._images if generation == self._generation + 1 else 0
            self._generation, self._images = generation, 0


def _identity(verdict: ImageVerdict) -> int:
    """Return the hash of an image: one for all spellings of a digest in a repository."""
    name = verdict.image if verdict.reference is None else verdict.reference.name
    return hash((name, verdict.subject or verdict.image))


def _estimate(set_bits: int) -> int:
    if set_bits >= _BITS // 2:
        return MAX_IMAGES
    return min(round(-_BITS * log(1 - set_bits / _BITS)), MAX_IMAGES)


def _by_age(buckets: dict[int, int], minute: int) -> tuple[tuple[int, int], ...]:
    _forget_old(buckets, minute)
    return tuple((minute - at, count) for at, count in sorted(buckets.items(), reverse=True))


def _forget_old(buckets: dict[int, int], minute: int) -> None:
    for old in [at for at in buckets if at <= minute - MINUTES]:
        del buckets[old]


def with_policy_counts(metrics: ASGIApplication, counters: PolicyCounters) -> ASGIApplication:
    """Return the application of the port of the metrics with the counts by policy at `policy_counts.PATH`."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == PATH:
            await respond(send, 200, encode_counts(counters.counts()), b"application/json")
        else:
            await metrics(scope, receive, send)

    return answer
