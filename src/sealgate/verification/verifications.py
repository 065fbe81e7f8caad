"""Verification of one image by one authenticator: from the cache, or by the authenticator's check in a worker.

A finding that was obtained with another caller's credentials is used only after the registry let this caller read the
manifest too.

Exceptions become findings in one function only, `Verification._find`. It returns *verified* only if the check returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sealgate.clocks import Deadline
from sealgate.errors import SealgateError, UnavailableError, VerificationError
from sealgate.findings import Finding, Outcome
from sealgate.formats.interface import Image, Sources
from sealgate.reasons import Reason
from sealgate.verification.caches import FindingKey

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from concurrent.futures import Future

    from sealgate.formats.interface import Check
    from sealgate.registry.callers import Access
    from sealgate.registry.interface import Registry
    from sealgate.verification.caches import Cached
    from sealgate.verification.context import VerifierContext
    from sealgate.verification.observers import VerifierObserver
    from sealgate.verification.repository_caller import Candidates
    from sealgate.verification.requests import VerificationRequest


class VerificationResult(NamedTuple):
    """Result of a call that verifies.

    Attributes:
        finding: the finding.
        access: the credentials that it was obtained with; None if it was obtained without any response of a registry.
    """

    finding: Finding
    access: Access | None


class Verification:
    """Verification of one image by one authenticator for one request.

    Args:
        context: shared parts of the verifier.
        request: the request.
        name: name of the authenticator.
        check: the authenticator's check.
        image: the image, with its digest.

    Attributes:
        host: the host that holds the signatures, as `host[:port]`; its budget counts.
        registry: the registry of the image.
    """

    def __init__(
        self, context: VerifierContext, request: VerificationRequest, name: str, check: Check, image: Image
    ) -> None:
        self._context = context
        self._request = request
        self._name = name
        self._check = check
        self._image = image
        self.host = check.budget_host(image)
        self.registry = image.reference.repository.registry
        self._caller = request.caller_at(context.network, image.reference.repository)
        # Whether the call was started by another caller with the same identity at the image's registry.
        self._joined_by_identity = False
        self._key = FindingKey(
            name,
            check.content,
            image.reference.name,
            image.digest,
            image.reference.effective_tag if check.depends_on_tag else None,
        )

    def cached(self) -> Cached[Finding] | None:
        """Return the finding from the cache; None if there is none."""
        finding = self._context.findings.get(self._key, self._caller)
        if finding is None:
            self._context.observer.cache_miss("finding")
        else:
            self._context.observer.cache_hit("finding")
        return finding

    def start(self) -> Future[VerificationResult]:
        """Return the future of a call that makes the finding; this caller may use the result if `may_use` says so.

        Raises:
            UnavailableError: the call cannot be started, or not before the deadline.
        """
        by_identity = self._caller.cached_identities is not None
        future, joined = self._start(self._caller.sharing_key)
        self._joined_by_identity = joined and by_identity
        return future

    def may_use(self, result: VerificationResult) -> bool:
        """Return whether the result of the call of `start` is for this caller too.

        Callers join a call by their identity at the image's registry. A check may have read elsewhere, such as in a
        repository of signatures, where their identities differ.
        """
        return not self._joined_by_identity or result.access is None or self._caller.may_use(result.access)

    def start_apart(self) -> Future[VerificationResult]:
        """Return the future of a call that only callers with the same source of credentials join.

        Raises:
            UnavailableError: the call cannot be started, or not before the deadline.
        """
        return self._start(self._request.caller.source)[0]

    def _start(self, sharing_key: Hashable) -> tuple[Future[VerificationResult], bool]:
        self._request.deadline.check(f"verifying {self._image.reference}")
        future, joined = self._context.start((self._key, sharing_key), self.host, self._prepare)
        if joined:
            self._context.observer.joined("finding")
        return future, joined

    @property
    def needs_grant(self) -> bool:
        """Whether another caller's finding can be used, if the registry lets this caller read the manifest too."""
        return self._context.findings.needs_grant(self._key, self._caller)

    def confirm(self) -> Future[Candidates | None]:
        """Return the future of a call that requests the manifest of the registry; its result is for `use_granted`.

        Raises:
            UnavailableError: the call cannot be started before the deadline.
        """
        repository = self._image.reference.repository
        self._request.deadline.check(f"verifying {self._image.reference}")
        key = ("confirm", repository, self._image.digest, self._caller.sharing_key)
        return self._context.start(key, repository.registry, lambda: self._confirm)[0]

    def use_granted(self, confirmed: Candidates | None) -> Finding | None:
        """Return another caller's finding if the registry let this caller read the manifest; None otherwise.

        Args:
            confirmed: the result of the call of `confirm`.
        """
        if confirmed is None:
            return None
        self._caller.adopt(confirmed)
        self._context.findings.grant(self._key, self._caller)
        cached = self._context.findings.get(self._key, self._caller)
        return None if cached is None else cached.value

    def _confirm(self) -> Candidates | None:
        context = self._context
        deadline = Deadline.after(context.clock, context.settings.verification_seconds)
        try:
            context.session(self._request, deadline).confirm(self._image.reference.repository, self._image.digest)
            return self._caller.read()
        except SealgateError:
            # The caller's own verification follows and reports what is wrong in the same words as for every caller:
            # the answer must not show that there is a finding of another caller.
            return None

    def _prepare(self) -> Callable[[], VerificationResult]:
        context = self._context
        # Another call may have been completed since this caller missed the cache.
        cached = context.findings.get(self._key, self._caller)
        if cached is not None:
            return lambda: VerificationResult(cached.value, cached.access)
        try:
            delay = context.budgets.reserve(self.host, self._request.deadline)
        except UnavailableError:
            context.observer.rate_limited(self.host)
            raise
        context.observer.budget_wait(self.host, delay)
        due = context.clock.monotonic() + delay
        return lambda: self._run(due)

    def _run(self, due: float) -> VerificationResult:
        context = self._context
        delay = due - context.clock.monotonic()
        if delay > 0:
            context.clock.sleep(delay)
        started_at = context.clock.monotonic()
        finding, access = self._find()
        if finding.outcome is not Outcome.UNAVAILABLE and access is not None:
            context.findings.put(self._key, finding, self._caller, access)
        context.observer.verification(finding, context.clock.monotonic() - started_at)
        return VerificationResult(finding, access)

    def _find(self) -> tuple[Finding, Access | None]:
        """Return the finding, and the credentials that it was obtained with; None if those are not known."""
        context = self._context
        deadline = Deadline.after(context.clock, context.settings.verification_seconds)
        registry: Registry | None = None
        try:
            registry = context.session(self._request, deadline)
            sources = Sources(
                registry=registry,
                services=context.network.services(deadline),
                clock=context.clock,
                deadline=deadline,
                state=context.state,
                secrets=self._request.policies.secrets,
            )
            verified = self._check.verify(self._image, sources)
        except Exception as error:  # noqa: BLE001 - the one function where every exception becomes "not verified"
            finding = failed(self._name, self._check.format, error, context.observer)
        else:
            finding = Finding(
                self._name,
                self._check.format,
                Outcome.VERIFIED,
                Reason.VERIFIED,
                f"signed by {', '.join(verified.fingerprints)}",
                verified.fingerprints,
                verified.signatures,
            )
        return finding, None if registry is None else registry.access


def failed(authenticator: str, form: str, error: BaseException | None, observer: VerifierObserver) -> Finding:
    """Return the finding for an exception: refused or unavailable, never verified.

    Args:
        authenticator: name of the authenticator.
        form: its format; empty if it is not known.
        error: the exception. One that is not a `SealgateError` is reported to the observer only, since its text may
            hold anything; None if it was reported already.
        observer: see `error`.
    """
    if isinstance(error, VerificationError):
        return Finding(authenticator, form, Outcome.REFUSED, error.reason, error.message, signatures=error.signatures)
    if isinstance(error, SealgateError):
        return Finding(authenticator, form, Outcome.UNAVAILABLE, error.reason, error.message)
    if error is not None:
        observer.internal_error(error)
    message = "an internal error stopped the verification; the log has it under the review's uid"
    return Finding(authenticator, form, Outcome.UNAVAILABLE, Reason.INTERNAL_ERROR, message)
