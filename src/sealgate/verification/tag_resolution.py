"""From a reference to its subject: the digest it names, or the one its tag names now.

A resolution is shared between callers with equal credentials, and with every caller where it was obtained anonymously.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from sealgate.clocks import Deadline
from sealgate.errors import NotFoundError
from sealgate.reasons import Reason
from sealgate.verification.caches import Remembered

if TYPE_CHECKING:
    from concurrent.futures import Future

    from sealgate.references import Digest, Reference
    from sealgate.verification.context import Engine
    from sealgate.verification.requests import Review


class Resolution:
    """From a reference to its subject."""

    def __init__(self, engine: Engine, review: Review, reference: Reference) -> None:
        self._engine = engine
        self._reference = reference
        self._review = review
        self._asker = review.asker(engine.network, reference.repository)

    def known(self) -> Remembered[Digest] | None:
        """Return the subject if no request is needed for it; a digest that is written holds for ever."""
        if self._reference.digest is not None:
            return Remembered(self._reference.digest, inf)
        digest = self._engine.tags.get(self._tag, self._asker)
        if digest is None:
            self._engine.observer.cache_miss("tag")
        else:
            self._engine.observer.cache_hit("tag")
        return digest

    def start(self) -> Future[Digest]:
        """Return the flight that resolves it.

        Raises:
            UnavailableError: it cannot be started before the deadline.
        """
        self._review.deadline.check(f"resolving {self._reference}")
        repository = self._reference.repository
        flight, joined = self._engine.flights.board(
            ("tag", repository, self._tag, self._asker.key), repository.registry, lambda: self._fetch
        )
        if joined:
            self._engine.observer.joined("tag")
        return flight

    @property
    def _tag(self) -> str:
        return self._reference.effective_tag or "latest"

    def _fetch(self) -> Digest:
        engine, repository = self._engine, self._reference.repository
        if self._asker.must_read:
            self._asker.read()
        known = engine.tags.get(self._tag, self._asker)
        if known is not None:
            return known.value
        deadline = Deadline.after(engine.clock, engine.settings.verification_seconds)
        registry = engine.session(self._review, deadline)
        try:
            digest = registry.resolve(repository, self._tag)
        except NotFoundError as error:
            error.reason = Reason.IMAGE_NOT_FOUND
            raise
        engine.tags.put(self._tag, digest, self._asker, registry.access)
        return digest
