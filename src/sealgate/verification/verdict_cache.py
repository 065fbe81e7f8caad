"""Cache of verdicts.

Most images that the API server asks about were asked about a moment ago. A verdict that was made of cached parts alone
is cached, keyed by everything that made it, and no longer than each of the parts:

- the very policy set that decided. Any change of policies makes another set, which starts with an empty cache;
- the known labels of the namespace, its name among them, which select the policies;
- the credentials of the parts, where any were used: callers with others get a verdict of their own;
- the image as written, until the first of its parts (the digest of its tag, a finding) expires.

A verdict for which anything had to be requested, or is unavailable, is not cached here: it is made again from the
findings, which are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sealgate.verification.caches import Cached

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.registry.callers import Access, Caller
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.verification.requests import VerificationRequest

#: Verdicts in the cache. A full cache is emptied: making them again from findings costs little.
MAX_VERDICTS = 10_000
#: Verdicts on one image for one namespace, each for other credentials.
MAX_VARIANTS = 8


class _Key(NamedTuple):
    namespace: Hashable
    image: str


_Verdicts = dict[_Key, tuple[Cached["ImageVerdict"], ...]]


@dataclass(frozen=True, slots=True)
class _Generation:
    """The verdicts under one policy set."""

    policies: PolicySet
    verdicts: _Verdicts


class VerdictCache:
    """The verdicts of one process. Thread-safe: every step is one operation on a dictionary.

    Args:
        clock: measures the TTLs.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._generation: _Generation | None = None

    def of(self, request: VerificationRequest) -> RequestVerdicts:
        """Return the verdicts that a request may use, and to which it may add its own."""
        generation = self._generation
        if generation is None or generation.policies is not request.policies:
            # A request that began under the former set adds to a dictionary that is no longer used.
            self._generation = generation = _Generation(request.policies, {})
        return RequestVerdicts(
            generation.verdicts,
            request.namespace.key,
            request.caller,
            self._clock.monotonic(),
        )

    def __len__(self) -> int:
        """Return the number of entries, expired ones included."""
        return 0 if self._generation is None else len(self._generation.verdicts)


@dataclass(frozen=True, slots=True)
class RequestVerdicts:
    """The verdicts that one request may use.

    Attributes:
        verdicts: those under the request's policy set.
        namespace: the key of the request's namespace.
        caller: the request's credentials.
        now: when the request began, in the clock's monotonic seconds.
    """

    verdicts: _Verdicts
    namespace: Hashable
    caller: Caller
    now: float

    def get(self, image: str) -> ImageVerdict | None:
        """Return the cached verdict for an image, as written; None if there is none."""
        for cached in self.verdicts.get(_Key(self.namespace, image), ()):
            if self.now < cached.expires_at and self.caller.may_use(cached.access):
                return cached.value
        return None

    def put(self, verdict: ImageVerdict, expires_at: float, access: Access) -> None:
        """Cache a verdict, unless it has expired already.

        Args:
            verdict: the verdict.
            expires_at: when the first of its parts expires, in the clock's monotonic seconds.
            access: the credentials that its parts were obtained with.
        """
        if expires_at <= self.now:
            return
        if len(self.verdicts) >= MAX_VERDICTS:
            self.verdicts.clear()
        key = _Key(self.namespace, verdict.image)
        others = [
            other for other in self.verdicts.get(key, ()) if self.now < other.expires_at and other.access != access
        ]
        self.verdicts[key] = (Cached(verdict, expires_at, access), *others[: MAX_VARIANTS - 1])
