"""One authenticator asked about one image: from memory, or by its check in a worker.

There is one place where any exception becomes a finding, `Verification._find`, and nothing it returns says *verified*
unless the check returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.clocks import Deadline
from sealgate.errors import Reason, SealgateError, UnavailableError, VerificationError
from sealgate.findings import Finding, Outcome
from sealgate.formats.interface import Image, Sources
from sealgate.verification.caches import FindingKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from sealgate.formats.interface import Check
    from sealgate.verification.caches import Remembered
    from sealgate.verification.engines import Engine
    from sealgate.verification.observers import VerifierObserver
    from sealgate.verification.reviews import Review


class Verification:
    """One authenticator asked about one image."""

    def __init__(self, engine: Engine, review: Review, name: str, check: Check, image: Image) -> None:
        self._engine = engine
        self._name = name
        self._check = check
        self._image = image
        self._review = review
        self.host = check.budget_host(image)
        self._key = FindingKey(
            f"{name}:{check.content}",
            image.reference.name,
            image.digest,
            image.reference.effective_tag if check.depends_on_tag else None,
            review.credentials.scope,
        )

    def known(self) -> Remembered[Finding] | None:
        """Return the finding if it is in memory."""
        finding = self._remembered()
        if finding is None:
            self._engine.observer.cache_miss("finding")
        else:
            self._engine.observer.cache_hit("finding")
        return finding

    def start(self) -> Future[Finding]:
        """Return the flight that makes the finding.

        Raises:
            UnavailableError: it cannot be started, or not before the deadline.
        """
        self._review.deadline.check(f"verifying {self._image.reference}")
        flight, joined = self._engine.flights.board(self._key, self.host, self._prepare)
        if joined:
            self._engine.observer.joined("finding")
        return flight

    def _remembered(self) -> Remembered[Finding] | None:
        findings = self._engine.findings
        return findings.get(self._key._replace(scope=None)) or findings.get(self._key)

    def _prepare(self) -> Callable[[], Finding]:
        engine = self._engine
        # Between the caller's look and now another flight may have landed.
        known = self._remembered()
        if known is not None:
            return lambda: known.value
        try:
            delay = engine.budgets.reserve(self.host, self._review.deadline)
        except UnavailableError:
            engine.observer.rate_limited(self.host)
            raise
        engine.observer.budget_wait(self.host, delay)
        due = engine.clock.monotonic() + delay
        return lambda: self._run(due)

    def _run(self, due: float) -> Finding:
        engine = self._engine
        delay = due - engine.clock.monotonic()
        if delay > 0:
            engine.clock.sleep(delay)
        began = engine.clock.monotonic()
        finding = self._find()
        if finding.outcome is Outcome.VERIFIED:
            engine.findings.put(self._key._replace(scope=None), finding)
        elif finding.outcome is Outcome.REFUSED:
            engine.findings.put(self._key, finding)
        engine.observer.verification(finding, engine.clock.monotonic() - began)
        return finding

    def _find(self) -> Finding:
        engine = self._engine
        deadline = Deadline.after(engine.clock, engine.settings.verification_seconds)
        try:
            sources = Sources(
                registry=self._review.session(engine, deadline),
                services=engine.network.services(deadline),
                clock=engine.clock,
                deadline=deadline,
                state=engine.state,
                secrets=self._review.policies.secrets,
            )
            verified = self._check.verify(self._image, sources)
        except Exception as error:  # noqa: BLE001 - the one place where anything raised becomes "not verified"
            return failed(self._name, self._check.format, error, engine.observer)
        return Finding(
            self._name,
            self._check.format,
            Outcome.VERIFIED,
            Reason.VERIFIED,
            f"signed by {', '.join(verified.fingerprints)}",
            verified.fingerprints,
            verified.signatures,
        )


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
