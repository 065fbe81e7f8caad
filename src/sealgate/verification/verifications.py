"""One authenticator asked about one image: from memory, or by its check in a worker.

What another caller's credentials found is taken over only after the registry gave the manifest to this caller too.

There is one place where any exception becomes a finding, `Verification._find`, and nothing it returns says *verified*
unless the check returned.
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
    from sealgate.verification.askers import Read
    from sealgate.verification.caches import Remembered
    from sealgate.verification.context import Engine
    from sealgate.verification.observers import VerifierObserver
    from sealgate.verification.requests import Review


class Landed(NamedTuple):
    """What a flight brings.

    Attributes:
        finding: the finding.
        access: whose credentials it rests on; None if it rests on no answer of a registry.
    """

    finding: Finding
    access: Access | None


class Verification:
    """One authenticator asked about one image."""

    def __init__(self, engine: Engine, review: Review, name: str, check: Check, image: Image) -> None:
        self._engine = engine
        self._name = name
        self._check = check
        self._image = image
        self._review = review
        self.host = check.budget_host(image)
        self.registry = image.reference.repository.registry
        self._asker = review.asker(engine.network, image.reference.repository)
        #: Whether it waits for the flight of another caller, who is the same at the image's registry.
        self._by_identity = False
        self._key = FindingKey(
            name,
            check.content,
            image.reference.name,
            image.digest,
            image.reference.effective_tag if check.depends_on_tag else None,
        )

    def known(self) -> Remembered[Finding] | None:
        """Return the finding if it is in memory."""
        finding = self._engine.findings.get(self._key, self._asker)
        if finding is None:
            self._engine.observer.cache_miss("finding")
        else:
            self._engine.observer.cache_hit("finding")
        return finding

    def start(self) -> Future[Landed]:
        """Return the flight that makes the finding; what it brings is this caller's if `may_take` says so.

        Raises:
            UnavailableError: it cannot be started, or not before the deadline.
        """
        by_identity = self._asker.holder is not None
        flight, joined = self._board(self._asker.key)
        self._by_identity = joined and by_identity
        return flight

    def may_take(self, landed: Landed) -> bool:
        """Return whether what the flight of `start` has brought is for this caller too.

        Callers join a flight by their identity at the image's registry. A check may have read elsewhere, such as in a
        repository of signatures, where they are not the same.
        """
        return not self._by_identity or landed.access is None or self._asker.has(landed.access)

    def start_apart(self) -> Future[Landed]:
        """Return a flight that only callers with the same source of credentials join.

        Raises:
            UnavailableError: it cannot be started, or not before the deadline.
        """
        return self._board(self._review.caller.source)[0]

    def _board(self, who: Hashable) -> tuple[Future[Landed], bool]:
        self._review.deadline.check(f"verifying {self._image.reference}")
        flight, joined = self._engine.flights.board((self._key, who), self.host, self._prepare)
        if joined:
            self._engine.observer.joined("finding")
        return flight, joined

    @property
    def lent(self) -> bool:
        """Whether another caller's finding will do, if the registry gives the manifest to this caller too."""
        return self._engine.findings.lends(self._key, self._asker)

    def confirm(self) -> Future[Read | None]:
        """Return the flight that asks the registry for the manifest, to be passed to `borrow`.

        Raises:
            UnavailableError: it cannot be started before the deadline.
        """
        repository = self._image.reference.repository
        self._review.deadline.check(f"verifying {self._image.reference}")
        key = ("confirm", repository, self._image.digest, self._asker.key)
        return self._engine.flights.board(key, repository.registry, lambda: self._confirm)[0]

    def borrow(self, confirmed: Read | None) -> Finding | None:
        """Return another caller's finding if the registry gave the manifest; None if the caller needs one of its own.

        Args:
            confirmed: what `confirm` gave.
        """
        if confirmed is None:
            return None
        self._asker.learn(confirmed)
        self._engine.findings.grant(self._key, self._asker)
        known = self._engine.findings.get(self._key, self._asker)
        return None if known is None else known.value

    def _confirm(self) -> Read | None:
        engine = self._engine
        deadline = Deadline.after(engine.clock, engine.settings.verification_seconds)
        try:
            engine.session(self._review, deadline).confirm(self._image.reference.repository, self._image.digest)
            return self._asker.read()
        except SealgateError:
            # The caller's own verification follows and says what is wrong, in the words that it has for every caller:
            # nothing in the answer may show that another caller's finding is there.
            return None

    def _prepare(self) -> Callable[[], Landed]:
        engine = self._engine
        # Between the caller's look and now another flight may have landed.
        known = engine.findings.get(self._key, self._asker)
        if known is not None:
            return lambda: Landed(known.value, known.access)
        try:
            delay = engine.budgets.reserve(self.host, self._review.deadline)
        except UnavailableError:
            engine.observer.rate_limited(self.host)
            raise
        engine.observer.budget_wait(self.host, delay)
        due = engine.clock.monotonic() + delay
        return lambda: self._run(due)

    def _run(self, due: float) -> Landed:
        engine = self._engine
        delay = due - engine.clock.monotonic()
        if delay > 0:
            engine.clock.sleep(delay)
        began = engine.clock.monotonic()
        finding, access = self._find()
        if finding.outcome is not Outcome.UNAVAILABLE and access is not None:
            engine.findings.put(self._key, finding, self._asker, access)
        engine.observer.verification(finding, engine.clock.monotonic() - began)
        return Landed(finding, access)

    def _find(self) -> tuple[Finding, Access | None]:
        """Return the finding, and whose credentials it rests on; None if that is not known."""
        engine = self._engine
        deadline = Deadline.after(engine.clock, engine.settings.verification_seconds)
        registry: Registry | None = None
        try:
            registry = engine.session(self._review, deadline)
            sources = Sources(
                registry=registry,
                services=engine.network.services(deadline),
                clock=engine.clock,
                deadline=deadline,
                state=engine.state,
                secrets=self._review.policies.secrets,
            )
            verified = self._check.verify(self._image, sources)
        except Exception as error:  # noqa: BLE001 - the one place where anything raised becomes "not verified"
            finding = failed(self._name, self._check.format, error, engine.observer)
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
    """Return the finding that an exception amounts to: refused or unavailable, never verified.

    Args:
        authenticator: its name.
        form: its format; empty where it is not known.
        error: what was raised; outside sealgate's own tree it is told to the observer and nobody else.
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
