"""Verification of one image by one authenticator: from the cache, or by the authenticator's check in a worker.

While the image's registry is unreachable, a verified finding that is older than the cache's TTL stands in for a new one
(`stale_cache.py`). Evidence that is refused, or missing, ends that.

A finding that was obtained with another caller's credentials is used only after the registry let this caller read the
manifest too.

Exceptions become findings in one function only, `Verification._find`. It returns *verified* only if the check returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sealgate.clocks import Deadline
from sealgate.errors import DeadlineError, RateLimitedError, SealgateError, UnavailableError, VerificationError
from sealgate.findings import Finding, Outcome
from sealgate.formats.interface import Image, Sources
from sealgate.reasons import Reason
from sealgate.verification.caches import FindingKey
from sealgate.verification.stale_cache import is_denial, is_outage
from sealgate.verification.tasks import NoSlotError

if TYPE_CHECKING:
    from collections.abc import Hashable
    from concurrent.futures import Future

    from sealgate.formats.interface import Check
    from sealgate.registry.callers import Access
    from sealgate.registry.interface import Registry
    from sealgate.verification.caches import Cached
    from sealgate.verification.context import VerifierContext
    from sealgate.verification.observers import BackgroundResult, VerifierObserver
    from sealgate.verification.repository_caller import Candidates
    from sealgate.verification.requests import VerificationRequest

#: Share of `unresponsive_after` that a request must have had for its registry to count as silent: a mirror may have
#: taken half of that time before.
_SILENT_SHARE: Final = 1 / 3


class VerificationResult(NamedTuple):
    """Result of a call that verifies.

    Attributes:
        finding: the finding.
        access: the credentials that it was obtained with; None if it was obtained without any response of a registry.
        stale_since: when it was made, in the clock's monotonic seconds, if the registry is unreachable now; None if it
            is not stale.
    """

    finding: Finding
    access: Access | None
    stale_since: float | None = None


class _Found(NamedTuple):
    """What a check found.

    Attributes:
        finding: the finding.
        access: see `VerificationResult`.
        error: why it is not verified; None if it is.
        unfinished: whether the time ended although the registry answered.
    """

    finding: Finding
    access: Access | None
    error: BaseException | None
    unfinished: bool = False


class Verification:
    """Verification of one image by one authenticator for one request.

    Args:
        context: shared parts of the verifier.
        request: the request.
        name: name of the authenticator.
        check: the authenticator's check.
        image: the image, with its digest.

    Attributes:
        image: see above.
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
        self.image = image
        self.host = check.budget_host(image)
        self.registry = image.reference.repository.registry
        self._caller = request.caller_at(context.network, image.reference.repository)
        # Whether the call was started by another caller with the same identity at the image's registry.
        self._joined_by_identity = False
        # Whether it takes only slots of budgets that would be lost.
        self._in_background = False
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

    def stale(self) -> VerificationResult | None:
        """Return a verified finding of before the registry became unreachable, if that is known; None otherwise."""
        return self._last_known() if self._context.stale.unreachable(self._caller) else None

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

    @property
    def waits(self) -> bool:
        """Whether the call is under way, and waits for a slot or a worker."""
        flights = self._context.single_flight
        return flights.waits((self._key, self._caller.sharing_key)) or flights.waits(
            (self._key, self._request.caller.source)
        )

    def run_in_background(self) -> BackgroundResult:
        """Make the finding in the calling thread, a worker, for a task that has taken a slot of the host's budget.

        Nothing is made that a review which comes now would find, or get by asking the registry for the manifest.

        Raises:
            NoSlotError: the budget that replicas share has no slot that would be lost; nothing was requested for it.
        """
        context = self._context
        self._in_background = True
        try:
            if self._caller.must_read or context.stale.must_read(self._caller):
                self._caller.read()
        except SealgateError:
            context.workers.give_back(self.host)
            return "unavailable"
        call, leading = context.single_flight.join((self._key, self._caller.sharing_key))
        if not leading:
            context.workers.give_back(self.host)
            return "known"
        try:
            known = self.needs_grant or self._known() is not None
            result = None if known else self._run()
        except BaseException:
            context.single_flight.abandon(call)
            raise
        if result is None:
            context.workers.give_back(self.host)
            context.single_flight.abandon(call)
            return "known"
        context.single_flight.complete(call, result, None)
        return "unavailable" if result.finding.outcome is Outcome.UNAVAILABLE else "done"

    def _start(self, sharing_key: Hashable) -> tuple[Future[VerificationResult], bool]:
        self._request.deadline.check(f"verifying {self.image.reference}")
        future, joined = self._context.start(
            (self._key, sharing_key), self.host, self._request, self._run, charged=True, known=self._known
        )
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
        repository = self.image.reference.repository
        self._request.deadline.check(f"verifying {self.image.reference}")
        key = ("confirm", repository, self.image.digest, self._caller.sharing_key)
        return self._context.start(key, repository.registry, self._request, self._confirm)[0]

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
        if cached is None:
            return None
        self._keep(cached.value, cached.access, cached.expires_at - self._context.clock.monotonic())
        return cached.value

    def _confirm(self) -> Candidates | None:
        context = self._context
        deadline = Deadline.after(context.clock, context.settings.verification_seconds)
        try:
            context.session(self._request, deadline).confirm(self.image.reference.repository, self.image.digest)
            return self._caller.read()
        except SealgateError:
            # The caller's own verification follows and reports what is wrong in the same words as for every caller:
            # the answer must not show that there is a finding of another caller.
            return None

    def _known(self) -> VerificationResult | None:
        """Return the finding of a call that was completed since this caller missed the cache."""
        cached = self._context.findings.get(self._key, self._caller)
        return self.stale() if cached is None else VerificationResult(cached.value, cached.access)

    def _run(self) -> VerificationResult:
        context = self._context
        with context.shared.finding(self._key, self._caller) as shared:
            if shared is None:
                return self._verify_or_recall()
        context.workers.give_back(self.host)
        seconds = shared.expires_at - context.clock.monotonic()
        context.findings.put(self._key, shared.value, self._caller, shared.access, seconds)
        self._keep(shared.value, shared.access, seconds)
        return VerificationResult(shared.value, shared.access)

    def _last_known(self) -> VerificationResult | None:
        known = self._context.stale.finding(self._key, self._caller)
        return None if known is None else VerificationResult(known.value, known.access, known.since)

    def _keep(self, finding: Finding, access: Access, seconds: float) -> None:
        """Keep a finding, which expires in some seconds, for the time while the registry is unreachable."""
        age = self._context.findings.ttl(finding) - seconds
        self._context.stale.put_finding(self._key, finding, self._caller, access, age)

    def _verify_or_recall(self) -> VerificationResult:
        """Verify the image; if its registry is unreachable, return the finding of before."""
        stale = self.stale()
        if stale is not None:
            self._context.workers.give_back(self.host)
            return stale
        result, error = self._verify()
        if self._asks_registry:
            self._context.stale.observe(self._caller, error)
        if is_denial(error) and not result.finding.partial:
            self._context.stale.drop_finding(self._key, self._caller)
        unreachable = is_outage(error) and self._context.stale.unreachable(self._caller)
        return (self._last_known() if unreachable else None) or result

    @property
    def _asks_registry(self) -> bool:
        """Whether the signatures are in the registry, so that an error is about it and not about another service."""
        return self.host == self.registry

    def _verify(self) -> tuple[VerificationResult, BaseException | None]:
        context = self._context
        try:
            context.shared.reserve(self.host, Deadline.after(context.clock, 0.0), spare=self._in_background)
        except RateLimitedError as error:
            raise NoSlotError(error) from error
        started_at = context.clock.monotonic()
        seconds = self._seconds
        found = self._find(seconds)
        if found.unfinished and seconds < context.settings.verification_seconds:
            # There is more to read than the short time allows: a writer of the repository can bring that about.
            found = self._find(context.settings.verification_seconds)
        finding, access, cause, _ = found
        if finding.outcome is not Outcome.UNAVAILABLE and access is not None:
            context.findings.put(self._key, finding, self._caller, access)
            context.shared.put_finding(self._key, finding, self._caller, access, context.findings.seconds(finding))
            context.stale.put_finding(self._key, finding, self._caller, access)
        context.observer.verification(finding, context.clock.monotonic() - started_at)
        return VerificationResult(finding, access), cause

    def _find(self, seconds: float) -> _Found:
        """Return what the authenticator's check finds.

        Args:
            seconds: how long the check may take.
        """
        context = self._context
        deadline = Deadline.after(context.clock, seconds)
        cause: BaseException | None = None
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
                answers=context.service_answers.of(self._request.namespace.name),
            )
            verified = self._check.verify(self.image, sources)
        except Exception as error:  # noqa: BLE001 - the one function where every exception becomes "not verified"
            finding = failed(self._name, self._check.format, error, context.observer)
            if registry is not None and isinstance(error, DeadlineError) and self._was_answered(registry):
                # As it is, it would say that the registry is unreachable, so that a finding of before stands in.
                cause = UnavailableError(error.message, reason=error.reason)
                return _Found(finding, registry.access, cause, unfinished=True)
            cause = error
        else:
            finding = Finding(
                self._name,
                self._check.format,
                Outcome.VERIFIED,
                Reason.VERIFIED,
                f"signed by {', '.join(verified.fingerprints)}",
                verified.fingerprints,
                verified.signatures,
                verified.valid_until,
            )
        return _Found(finding, None if registry is None else registry.access, cause)

    def _was_answered(self, registry: Registry) -> bool:
        """Return whether time ran out although the registry, which has the signatures, let no request wait for long."""
        limit = self._context.settings.unresponsive_after * _SILENT_SHARE
        return self._asks_registry and registry.unanswered_seconds < limit

    @property
    def _seconds(self) -> float:
        """How long the check may take: less where a finding of before could stand in for its result."""
        settings = self._context.settings
        recall = self._asks_registry and self._last_known() is not None
        return settings.unresponsive_after if recall else settings.verification_seconds


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
