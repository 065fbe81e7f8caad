"""Cache of verdicts.

Most images that the API server asks about were asked about a moment ago. A verdict that was made of cached parts alone
is cached, keyed by everything that made it, and no longer than each of the parts:

- the very policy set that decided. Any change of policies makes another set, which starts with an empty cache;
- the known labels of the namespace, its name among them, which select the policies;
- the credentials of the parts, where any were used: callers with others get a verdict of their own;
- the image as written, until the first of its parts (the digest of its tag, a finding) expires.

A verdict for which anything had to be requested, or is unavailable, is not cached here: it is made again from the
findings, which are.

A cache that is full drops all verdicts for the namespace that has most of them, which costs little for the same reason.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from sealgate.verification.byte_cache import Usage
from sealgate.verification.caches import Cached

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.registry.callers import Access, Caller
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.verification.requests import VerificationRequest

#: Verdicts on one image for one namespace, each for other credentials.
MAX_VARIANTS: Final = 8
#: Bytes of a verdict, of the result of a policy, of a finding, of a signature and of a key in it, without their text.
#: Measured; a test compares their sum with what Python allocates.
_VERDICT_BYTES: Final = 576
_POLICY_BYTES: Final = 144
_FINDING_BYTES: Final = 216
_SIGNATURE_BYTES: Final = 80


class _Variants(NamedTuple):
    """The verdicts on one image for one namespace, each for other credentials, and their estimated bytes."""

    verdicts: tuple[Cached[ImageVerdict], ...] = ()
    size: int = 0


_NONE: Final = _Variants()
_NO_IMAGES: Final[dict[str, _Variants]] = {}


class _Generation:
    """The verdicts under one policy set.

    Args:
        policies: the policy set; None before the first request.
        limit: maximum estimated bytes of all verdicts together.
    """

    def __init__(self, policies: PolicySet | None, limit: int) -> None:
        self.policies = policies
        self._limit = limit
        self._namespaces: dict[Hashable, dict[str, _Variants]] = {}
        self._sizes: dict[Hashable, int] = {}
        self._size = 0
        self._evicted = 0
        # Only writers take it: a reader needs one operation on each of two dictionaries.
        self._lock = threading.Lock()

    def get(self, namespace: Hashable, image: str) -> tuple[Cached[ImageVerdict], ...]:
        """Return the verdicts on an image, expired ones included."""
        return self._namespaces.get(namespace, _NO_IMAGES).get(image, _NONE).verdicts

    def put(self, namespace: Hashable, image: str, verdicts: tuple[Cached[ImageVerdict], ...]) -> None:
        """Replace the verdicts on an image."""
        new = _Variants(verdicts, sum(size_of(cached.value) for cached in verdicts))
        with self._lock:
            images = self._namespaces.setdefault(namespace, {})
            change = new.size - images.get(image, _NONE).size
            images[image] = new
            self._sizes[namespace] = self._sizes.get(namespace, 0) + change
            self._size += change
            while self._size > self._limit:
                self._drop_largest()

    @property
    def usage(self) -> Usage:
        """What is cached now."""
        with self._lock:
            return Usage(self._size, sum(map(len, self._namespaces.values())), self._evicted)

    def _drop_largest(self) -> None:
        largest = max(self._sizes, key=self._sizes.__getitem__)
        self._size -= self._sizes.pop(largest)
        self._evicted += len(self._namespaces.pop(largest))


class VerdictCache:
    """The verdicts of one process. Thread-safe.

    Args:
        limit: maximum bytes of all verdicts together, as `size_of` estimates them.
        clock: measures the TTLs.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._generation = _Generation(None, limit)

    def of(self, request: VerificationRequest) -> RequestVerdicts:
        """Return the verdicts that a request may use, and to which it may add its own."""
        generation = self._generation
        if generation.policies is not request.policies:
            # A request that began under the former set adds to a generation that is no longer used.
            self._generation = generation = _Generation(request.policies, self._limit)
        return RequestVerdicts(generation, request.namespace.key, request.caller, self._clock.monotonic())

    @property
    def usage(self) -> Usage:
        """What is cached now; what was evicted is counted from the last change of policies."""
        return self._generation.usage


@dataclass(frozen=True, slots=True)
class RequestVerdicts:
    """The verdicts that one request may use.

    Attributes:
        generation: those under the request's policy set.
        namespace: the key of the request's namespace.
        caller: the request's credentials.
        now: when the request began, in the clock's monotonic seconds.
    """

    generation: _Generation
    namespace: Hashable
    caller: Caller
    now: float

    def get(self, image: str) -> ImageVerdict | None:
        """Return the cached verdict for an image, as written; None if there is none."""
        for cached in self.generation.get(self.namespace, image):
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
        others = [
            other
            for other in self.generation.get(self.namespace, verdict.image)
            if self.now < other.expires_at and other.access != access
        ]
        variants = (Cached(verdict, expires_at, access), *others[: MAX_VARIANTS - 1])
        self.generation.put(self.namespace, verdict.image, variants)


def size_of(verdict: ImageVerdict) -> int:
    """Return the estimated bytes of memory that a cached verdict takes."""
    text = [verdict.image, verdict.message]
    size = _VERDICT_BYTES + _POLICY_BYTES * len(verdict.policies)
    # The exceptions themselves belong to the policy set.
    size += sys.getsizeof(verdict.exceptions) if verdict.exceptions else 0
    for finding in (finding for policy in verdict.policies for finding in policy.findings):
        size += _FINDING_BYTES + _SIGNATURE_BYTES * len(finding.signatures)
        text += [finding.message, *finding.fingerprints]
        for seen in finding.signatures:
            text += [seen.source, seen.message, seen.fingerprint or ""]
    return size + sum(map(sys.getsizeof, text))
