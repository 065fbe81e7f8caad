"""One attempt to sign an image: its result is counted, logged and reported, and checked again where that is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.errors import (
    ConflictError,
    NotFoundError,
    RateLimitedError,
    SealgateError,
    UnauthorizedError,
    UnavailableError,
)
from sealgate.formats.signing import SigningOutcome
from sealgate.messages import quote
from sealgate_operator.controller.resources import SIGNING_POLICY
from sealgate_operator.status.conditions import ConditionUpdate
from sealgate_operator.worker.agenda import Job, Outcome, Source
from sealgate_operator.worker.image_signer import MovedError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.formats.signing import SigningResult
    from sealgate.references import Digest, Repository
    from sealgate_operator.controller.store import ObjectStore
    from sealgate_operator.events import Events
    from sealgate_operator.worker.agenda import Agenda
    from sealgate_operator.worker.image_signer import ImageSigner
    from sealgate_operator.worker.metrics import WorkerMetrics
    from sealgate_operator.worker.policy_states import OpenPolicy, PolicyState
    from sealgate_operator.worker.rates import Rates
    from sealgate_operator.worker.status_writer import StatusWriter

#: Seconds after which a signature that another writer may have replaced is checked again.
RECHECK_SECONDS = 3.0
#: Seconds after which a success no longer shows that credentials and services work; a resync checks every image sooner.
RECENT_SECONDS = 900.0
#: Kubernetes Events about failures of one policy in a minute.
_EVENTS_PER_MINUTE, _EVENTS_BURST = 6.0, 6


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign that ended: with a result, or with an error that trying again does not change.

    Attributes:
        result: the signature that is there; None if there is none.
        error: why there is none.
    """

    result: SigningResult | None = None
    error: SealgateError | None = None


class Attempts:
    """Signs images and reports what became of it. Thread-safe.

    Args:
        agenda: where a second check waits.
        signer: signs images.
        store: cache of the objects.
        writer: source of timestamps.
        rates: of the policies.
        events: gets warnings about failures.
        clock: source of the time.
        metrics: counts outcomes.
        log: gets a line for every signature and failure.
    """

    def __init__(  # noqa: PLR0913 - what it is assembled from
        self,
        *,
        agenda: Agenda,
        signer: ImageSigner,
        store: ObjectStore,
        writer: StatusWriter,
        rates: Rates,
        events: Events,
        clock: Clock,
        metrics: WorkerMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._agenda = agenda
        self._signer = signer
        self._store = store
        self._writer = writer
        self._rates = rates
        self._events = events
        self._event_budget = Budgets(_EVENTS_PER_MINUTE, _EVENTS_BURST, clock)
        self._clock = clock
        self._metrics = metrics
        self._log = log
        #: When an image was last found signed or signed, by policy and registry.
        self._succeeded: dict[tuple[str, str], float] = {}

    def concerns_one_image(self, policy: PolicyState, registry: str, error: UnavailableError) -> bool:
        """Return whether an image is refused while others of its policy in its registry are signed.

        Who may push to a repository can make that last: other images do not wait for it, and it is not tried for ever.
        Where nothing is signed, credentials or services may be at fault, which their owners will mend.

        Args:
            policy: covers it.
            registry: its registry.
            error: why it is not signed.
        """
        refused = isinstance(error, (NotFoundError, UnauthorizedError)) or isinstance(error.__cause__, ConflictError)
        last = self._succeeded.get((policy.uid, registry), float("-inf"))
        return refused and self._clock.monotonic() - last < RECENT_SECONDS

    def attempt(
        self, policy: PolicyState, opened: OpenPolicy, repository: Repository, tag: str, digest: Digest
    ) -> Attempt:
        """Sign an image, count and log that.

        Args:
            policy: covers it.
            opened: how it signs.
            repository: of the image.
            tag: that must name the digest.
            digest: what is signed.

        Raises:
            MovedError: the tag names another digest, or is gone.
            UnavailableError: it is to be tried again (and its subclasses).
        """
        image = f"{repository.name}:{tag}"
        try:
            result = self._signer.sign(opened, repository, tag, digest)
        except (MovedError, UnavailableError):
            raise
        except ConflictError as error:
            raise UnavailableError(error.message) from error
        except SealgateError as error:
            self.fail(policy, image, error)
            return Attempt(error=error)
        except Exception as error:
            self._log.error("signing failed unexpectedly; will retry", policy=policy.name, image=image, exc_info=error)
            raise UnavailableError("an unexpected error; see the log of the signing worker") from error
        self._succeeded[policy.uid, repository.registry] = self._clock.monotonic()
        self._signed(policy, opened, repository, tag, digest, result)
        return Attempt(result)

    def _signed(  # noqa: PLR0913, PLR0917 - what was signed, and with which result
        self,
        policy: PolicyState,
        opened: OpenPolicy,
        repository: Repository,
        tag: str,
        digest: Digest,
        result: SigningResult,
    ) -> None:
        if result.outcome is SigningOutcome.ALREADY_SIGNED:
            self._rates.give_back(policy.uid)
            self._metrics.ended(policy.name, "already_signed")
            policy.count(already_signed=1)
            return
        self._metrics.ended(policy.name, "signed")
        policy.count(signed=1)
        self._log.info(
            "image signed",
            policy=policy.name,
            image=quote(f"{repository.name}:{tag}"),
            digest=digest,
            fingerprint=result.fingerprint,
            location=result.location,
        )
        if result.repairs:
            self._metrics.readded(policy.name, result.repairs)
        if result.contested:
            self._recheck(policy, opened, repository, tag, digest)

    def _recheck(
        self, policy: PolicyState, opened: OpenPolicy, repository: Repository, tag: str, digest: Digest
    ) -> None:
        """Look for a signature once more some seconds later: another writer may have dropped it."""

        def work() -> Outcome:
            if not policy.says(opened):
                self._rates.give_back(policy.uid)
                return Outcome()
            try:
                again = self._signer.sign(opened, repository, tag, digest)
            except (MovedError, SealgateError) as error:
                self._log.warning("signature not checked again", policy=policy.name, error=error.message)
                return Outcome()
            if again.outcome is SigningOutcome.SIGNED:
                self._metrics.readded(policy.name, 1)
                self._log.warning("signature was dropped by another writer; added again", policy=policy.name)
            else:
                self._rates.give_back(policy.uid)
            return Outcome()

        key = ("recheck", policy.uid, repository.name, tag, digest)
        lane = self._signer.lane(opened, repository, tag, digest)
        self._agenda.add(Job(Source.REQUEST, key, policy.uid, repository.registry, lane, work), RECHECK_SECONDS)

    def fail(self, policy: PolicyState, image: str, error: SealgateError) -> None:
        """Count, log and report that an image was not signed.

        Args:
            policy: covers it.
            image: `registry/path:tag`.
            error: why.
        """
        self._metrics.ended(policy.name, "failed")
        policy.count(failed=1)
        policy.note_failure(image, error.message, self._writer.now())
        self._log.warning("image not signed", policy=policy.name, image=quote(image), error=error.message)
        obj = self._store.get(SIGNING_POLICY, policy.name)
        try:
            self._event_budget.reserve(policy.uid, Deadline.after(self._clock, 0))
        except RateLimitedError:
            return  # the status and the log have it
        if obj is not None:
            message = f"{quote(image)}: {error.message}"
            self._events.warn(obj, ConditionUpdate("Signed", False, "SigningFailed", message))
