"""Resolution of a reference to its subject: the digest that it contains, or the one that its tag names now.

A resolution is shared between callers with equal credentials, and with every caller where it was obtained anonymously.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from sealgate.clocks import Deadline
from sealgate.errors import NotFoundError
from sealgate.reasons import Reason
from sealgate.verification.caches import Cached

if TYPE_CHECKING:
    from concurrent.futures import Future

    from sealgate.references import Digest, Reference
    from sealgate.verification.context import VerifierContext
    from sealgate.verification.requests import VerificationRequest


class TagResolution:
    """Resolution of one reference for one request.

    Args:
        context: shared parts of the verifier.
        request: the request.
        reference: the reference; without a tag and digest its tag is `latest`.
    """

    def __init__(self, context: VerifierContext, request: VerificationRequest, reference: Reference) -> None:
        self._context = context
        self._request = request
        self._reference = reference
        self._caller = request.caller_at(context.network, reference.repository)

    def cached(self) -> Cached[Digest] | None:
        """Return the subject if it takes no request; a digest in the reference never expires."""
        if self._reference.digest is not None:
            return Cached(self._reference.digest, inf)
        digest = self._context.tags.get(self._tag, self._caller)
        if digest is None:
            self._context.observer.cache_miss("tag")
        else:
            self._context.observer.cache_hit("tag")
        return digest

    def start(self) -> Future[Digest]:
        """Return the future of the call that resolves the tag; start the call, or join it.

        Raises:
            UnavailableError: the call cannot be started before the deadline.
        """
        self._request.deadline.check(f"resolving {self._reference}")
        repository = self._reference.repository
        future, joined = self._context.start(
            ("tag", repository, self._tag, self._caller.sharing_key), repository.registry, lambda: self._fetch
        )
        if joined:
            self._context.observer.joined("tag")
        return future

    @property
    def _tag(self) -> str:
        return self._reference.effective_tag or "latest"

    def _fetch(self) -> Digest:
        context, repository = self._context, self._reference.repository
        if self._caller.must_read:
            self._caller.read()
        cached = context.tags.get(self._tag, self._caller)
        if cached is not None:
            return cached.value
        deadline = Deadline.after(context.clock, context.settings.verification_seconds)
        registry = context.session(self._request, deadline)
        try:
            digest = registry.resolve(repository, self._tag)
        except NotFoundError as error:
            error.reason = Reason.IMAGE_NOT_FOUND
            raise
        context.tags.put(self._tag, digest, self._caller, registry.access)
        return digest
