"""Steps 3 to 6 of a review: match, resolve, verify, decide, for all images of one object at once.

Whatever is in memory is answered without leaving the calling thread. The rest becomes flights (`flights.py`), one
for each thing however many reviews want it, and the calling thread waits for them until its deadline. A resolution
that lands starts the verifications of its image, so a slow registry holds up its own images only.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sealgate.errors import SealgateError
from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate.verification.context import Engine
from sealgate.verification.image_tasks import Inquiry
from sealgate.verification.observers import SilentObserver
from sealgate.verification.pending import PendingWork
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.tag_resolution import Resolution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.references import Digest, Reference
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.network import Network
    from sealgate.verification.observers import VerifierObserver
    from sealgate.verification.requests import Review


class Verifier:
    """Verifies images against policies. One for each process; thread-safe.

    Args:
        network: the registries and services.
        clock: the time.
        settings: the limits.
        observer: told of everything countable.
        state: the highest versions seen of versioned evidence; by default they are forgotten with the process.
    """

    def __init__(
        self,
        network: Network,
        clock: Clock,
        settings: VerifierSettings | None = None,
        observer: VerifierObserver | None = None,
        state: TrustedState | None = None,
    ) -> None:
        self._engine = Engine.assemble(
            network,
            clock,
            settings or VerifierSettings(),
            observer or SilentObserver(),
            state or MemoryTrustedState(),
        )

    def verify(self, images: Sequence[str], review: Review) -> tuple[ImageVerdict, ...]:
        """Return a verdict for each image, in order; never raises for what an image or registry does.

        What is not known by the review's deadline is *unavailable*.

        Args:
            images: references as written; each distinct one is looked at once.
            review: policies, namespace, credentials and deadline.
        """
        memory = self._engine.verdicts.of(review)
        verdicts: dict[str, ImageVerdict] = {}
        inquiries: list[Inquiry] = []
        work = PendingWork(self._engine.flights)
        try:
            for image in dict.fromkeys(images):
                known = memory.get(image)
                if known is None:
                    self._engine.observer.cache_miss("verdict")
                    inquiries.append(Inquiry(self._engine, review, work, image))
                else:
                    self._engine.observer.cache_hit("verdict")
                    verdicts[image] = known
            work.follow(review.deadline)
        finally:
            work.give_up()
        for inquiry in inquiries:
            verdict = verdicts[inquiry.image] = inquiry.verdict()
            memory.put(verdict, inquiry.until, inquiry.access)
        return tuple(verdicts[image] for image in images)

    def resolve(self, references: Iterable[Reference], review: Review) -> Mapping[Reference, Digest]:
        """Return the digests that references name now (or named a short while ago), all looked up at the same time.

        Args:
            references: each distinct one is looked up once; the caller bounds their number.
            review: policies, namespace, credentials and deadline.

        Returns:
            The digest of each reference; those that could not be resolved before the deadline are missing.
        """
        digests: dict[Reference, Digest] = {}
        work = PendingWork(self._engine.flights)
        try:
            for reference in dict.fromkeys(references):
                resolution = Resolution(self._engine, review, reference)
                known = resolution.known()
                if known is not None:
                    digests[reference] = known.value
                    continue
                take = partial(digests.__setitem__, reference)
                work.board(reference.repository.registry, resolution.start, take, self._unresolved)
            work.follow(review.deadline)
        finally:
            work.give_up()
        return digests

    def close(self) -> None:
        """Start no further work."""
        self._engine.flights.close()

    def _unresolved(self, error: BaseException) -> None:
        """Report an exception that is not about the registry; the reference stays unresolved either way."""
        if not isinstance(error, SealgateError):
            self._engine.observer.internal_error(error)
