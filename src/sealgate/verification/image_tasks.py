"""Verification of one image of one request, from reference to verdict.

A tag beside a digest counts only if the registry says now that it names that digest. That is requested only where the
answer can make a difference: where a policy or an authenticator that may apply depends on tags. If the tag does not
name the digest, the image has no known tag. If the registry cannot be asked, the image must meet the policies of both
cases, and what is refused only for that reason is *unavailable*. A stale answer (`stale_cache.py`) can only confirm a
tag: that it named another digest before the registry became unreachable does not say what it names now.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sealgate.errors import (
    DeadlineError,
    InvalidReferenceError,
    NotFoundError,
    RateLimitedError,
    SealgateError,
    UnavailableError,
    UnreachableError,
)
from sealgate.findings import Outcome
from sealgate.formats.interface import Image
from sealgate.messages import quote
from sealgate.policies.decisions import (
    Verdict,
    combine_unchecked_tag,
    decide,
    note_mismatched_tag,
    refuse_reference,
)
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from sealgate.verification.background import keep_for_background
from sealgate.verification.dependencies import Dependencies
from sealgate.verification.tag_resolution import Resolved, TagResolution
from sealgate.verification.verifications import Verification, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from sealgate.findings import Finding
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.policies.exceptions import CompiledException
    from sealgate.policies.matching import Match
    from sealgate.references import Digest, Reference, Repository
    from sealgate.verification.context import VerifierContext
    from sealgate.verification.continuations import Continuations
    from sealgate.verification.from_memory import NoContinuations
    from sealgate.verification.observers import StaleKind
    from sealgate.verification.repository_caller import Candidates
    from sealgate.verification.requests import VerificationRequest
    from sealgate.verification.verifications import VerificationResult

    OnError = Callable[[BaseException], None]
    Key = tuple[str, str | None]

_LATE = DeadlineError("ran out of time before the signatures were verified; try again")


class _UnconfirmedTag(NamedTuple):
    """A tag of which it is not known whether it names the digest beside it.

    Attributes:
        matched: the policies that cover the image if it does.
        error: why it is not known.
    """

    matched: tuple[Match, ...]
    error: BaseException


class ImageTask:
    """Verification of one image for one request. For one thread.

    Args:
        context: shared parts of the verifier.
        request: the request.
        continuations: the calls that the request waits for, or what permits none.
        image: reference as written.

    Attributes:
        image: reference as written.
        dependencies: what the verdict depends on. Final once the verdict is made.
    """

    def __init__(
        self,
        context: VerifierContext,
        request: VerificationRequest,
        continuations: Continuations | NoContinuations,
        image: str,
    ) -> None:
        self._context = context
        self._request = request
        self._continuations = continuations
        self.image = image
        self.dependencies = Dependencies(context.settings.refused_seconds)
        # By authenticator and the tag that its check gets, which is the same for all but those that depend on tags.
        self._findings: dict[Key, Finding] = {}
        self._started: set[Key] = set()
        # Calls of which the result is missing.
        self._missing: dict[Key, Verification] = {}
        self._matched: tuple[Match, ...] = ()
        self._unconfirmed: _UnconfirmedTag | None = None
        # Whether the registry says that the tag beside the digest names that.
        self._tag_confirmed = False
        self._unresolved: BaseException = _LATE
        # The image as written, and as checks that depend on tags get it; None until its digest is known.
        self._written: Image | None = None
        self._seen: Image | None = None
        try:
            self._reference: Reference | InvalidReferenceError = parse_reference(image)
        except InvalidReferenceError as error:
            self._reference = error

    def start(self) -> None:
        """Match the image against the policies, use what is cached, and start the calls for the rest."""
        reference = self._reference
        if isinstance(reference, InvalidReferenceError):
            self.dependencies.add_uncached()
            return
        index, namespace = self._request.policies.index, self._request.namespace
        self._matched = index.match(reference, namespace)
        if reference.digest is None:
            if _needed(self._matched):
                self._resolve(reference)
            return
        self._written = self._seen = Image(reference, reference.digest)
        if reference.tag is None:
            self._verify_all()
            return
        matched_if_named = index.match(replace(reference, digest=None), namespace)
        depends = matched_if_named != self._matched or any(map(self._depends_on_tag, _needed(self._matched)))
        if not depends:
            self._verify_all()
        if depends or self._exceptions_ask_for_tag(reference, self._written):
            self._confirm_tag(reference, reference.digest, matched_if_named)

    def verdict(self) -> ImageVerdict:
        """Return the verdict; findings that are still missing count as *unavailable*.

        Verifications that have not begun by now are left to the background.
        """
        for (name, _), verification in self._missing.items():
            if verification.waits:
                keep_for_background(self._context, self._request, name, verification.image)
        verdict = self.dependencies.describe(self._verdict())
        exceptions = self._exceptions()
        return replace(verdict, exceptions=exceptions) if exceptions else verdict

    def _exceptions(self) -> tuple[CompiledException, ...]:
        """Return the exceptions that cover the image. Beside a digest, only a tag that was confirmed counts."""
        reference = self._reference
        if isinstance(reference, InvalidReferenceError):
            return ()
        tag = reference.effective_tag if reference.digest is None or self._tag_confirmed else None
        return self._request.policies.exceptions.match(reference, tag, self._namespace_name)

    def _exceptions_ask_for_tag(self, reference: Reference, image: Image) -> bool:
        """Return whether an exception may have to lift a denial, and depends on the tag beside the digest."""
        exceptions, clock = self._request.policies.exceptions, self._context.clock
        if not exceptions.asks_for_tag(reference, self._namespace_name, clock):
            return False
        # What the cache admits needs no exception, and must not wait for a registry that may be down.
        keys = ((name, self._view(name, image).reference.tag) for name in _needed(self._matched))
        if not all(key in self._findings for key in keys):
            return True
        return self._decide(reference, self._matched, image).verdict in {Verdict.DENY, Verdict.UNAVAILABLE}

    @property
    def _namespace_name(self) -> str:
        namespace = self._request.namespace
        return namespace.name if namespace.named else ""

    def _verdict(self) -> ImageVerdict:
        reference = self._reference
        if isinstance(reference, InvalidReferenceError):
            return refuse_reference(self.image, reference)
        verdict = self._decide(reference, self._matched, self._seen)
        if reference.tag is None or self._seen is self._written:
            return verdict
        if self._unconfirmed is None:
            return note_mismatched_tag(verdict, reference.tag)
        why = failed("", "", self._unconfirmed.error, self._context.observer)
        return combine_unchecked_tag(
            verdict, self._decide(reference, self._unconfirmed.matched, self._written), reference.tag, why
        )

    def _decide(self, reference: Reference, matched: Sequence[Match], image: Image | None) -> ImageVerdict:
        results = [(match, [self._found(name, image) for name in match.policy.authenticators]) for match in matched]
        digest = reference.digest if image is None else image.digest
        return decide(self.image, reference, digest, results, self._request.policies.unmatched)

    def _found(self, name: str, image: Image | None) -> Finding:
        if image is None:
            return self._failed(name, self._unresolved)
        return self._findings.get((name, self._view(name, image).reference.tag)) or self._failed(name, _LATE)

    def _resolve(self, reference: Reference) -> None:
        """Resolve a tag, and verify the digest that it names."""
        resolution = TagResolution(self._context, self._request, reference)

        def resolved(named: Resolved) -> None:
            self._written = self._seen = Image(reference, named.digest)
            self._verify_all()

        def unresolved(error: BaseException) -> None:
            self._unresolved = error

        self._continue_with_digest(resolution, reference.repository, resolved, unresolved)

    def _confirm_tag(self, reference: Reference, digest: Digest, matched_if_named: tuple[Match, ...]) -> None:
        """Resolve the tag beside a digest, and verify according to whether it names the digest.

        Args:
            reference: has a tag and a digest.
            digest: the digest in the reference.
            matched_if_named: the policies that cover the image if the tag names the digest.
        """
        resolution = TagResolution(self._context, self._request, replace(reference, digest=None))
        self._seen = Image(replace(reference, tag=None), digest)
        self._unconfirmed = _UnconfirmedTag(matched_if_named, _LATE)

        def compare(named: Resolved) -> None:
            if named.digest != digest and named.stale_since is not None:
                verify_both(UnreachableError(f"{quote(reference.repository.registry)} cannot be reached"))
                return
            self._unconfirmed = None
            if named.digest == digest:
                self._matched, self._seen, self._tag_confirmed = matched_if_named, self._written, True
            self._verify_all()

        def verify_both(error: BaseException) -> None:
            if isinstance(error, NotFoundError) and error.reason is Reason.IMAGE_NOT_FOUND:
                self._unconfirmed = None
            else:
                self._unconfirmed = _UnconfirmedTag(matched_if_named, error)
                self._verify_by(_needed(matched_if_named), self._written)
            self._verify_all()

        # Authenticators that are needed in both cases need not wait for the tag.
        both = set(_needed(self._matched)).intersection(_needed(matched_if_named))
        self._verify_by(sorted(name for name in both if not self._depends_on_tag(name)), self._written)
        self._continue_with_digest(resolution, reference.repository, compare, verify_both)

    def _continue_with_digest(
        self,
        resolution: TagResolution,
        repository: Repository,
        on_digest: Callable[[Resolved], None],
        on_error: OnError,
    ) -> None:
        """Resolve a tag, from the cache if possible."""

        def use(resolved: Resolved) -> None:
            self._note_stale("tag", repository.registry, resolved.stale_since)
            on_digest(resolved)

        cached = resolution.cached()
        if cached is not None:
            self.dependencies.add(cached)
            on_digest(Resolved(cached.value))
        elif (stale := resolution.stale()) is not None:
            use(stale)
        else:
            start = resolution.start
            self._with_identities(repository, lambda: self._add(repository.registry, start, use, on_error), on_error)

    def _verify_all(self) -> None:
        self._verify_by(_needed(self._matched), self._seen)

    def _verify_by(self, names: Sequence[str], image: Image | None) -> None:
        """Verify an image by authenticators, from the cache where possible; each only once."""
        assert image is not None  # noqa: S101 - for the type checker: called once the digest is known
        for name in names:
            view = self._view(name, image)
            key = name, view.reference.tag
            if key not in self._started:
                self._started.add(key)
                self._verify(key, view)

    def _verify(self, key: Key, image: Image) -> None:
        name, _ = key
        check = self._request.policies.checks.get(name)
        if check is None or isinstance(check, SealgateError):
            self._findings[key] = self._failed(name, check)
            return
        verification = Verification(self._context, self._request, name, check, image)
        cached = verification.cached()
        if cached is not None:
            self.dependencies.add(cached)
            self._findings[key] = cached.value
            if cached.value.outcome is Outcome.REFUSED:
                self.dependencies.add_refusal(name, cached.expires_at)
            return
        stale = verification.stale()
        if stale is not None:
            self._use(key, verification, stale)
            return
        on_error = partial(self._fail, key)
        self._with_identities(
            image.reference.repository, lambda: self._start_verification(key, verification, on_error), on_error
        )

    def _start_verification(self, key: Key, verification: Verification, on_error: OnError) -> None:
        """Use another caller's finding if there is one and the registry lets this caller; verify otherwise."""

        def use(result: VerificationResult) -> None:
            del self._missing[key]
            self._use(key, verification, result)

        def use_if_allowed(result: VerificationResult) -> None:
            if verification.may_use(result):
                use(result)
            else:
                self._add(verification.host, verification.start_apart, use, fail)

        def fail(error: BaseException) -> None:
            del self._missing[key]
            if isinstance(error, RateLimitedError | DeadlineError):
                keep_for_background(self._context, self._request, key[0], verification.image)
            on_error(error)

        def verify() -> None:
            self._missing[key] = verification
            self._add(verification.host, verification.start, use_if_allowed, fail)

        def use_granted(confirmed: Candidates | None) -> None:
            finding = verification.use_granted(confirmed)
            if finding is None:
                verify()
            else:
                self._findings[key] = finding

        if verification.needs_grant:
            self._add(verification.registry, verification.confirm, use_granted, on_error)
        else:
            verify()

    def _use(self, key: Key, verification: Verification, result: VerificationResult) -> None:
        self._note_stale("finding", verification.registry, result.stale_since)
        self._findings[key] = result.finding

    def _with_identities(self, repository: Repository, then: Callable[[], None], on_error: OnError) -> None:
        """Continue once it is known which cached answers the request's credentials may use."""
        caller = self._request.caller_at(self._context.network, repository)
        if not (caller.must_read or self._context.stale.must_read(caller)):
            then()
            return

        def start() -> Future[Candidates]:
            self._request.deadline.check("reading pull secrets")
            key = ("credentials", repository, self._request.caller.source)
            return self._context.start(key, repository.registry, self._request, caller.read)[0]

        def adopt(candidates: Candidates) -> None:
            caller.adopt(candidates)
            then()

        self._add(repository.registry, start, adopt, on_error)

    def _add(
        self, host: str, start: Callable[[], Future[Any]], on_result: Callable[[Any], None], on_error: OnError
    ) -> None:
        self.dependencies.add_uncached()
        self._continuations.add(host, start, on_result, on_error)

    def _note_stale(self, kind: StaleKind, registry: str, since: float | None) -> None:
        """Note that the verdict depends on an answer that is stale, if it is."""
        if since is not None:
            self.dependencies.add_stale(since)
            self._context.observer.stale(kind, registry)

    def _fail(self, key: Key, error: BaseException) -> None:
        self._findings[key] = self._failed(key[0], error)

    def _view(self, name: str, image: Image) -> Image:
        """Return an image as an authenticator's check gets it: as written, unless the check depends on tags."""
        assert self._written is not None  # noqa: S101 - for the type checker: called once the digest is known
        return image if self._depends_on_tag(name) else self._written

    def _depends_on_tag(self, name: str) -> bool:
        check = self._request.policies.checks.get(name)
        return check is not None and not isinstance(check, SealgateError) and check.depends_on_tag

    def _failed(self, name: str, error: BaseException | None) -> Finding:
        self.dependencies.add_uncached()
        check = self._request.policies.checks.get(name)
        if check is None:
            error = UnavailableError(
                f"there is no Authenticator named {name}; create it or change the policy",
                reason=Reason.AUTHENTICATOR_NOT_FOUND,
            )
        elif isinstance(check, SealgateError):
            error = UnavailableError(
                f"the Authenticator cannot be used: {check.message}", reason=Reason.AUTHENTICATOR_NOT_READY
            )
        form = "" if check is None or isinstance(check, SealgateError) else check.format
        return failed(name, form, error, self._context.observer)


def _needed(matched: Sequence[Match]) -> list[str]:
    """Return the names of the authenticators that policies require, each once."""
    return list(dict.fromkeys(name for match in matched for name in match.policy.authenticators))
