"""Resolution of a reference to its subject: the digest that it contains, or the one that its tag names now.

A resolution is shared between callers with equal credentials, and with every caller where it was obtained anonymously.
While the registry is unreachable, the digest that the tag named stands in for it (`stale_cache.py`).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from sealgate.clocks import Deadline
from sealgate.errors import NotFoundError, SealgateError
from sealgate.reasons import Reason
from sealgate.verification.caches import Cached
from sealgate.verification.stale_cache import is_denial, is_outage

if TYPE_CHECKING:
    from concurrent.futures import Future

    from sealgate.references import Digest, Reference
    from sealgate.verification.context import VerifierContext
    from sealgate.verification.requests import VerificationRequest


class Resolved(NamedTuple):
    """The subject of a reference.

    Attributes:
        digest: the subject.
        stale_since: when the registry named it, in the clock's monotonic seconds, if the registry is unreachable now;
            None if the answer is not stale.
    """

    digest: Digest
    stale_since: float | None = None


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

    def stale(self) -> Resolved | None:
        """Return the digest that the tag named, if the registry is known to be unreachable; None otherwise."""
        return self._last_known() if self._context.stale.unreachable(self._caller) else None

    def start(self) -> Future[Resolved]:
        """Return the future of the call that resolves the tag; start the call, or join it.

        Raises:
            UnavailableError: the call cannot be started before the deadline.
        """
        self._request.deadline.check(f"resolving {self._reference}")
        repository = self._reference.repository
        future, joined = self._context.start(
            ("tag", repository, self._tag, self._caller.sharing_key), repository.registry, self._request, self._fetch
        )
        if joined:
            self._context.observer.joined("tag")
        return future

    @property
    def _tag(self) -> str:
        return self._reference.effective_tag or "latest"

    def _last_known(self) -> Resolved | None:
        known = self._context.stale.tag(self._tag, self._caller)
        return None if known is None else Resolved(known.value, known.since)

    def _fetch(self) -> Resolved:
        context = self._context
        if self._caller.must_read or context.stale.must_read(self._caller):
            self._caller.read()
        cached = context.tags.get(self._tag, self._caller)
        if cached is not None:
            return Resolved(cached.value)
        with context.shared.tag(self._tag, self._caller) as shared:
            if shared is None:
                return self.stale() or self._request_or_recall()
        seconds = shared.expires_at - context.clock.monotonic()
        context.tags.put(self._tag, shared.value, self._caller, shared.access, seconds)
        age = context.settings.tag_seconds - seconds
        context.stale.put_tag(self._tag, shared.value, self._caller, shared.access, age)
        return Resolved(shared.value)

    def _request_or_recall(self) -> Resolved:
        """Resolve the tag; if the registry is unreachable, return the digest that it named."""
        stale = self._context.stale
        try:
            digest = self._request_digest()
        except SealgateError as error:
            stale.observe(self._caller, error)
            if is_denial(error):
                stale.drop_tag(self._tag, self._caller)
            known = self._last_known() if is_outage(error) else None
            if known is None:
                raise
            return known
        stale.observe(self._caller, None)
        return Resolved(digest)

    def _request_digest(self) -> Digest:
        context, settings = self._context, self._context.settings
        seconds = settings.verification_seconds if self._last_known() is None else settings.unresponsive_after
        registry = context.session(self._request, Deadline.after(context.clock, seconds))
        try:
            digest = registry.resolve(self._reference.repository, self._tag)
        except NotFoundError as error:
            error.reason = Reason.IMAGE_NOT_FOUND
            raise
        context.tags.put(self._tag, digest, self._caller, registry.access)
        context.stale.put_tag(self._tag, digest, self._caller, registry.access)
        context.shared.put_tag(self._tag, digest, self._caller, registry.access, context.settings.tag_seconds)
        return digest
