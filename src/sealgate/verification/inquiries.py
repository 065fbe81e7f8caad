"""One image's way from reference to verdict, as a review follows it."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from sealgate.decisions import decide, refuse_reference
from sealgate.errors import DeadlineError, InvalidReferenceError, Reason, SealgateError, UnavailableError
from sealgate.formats.interface import Image
from sealgate.references import parse_reference
from sealgate.registry.callers import OPEN, join_access
from sealgate.verification.resolutions import Resolution
from sealgate.verification.verifications import Verification, failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from sealgate.decisions import ImageVerdict
    from sealgate.findings import Finding
    from sealgate.policies.matching import Match
    from sealgate.references import Digest, Reference, Repository
    from sealgate.verification.askers import Read
    from sealgate.verification.caches import Remembered
    from sealgate.verification.engines import Engine
    from sealgate.verification.pending import PendingWork
    from sealgate.verification.reviews import Review

    Fail = Callable[[BaseException], None]


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
        self._digest: Digest | None = None
        self._findings: dict[str, Finding] = {}
        self._matched: tuple[Match, ...] = ()
        self._reference: Reference | None = None
        self._invalid: InvalidReferenceError | None = None
        self._start()

    def verdict(self) -> ImageVerdict:
        """Return the verdict; whatever is still under way counts as *unavailable*."""
        if self._invalid is not None:
            return refuse_reference(self.image, self._invalid)
        late = DeadlineError("ran out of time before the signatures were verified; try again")
        results = [
            (match, [self._findings.get(name) or self._failed(name, late) for name in match.policy.authenticators])
            for match in self._matched
        ]
        return decide(self.image, self._reference, self._digest, results, self._review.policies.unmatched)

    def _start(self) -> None:
        try:
            self._reference = parse_reference(self.image)
        except InvalidReferenceError as error:
            self._invalid = error
            self.until = -inf
            return
        self._matched = self._review.policies.index.match(self._reference, self._review.namespace)
        if not self._needed():
            self._digest = self._reference.digest
            return
        resolution = Resolution(self._engine, self._review, self._reference)
        known = resolution.known()
        if known is not None:
            self._rest_on(known)
            self._resolved(known.value)
            return
        repository = self._reference.repository
        self._identified(
            repository,
            lambda: self._board(repository.registry, resolution.start, self._resolved, self._unresolved),
            self._unresolved,
        )

    def _resolved(self, digest: Digest) -> None:
        assert self._reference is not None  # noqa: S101 - for the type checker: _start has set it
        self._digest = digest
        image = Image(self._reference, digest)
        for name in self._needed():
            self._ask(name, image)

    def _unresolved(self, error: BaseException) -> None:
        for name in self._needed():
            self._findings[name] = self._failed(name, error)

    def _ask(self, name: str, image: Image) -> None:
        check = self._review.policies.checks.get(name)
        if check is None or isinstance(check, SealgateError):
            self._findings[name] = self._failed(name, check)
            return
        verification = Verification(self._engine, self._review, name, check, image)
        known = verification.known()
        if known is not None:
            self._rest_on(known)
            self._findings[name] = known.value
            return
        fail = partial(self._fail, name)
        self._identified(image.reference.repository, lambda: self._borrow(name, verification, fail), fail)

    def _borrow(self, name: str, verification: Verification, fail: Fail) -> None:
        """Take over another caller's finding if there is one and the registry lets this caller, else verify."""

        def verify() -> None:
            self._board(verification.host, verification.start, partial(self._findings.__setitem__, name), fail)

        def confirmed(read: Read | None) -> None:
            finding = verification.borrow(read)
            if finding is None:
                verify()
            else:
                self._findings[name] = finding

        if verification.lent:
            self._board(verification.registry, verification.confirm, confirmed, fail)
        else:
            verify()

    def _identified(self, repository: Repository, then: Callable[[], None], fail: Fail) -> None:
        """Go on once it is known which answers in memory the review's credentials may take over."""
        asker = self._review.asker(self._engine, repository)
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

    def _fail(self, name: str, error: BaseException) -> None:
        self._findings[name] = self._failed(name, error)

    def _needed(self) -> list[str]:
        return list(dict.fromkeys(name for match in self._matched for name in match.policy.authenticators))

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
