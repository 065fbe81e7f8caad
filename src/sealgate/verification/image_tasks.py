"""One image's way from reference to verdict, as a review follows it.

Beside a digest a tag counts only if the registry says now that it names that digest. That is asked for only where the
answer can make a difference: where a policy or an authenticator that may apply looks at tags. If the tag does not name
the digest, the image is one without a known tag. If the registry cannot be asked, the image must meet the same, and
what is refused only for that reason is *unavailable*.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from sealgate.errors import DeadlineError, InvalidReferenceError, NotFoundError, SealgateError, UnavailableError
from sealgate.findings import Outcome
from sealgate.formats.interface import Image
from sealgate.policies.decisions import CachedRefusal, Verdict, decide, disown_tag, doubt_tag, refuse_reference
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from sealgate.registry.callers import OPEN, join_access
from sealgate.verification.tag_resolution import Resolution
from sealgate.verification.verifications import Verification, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from sealgate.findings import Finding
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.policies.matching import Match
    from sealgate.references import Digest, Reference, Repository
    from sealgate.verification.askers import Read
    from sealgate.verification.caches import Remembered
    from sealgate.verification.context import Engine
    from sealgate.verification.pending import PendingWork
    from sealgate.verification.requests import Review
    from sealgate.verification.verifications import Landed

    Fail = Callable[[BaseException], None]
    Key = tuple[str, str | None]

_LATE = DeadlineError("ran out of time before the signatures were verified; try again")


class _Doubt(NamedTuple):
    """A tag of which it is not known whether it names the digest beside it.

    Attributes:
        matched: the policies that cover the image if it does.
        error: why it is not known.
    """

    matched: tuple[Match, ...]
    error: BaseException


class Inquiry:
    """One image's way from reference to verdict.

    Attributes:
        image: as written.
        until: the earliest moment from which on something that the verdict rests on may not be believed; infinitely
            long ago when not all of it was in memory. Final once the verdict is made.
        access: whose credentials the verdict rests on. Final once the verdict is made.
    """

    def __init__(self, engine: Engine, review: Review, work: PendingWork, image: str) -> None:
        self._engine = engine
        self._review = review
        self._work = work
        self.image = image
        self.until = inf
        self.access = OPEN
        # By authenticator and the tag that it is shown, which is one for all but those that look at tags.
        self._findings: dict[Key, Finding] = {}
        self._asked: set[Key] = set()
        # Authenticators whose refusal was in the cache, each with when it expires.
        self._refused: dict[str, float] = {}
        self._matched: tuple[Match, ...] = ()
        self._doubt: _Doubt | None = None
        self._unresolved: BaseException = _LATE
        # The image as written, and as formats that look at tags see it; None until its digest is known.
        self._written: Image | None = None
        self._seen: Image | None = None
        try:
            self._reference: Reference | InvalidReferenceError = parse_reference(image)
        except InvalidReferenceError as error:
            self._reference = error
            self.until = -inf
        else:
            self._start(self._reference)

    def verdict(self) -> ImageVerdict:
        """Return the verdict; whatever is still under way counts as *unavailable*."""
        verdict = self._verdict()
        return replace(verdict, cached=self._cached_refusal(verdict)) if self._refused else verdict

    def _cached_refusal(self, verdict: ImageVerdict) -> CachedRefusal | None:
        """Return the cached refusal behind a verdict that is looked up again first."""
        failed = (
            finding for policy in verdict.policies if policy.verdict is verdict.verdict for finding in policy.findings
        )
        until = min((self._refused[f.authenticator] for f in failed if f.authenticator in self._refused), default=None)
        if until is None or verdict.verdict not in (Verdict.DENY, Verdict.WARN):
            return None
        return CachedRefusal(until - self._engine.settings.refused_seconds, until)

    def _verdict(self) -> ImageVerdict:
        reference = self._reference
        if isinstance(reference, InvalidReferenceError):
            return refuse_reference(self.image, reference)
        verdict = self._decide(reference, self._matched, self._seen)
        if reference.tag is None or self._seen is self._written:
            return verdict
        if self._doubt is None:
            return disown_tag(verdict, reference.tag)
        why = failed("", "", self._doubt.error, self._engine.observer)
        return doubt_tag(verdict, self._decide(reference, self._doubt.matched, self._written), reference.tag, why)

    def _decide(self, reference: Reference, matched: Sequence[Match], image: Image | None) -> ImageVerdict:
        results = [(match, [self._found(name, image) for name in match.policy.authenticators]) for match in matched]
        digest = reference.digest if image is None else image.digest
        return decide(self.image, reference, digest, results, self._review.policies.unmatched)

    def _found(self, name: str, image: Image | None) -> Finding:
        if image is None:
            return self._failed(name, self._unresolved)
        return self._findings.get((name, self._view(name, image).reference.tag)) or self._failed(name, _LATE)

    def _start(self, reference: Reference) -> None:
        index, namespace = self._review.policies.index, self._review.namespace
        self._matched = index.match(reference, namespace)
        if reference.digest is None:
            if _needed(self._matched):
                self._resolve(reference)
            return
        self._written = self._seen = Image(reference, reference.digest)
        if reference.tag is not None:
            matched_if_named = index.match(replace(reference, digest=None), namespace)
            if matched_if_named != self._matched or any(map(self._depends_on_tag, _needed(self._matched))):
                self._compare(reference, reference.digest, matched_if_named)
                return
        self._ask_all()

    def _resolve(self, reference: Reference) -> None:
        """Find out which digest a tag names, and verify it."""
        resolution = Resolution(self._engine, self._review, reference)

        def resolved(digest: Digest) -> None:
            self._written = self._seen = Image(reference, digest)
            self._ask_all()

        def unresolved(error: BaseException) -> None:
            self._unresolved = error

        self._follow(resolution, reference.repository, resolved, unresolved)

    def _compare(self, reference: Reference, digest: Digest, matched_if_named: tuple[Match, ...]) -> None:
        """Find out whether the tag names the digest beside it, and verify accordingly.

        Args:
            reference: with tag and digest.
            digest: the reference's.
            matched_if_named: the policies that cover the image if the tag names the digest.
        """
        resolution = Resolution(self._engine, self._review, replace(reference, digest=None))
        self._seen = Image(replace(reference, tag=None), digest)
        self._doubt = _Doubt(matched_if_named, _LATE)

        def answered(named: Digest) -> None:
            self._doubt = None
            if named == digest:
                self._matched, self._seen = matched_if_named, self._written
            self._ask_all()

        def failed_to_answer(error: BaseException) -> None:
            if isinstance(error, NotFoundError) and error.reason is Reason.IMAGE_NOT_FOUND:
                self._doubt = None
            else:
                self._doubt = _Doubt(matched_if_named, error)
                self._ask(_needed(matched_if_named), self._written)
            self._ask_all()

        # What is needed whatever the answer is need not wait for it.
        both = set(_needed(self._matched)).intersection(_needed(matched_if_named))
        self._ask(sorted(name for name in both if not self._depends_on_tag(name)), self._written)
        self._follow(resolution, reference.repository, answered, failed_to_answer)

    def _follow(
        self, resolution: Resolution, repository: Repository, take: Callable[[Digest], None], fail: Fail
    ) -> None:
        """Resolve a tag, from memory if possible."""
        known = resolution.known()
        if known is not None:
            self._rest_on(known)
            take(known.value)
            return
        self._identified(repository, lambda: self._board(repository.registry, resolution.start, take, fail), fail)

    def _ask_all(self) -> None:
        self._ask(_needed(self._matched), self._seen)

    def _ask(self, names: Sequence[str], image: Image | None) -> None:
        """Start to verify an image by authenticators, from memory where it can be; none is asked twice."""
        assert image is not None  # noqa: S101 - for the type checker: called once the digest is known
        for name in names:
            view = self._view(name, image)
            key = name, view.reference.tag
            if key not in self._asked:
                self._asked.add(key)
                self._verify(key, view)

    def _verify(self, key: Key, image: Image) -> None:
        name, _ = key
        check = self._review.policies.checks.get(name)
        if check is None or isinstance(check, SealgateError):
            self._findings[key] = self._failed(name, check)
            return
        verification = Verification(self._engine, self._review, name, check, image)
        known = verification.known()
        if known is not None:
            self._rest_on(known)
            self._findings[key] = known.value
            if known.value.outcome is Outcome.REFUSED:
                self._refused[key[0]] = min(known.until, self._refused.get(key[0], inf))
            return
        fail = partial(self._fail, key)
        self._identified(image.reference.repository, lambda: self._borrow(key, verification, fail), fail)

    def _borrow(self, key: Key, verification: Verification, fail: Fail) -> None:
        """Take over another caller's finding if there is one and the registry lets this caller, else verify."""

        def take(landed: Landed) -> None:
            self._findings[key] = landed.finding

        def take_if_own(landed: Landed) -> None:
            if verification.may_take(landed):
                take(landed)
            else:
                self._board(verification.host, verification.start_apart, take, fail)

        def verify() -> None:
            self._board(verification.host, verification.start, take_if_own, fail)

        def confirmed(read: Read | None) -> None:
            finding = verification.borrow(read)
            if finding is None:
                verify()
            else:
                self._findings[key] = finding

        if verification.lent:
            self._board(verification.registry, verification.confirm, confirmed, fail)
        else:
            verify()

    def _identified(self, repository: Repository, then: Callable[[], None], fail: Fail) -> None:
        """Go on once it is known which answers in memory the review's credentials may take over."""
        asker = self._review.asker(self._engine.network, repository)
        if not asker.must_read:
            then()
            return

        def start() -> Future[Read]:
            self._review.deadline.check("reading pull secrets")
            key = ("credentials", repository, self._review.caller.source)
            return self._engine.flights.board(key, repository.registry, lambda: asker.read)[0]

        def take(read: Read) -> None:
            asker.learn(read)
            then()

        self._board(repository.registry, start, take, fail)

    def _board(self, host: str, start: Callable[[], Future[Any]], take: Callable[[Any], None], fail: Fail) -> None:
        self.until = -inf
        self._work.board(host, start, take, fail)

    def _rest_on(self, known: Remembered[Any]) -> None:
        """Note that the verdict rests on something in memory."""
        self.until = min(self.until, known.until)
        self.access = join_access((self.access, known.access))

    def _fail(self, key: Key, error: BaseException) -> None:
        self._findings[key] = self._failed(key[0], error)

    def _view(self, name: str, image: Image) -> Image:
        """Return an image as an authenticator sees it: as written, unless it looks at tags."""
        assert self._written is not None  # noqa: S101 - for the type checker: called once the digest is known
        return image if self._depends_on_tag(name) else self._written

    def _depends_on_tag(self, name: str) -> bool:
        check = self._review.policies.checks.get(name)
        return check is not None and not isinstance(check, SealgateError) and check.depends_on_tag

    def _failed(self, name: str, error: BaseException | None) -> Finding:
        self.until = -inf
        check = self._review.policies.checks.get(name)
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
        return failed(name, form, error, self._engine.observer)


def _needed(matched: Sequence[Match]) -> list[str]:
    """Return the authenticators that policies name, each once."""
    return list(dict.fromkeys(name for match in matched for name in match.policy.authenticators))
