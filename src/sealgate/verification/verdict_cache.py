"""Verdicts that need not be thought over again.

What the API server asks about is mostly what it asked about a moment ago. A verdict that rests on nothing but what is
in memory is remembered by everything that made it, and for exactly as long as all of what it rests on:

- under the very policy set that decided. Another one, whatever changed in it, starts with nothing remembered;
- for the labels of the namespace that are known, which choose the policies, its name among them;
- for the credentials that it rests on, where any were used: callers with others make a verdict of their own;
- for the image as written, until the earliest moment from which on its tag's digest or a finding may not be believed.

A verdict for which anything had to be asked, or could not be found out, is not remembered here: it is made anew from
the findings, which are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sealgate.verification.caches import Remembered

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.registry.callers import Access, Caller
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.verification.requests import Review

#: When so many are remembered all are forgotten; making them anew from findings costs little.
MAX_VERDICTS = 10_000
#: Verdicts on one image for one namespace that are remembered, each resting on other credentials.
MAX_VARIANTS = 8


class _Key(NamedTuple):
    namespace: Hashable
    image: str


_Verdicts = dict[_Key, tuple[Remembered["ImageVerdict"], ...]]


@dataclass(frozen=True, slots=True)
class _Generation:
    """What is remembered under one policy set."""

    policies: PolicySet
    verdicts: _Verdicts


class VerdictMemory:
    """The verdicts of one process. Thread-safe: every step is one operation on a dictionary.

    Args:
        clock: what was remembered expires on it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._generation: _Generation | None = None

    def of(self, review: Review) -> ReviewVerdicts:
        """Return the verdicts that a review may take over, and to which it may add its own."""
        generation = self._generation
        if generation is None or generation.policies is not review.policies:
            # A review that began under the former set adds to what is then forgotten, never to this.
            self._generation = generation = _Generation(review.policies, {})
        return ReviewVerdicts(
            generation.verdicts,
            review.namespace.key,
            review.caller,
            self._clock.monotonic(),
        )

    def __len__(self) -> int:
        """Return how many are remembered, expired ones included."""
        return 0 if self._generation is None else len(self._generation.verdicts)


@dataclass(frozen=True, slots=True)
class ReviewVerdicts:
    """The verdicts that one review may take over.

    Attributes:
        verdicts: those under the review's policy set.
        namespace: the key of the review's namespace.
        caller: its credentials.
        now: when it began, in the clock's `monotonic` seconds.
    """

    verdicts: _Verdicts
    namespace: Hashable
    caller: Caller
    now: float

    def get(self, image: str) -> ImageVerdict | None:
        """Return the verdict for an image, as written, if it still holds."""
        for remembered in self.verdicts.get(_Key(self.namespace, image), ()):
            if self.now < remembered.until and self.caller.has(remembered.access):
                return remembered.value
        return None

    def put(self, verdict: ImageVerdict, until: float, access: Access) -> None:
        """Remember a verdict, if there is any time left for it.

        Args:
            verdict: the verdict.
            until: the earliest moment from which on something that it rests on may not be believed.
            access: whose credentials it rests on.
        """
        if until <= self.now:
            return
        if len(self.verdicts) >= MAX_VERDICTS:
            self.verdicts.clear()
        key = _Key(self.namespace, verdict.image)
        others = [known for known in self.verdicts.get(key, ()) if self.now < known.until and known.access != access]
        self.verdicts[key] = (Remembered(verdict, until, access), *others[: MAX_VARIANTS - 1])
