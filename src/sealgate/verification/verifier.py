"""Steps 3 to 6 of the path of a review: match, resolve, verify, decide, for all images of one request.

What is cached is answered in the calling thread. The rest becomes calls (`single_flight.py`), one for each key however
many requests want its result, and the calling thread waits for them until its deadline. A tag that was resolved starts
the verifications of its image, so a slow registry delays its own images only.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sealgate.errors import SealgateError
from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate.verification.context import VerifierContext
from sealgate.verification.continuations import Continuations
from sealgate.verification.image_tasks import ImageTask
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.tag_resolution import TagResolution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.references import Digest, Reference
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.network import Network
    from sealgate.verification.observers import VerifierObserver
    from sealgate.verification.requests import VerificationRequest


class Verifier:
    """Verifies images against policies. One for each process; thread-safe.

    Args:
        network: registries and services.
        clock: the time.
        settings: limits; the defaults of `VerifierSettings` if there are none.
        observer: counts cache hits, waits, verifications and errors.
        state: highest versions seen of versioned evidence; by default they are kept in memory.
    """

    def __init__(
        self,
        network: Network,
        clock: Clock,
        settings: VerifierSettings | None = None,
        observer: VerifierObserver | None = None,
        state: TrustedState | None = None,
    ) -> None:
        self._context = VerifierContext.assemble(
            network,
            clock,
            settings or VerifierSettings(),
            observer or NullObserver(),
            state or MemoryTrustedState(),
        )

    def verify(self, images: Sequence[str], request: VerificationRequest) -> tuple[ImageVerdict, ...]:
        """Return a verdict for each image, in order; never raises for what an image or registry does.

        Images without a verdict at the request's deadline are *unavailable*.

        Args:
            images: references as written; equal ones are verified once.
            request: policies, namespace, credentials and deadline.
        """
        cache = self._context.verdicts.of(request)
        verdicts: dict[str, ImageVerdict] = {}
        tasks: list[ImageTask] = []
        continuations = Continuations(self._context.wait_slots)
        try:
            for image in dict.fromkeys(images):
                cached = cache.get(image)
                if cached is None:
                    self._context.observer.cache_miss("verdict")
                    task = ImageTask(self._context, request, continuations, image)
                    tasks.append(task)
                    task.start()
                else:
                    self._context.observer.cache_hit("verdict")
                    verdicts[image] = cached
            continuations.run(request.deadline)
        finally:
            continuations.cancel()
        for task in tasks:
            verdict = verdicts[task.image] = task.verdict()
            cache.put(verdict, task.expires_at, task.access)
        return tuple(verdicts[image] for image in images)

    def resolve(self, references: Iterable[Reference], request: VerificationRequest) -> Mapping[Reference, Digest]:
        """Return the digests that references name, from the cache or else resolved all at the same time.

        Args:
            references: equal ones are resolved once; the caller bounds their number.
            request: policies, namespace, credentials and deadline.

        Returns:
            The digest of each reference, without those that could not be resolved before the deadline.
        """
        digests: dict[Reference, Digest] = {}
        continuations = Continuations(self._context.wait_slots)
        try:
            for reference in dict.fromkeys(references):
                resolution = TagResolution(self._context, request, reference)
                cached = resolution.cached()
                if cached is not None:
                    digests[reference] = cached.value
                    continue
                on_result = partial(digests.__setitem__, reference)
                continuations.add(reference.repository.registry, resolution.start, on_result, self._unresolved)
            continuations.run(request.deadline)
        finally:
            continuations.cancel()
        return digests

    def close(self) -> None:
        """Start no more work; work that is running goes on, and its results are dropped with the process."""
        self._context.limiter.close()

    def _unresolved(self, error: BaseException) -> None:
        """Report an exception that is not about the registry; the reference stays unresolved either way."""
        if not isinstance(error, SealgateError):
            self._context.observer.internal_error(error)
