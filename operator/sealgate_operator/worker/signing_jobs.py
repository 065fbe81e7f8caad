"""Jobs of the agenda: one image each, because of a push, of a resync or of a run."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.signing_status import SigningRequestStatus, has_ended, request_status
from sealgate.clocks import timestamp
from sealgate.errors import RateLimitedError, UnavailableError
from sealgate.formats.signing import SigningOutcome
from sealgate.kubernetes.lease import NotLeadingError
from sealgate.messages import quote
from sealgate_operator.controller.resources import SIGNING_REQUEST
from sealgate_operator.worker.agenda import Job, Outcome, Source
from sealgate_operator.worker.image_signer import MovedError
from sealgate_operator.worker.requests import (
    DroppedError,
    NotYetError,
    check_request,
    parse_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.references import Digest
    from sealgate.signing.discovery import CoveredTag
    from sealgate_operator.controller.store import Object, ObjectStore
    from sealgate_operator.worker.agenda import Agenda
    from sealgate_operator.worker.attempts import Attempts
    from sealgate_operator.worker.image_signer import ImageSigner
    from sealgate_operator.worker.metrics import WorkerMetrics
    from sealgate_operator.worker.policy_states import OpenPolicy, PolicyState
    from sealgate_operator.worker.rates import Rates
    from sealgate_operator.worker.requests import Ending, Request
    from sealgate_operator.worker.run_progress import Result
    from sealgate_operator.worker.status_writer import StatusWriter

#: Seconds after which an attempt is repeated, the first and the longest time.
FIRST_RETRY, LONGEST_RETRY = 1.0, 300.0
#: How often a resync or a run tries an image.
ATTEMPTS = 4
#: How often a request is tried that only its own image fails; about an hour.
REQUEST_ATTEMPTS = 20
#: Seconds after a push within which its tag may still name another digest, or nothing: a registry of the distribution
#: project announces a manifest before it sets the tag.
TAG_SECONDS = 30.0
_MAX_MESSAGE = 4096


class SigningJobs:
    """Makes jobs and does them. Thread-safe.

    Args:
        agenda: where jobs wait.
        signer: knows what only one job may write to.
        attempts: sign images.
        store: cache of the objects.
        policies: the policies by UID.
        policy_uid: returns the UID of the policy of a name as the API server has it now; empty if there is none.
        writer: writes statuses of requests.
        rates: of the policies.
        clock: source of the time.
        metrics: counts outcomes.
        log: gets a line for every signature and failure.
    """

    def __init__(  # noqa: PLR0913 - what it is assembled from
        self,
        *,
        agenda: Agenda,
        signer: ImageSigner,
        attempts: Attempts,
        store: ObjectStore,
        policies: Mapping[str, PolicyState],
        policy_uid: Callable[[str], str],
        writer: StatusWriter,
        rates: Rates,
        clock: Clock,
        metrics: WorkerMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._agenda = agenda
        self._signer = signer
        self._attempts = attempts
        self._store = store
        self._policies = policies
        self._policy_uid = policy_uid
        self._writer = writer
        self._rates = rates
        self._clock = clock
        self._metrics = metrics
        self._log = log

    # Requests ------------------------------------------------------------------------------------------------------

    def add_request(self, obj: Object) -> None:
        """Add a SigningRequest, unless it has ended or its policy cannot sign yet."""
        if has_ended(obj):
            return
        name = obj["metadata"]["name"]
        lane, host, uid = name, "", ""
        try:
            request = parse_request(obj)
            policy = self._policies.get(request.spec.policy.uid)
            if policy is not None:
                lane = self._lane(request, check_request(request, policy))
                host, uid = request.repository.registry, policy.uid
        except NotYetError:
            return  # its policy adds it when it is ready
        except DroppedError:
            pass  # a worker writes that into its status
        work = partial(self._work_on, name, uid, lane)
        self._agenda.add(Job(Source.REQUEST, ("request", name), uid, host, lane, work))

    def _lane(self, request: Request, opened: OpenPolicy) -> str:
        return self._signer.lane(opened, request.repository, request.spec.tag, request.digest)

    def _work_on(self, name: str, uid: str, lane: str) -> Outcome:
        obj = self._store.get(SIGNING_REQUEST, name)
        if obj is None or has_ended(obj):
            self._rates.give_back(uid)
            return Outcome()
        try:
            return self._sign_request(obj, uid, lane)
        except NotYetError:
            self._rates.give_back(uid)
            return Outcome()
        except UnavailableError as error:
            # The API server did not take the status; what was signed is found signed the next time.
            self._log.warning("signing request not updated; will retry", request=name, error=error.message)
            return Outcome(retry_after=FIRST_RETRY)

    def _sign_request(self, obj: Object, uid: str, lane: str) -> Outcome:
        try:
            request = parse_request(obj)
            policy = self._policy_of(request)
            opened = check_request(request, policy)
            if (uid, lane) != (policy.uid, self._lane(request, opened)):
                # Added before its policy was known or changed: without the lane and the rate that it has now, two
                # jobs would write to one repository at a time.
                self._rates.give_back(uid)
                self.add_request(obj)
                return Outcome()
            return self._attempt_request(obj, request, policy, opened)
        except DroppedError as error:
            self._rates.give_back(uid)
            self._drop(obj, error)
            return Outcome()

    def _policy_of(self, request: Request) -> PolicyState:
        """Return the policy of a request.

        Raises:
            DroppedError: there is none any more.
            NotYetError: it was made just now, and has not been opened yet.
            UnavailableError: the API server could not be asked.
        """
        wanted = request.spec.policy
        known = self._policies.get(wanted.uid)
        if known is not None:
            return known
        # The cache may not have it yet.
        if self._policy_uid(wanted.name) != wanted.uid:
            raise DroppedError(f"the SigningPolicy {quote(wanted.name)} that accepted it is gone")
        raise NotYetError(f"the SigningPolicy {quote(wanted.name)} has not been opened yet")

    def _attempt_request(self, obj: Object, request: Request, policy: PolicyState, opened: OpenPolicy) -> Outcome:
        try:
            attempt = self._attempts.attempt(policy, opened, request.repository, request.spec.tag, request.digest)
        except NotLeadingError:
            return Outcome(retry_after=FIRST_RETRY)
        except MovedError as error:
            age = abs(request.age(self._clock.now()))
            if age > TAG_SECONDS:
                raise DroppedError(error.message) from error
            # Asked again after as long as it has waited, so that this costs a handful of requests.
            self._rates.give_back(policy.uid)
            return Outcome(retry_after=max(FIRST_RETRY, age))
        except UnavailableError as error:
            return self._wait(obj, request, policy, error)
        if attempt.error is not None:
            self._end(obj, "Failed", attempt.error.message)
        elif attempt.result is not None:
            signed = attempt.result.outcome is SigningOutcome.SIGNED
            self._end(obj, "Signed" if signed else "AlreadySigned", attempt.result.location)
        return Outcome()

    def _wait(self, obj: Object, request: Request, policy: PolicyState, error: UnavailableError) -> Outcome:
        alone = self._attempts.concerns_one_image(policy, request.repository.registry, error)
        status = request_status(obj)
        attempts = status.attempts + 1 if status.state == "Waiting" else 1
        seconds = min(FIRST_RETRY * 2 ** min(attempts - 1, 16), LONGEST_RETRY)
        if isinstance(error, RateLimitedError):
            seconds = max(seconds, error.retry_after)
        image = f"{request.repository.name}:{request.spec.tag}"
        if alone and attempts >= REQUEST_ATTEMPTS:
            self._attempts.fail(policy, image, error)
            self._end(obj, "Failed", error.message)
            return Outcome()
        self._metrics.retried(policy.name)
        policy.note_failure(image, error.message, self._writer.now())
        retry_at = timestamp(self._clock.now() + timedelta(seconds=seconds))
        waiting = SigningRequestStatus(message=error.message[:_MAX_MESSAGE], attempts=attempts, retry_at=retry_at)
        self._writer.write_request(obj, waiting)
        return Outcome(retry_after=seconds, answered=alone)

    def _drop(self, obj: Object, error: DroppedError) -> None:
        spec = obj.get("spec") or {}
        policy = self._policies.get(str((spec.get("policy") or {}).get("uid")))
        self._end(obj, error.state, error.message)
        name = "" if policy is None else policy.name
        if policy is not None:
            self._metrics.ended(policy.name, error.state.lower())
            if error.state == "Undecided":
                policy.note_undecided(f"{spec['repository']}:{spec['tag']}")
        self._log.info(
            "signing request dropped",
            policy=name,
            request=obj["metadata"]["name"],
            state=error.state,
            why=error.message,
        )

    def _end(self, obj: Object, state: Ending, message: str) -> None:
        now = self._writer.now()
        accepted = (obj.get("spec") or {}).get("acceptedAt")
        attempts = request_status(obj).attempts + 1
        status = SigningRequestStatus(
            state=state, message=message[:_MAX_MESSAGE], attempts=attempts, accepted_at=accepted, ended_at=now
        )
        self._writer.write_request(obj, status)

    # Resyncs and runs ----------------------------------------------------------------------------------------------

    def add_tag(
        self,
        source: Source,
        policy: PolicyState,
        opened: OpenPolicy,
        tag: CoveredTag,
        digest: Digest,
        ended: Callable[[Result], None],
    ) -> None:
        """Add a tag that a resync or a run found.

        Args:
            source: which of both.
            policy: covers it.
            opened: the same as it was when the tag was found.
            tag: the tag.
            digest: what it named then.
            ended: called with the result, in a worker's thread.
        """
        attempts = iter(range(1, ATTEMPTS + 1))

        def work() -> Outcome:
            number = next(attempts, ATTEMPTS)
            outcome, result = self._attempt_tag(policy, opened, tag, digest, last=number == ATTEMPTS)
            if result is not None:
                ended(result)
            return outcome

        lane = self._signer.lane(opened, tag.repository, tag.tag, digest)
        key = (source, policy.uid, tag.name, tag.tag)
        self._agenda.add(Job(source, key, policy.uid, tag.repository.registry, lane, work))

    def _attempt_tag(
        self, policy: PolicyState, opened: OpenPolicy, tag: CoveredTag, digest: Digest, *, last: bool
    ) -> tuple[Outcome, Result | None]:
        try:
            _check_unchanged(policy, opened)
            attempt = self._attempts.attempt(policy, opened, tag.repository, tag.tag, digest)
        except MovedError:
            # Its push event, or the next resync, has the new digest.
            self._rates.give_back(policy.uid)
            return Outcome(), "failed"
        except NotLeadingError:
            return Outcome(retry_after=FIRST_RETRY), None
        except UnavailableError as error:
            alone = self._attempts.concerns_one_image(policy, tag.repository.registry, error)
            if not last:
                self._metrics.retried(policy.name)
                return Outcome(retry_after=FIRST_RETRY, answered=alone), None
            self._attempts.fail(policy, str(tag.reference), error)
            return Outcome(answered=alone), "failed"
        if attempt.result is None:
            return Outcome(), "failed"
        signed = attempt.result.outcome is SigningOutcome.SIGNED
        return Outcome(), "signed" if signed else "already_signed"


def _check_unchanged(policy: PolicyState, opened: OpenPolicy) -> None:
    """Return if a policy still is as it was when an image was found.

    Raises:
        MovedError: it is not; the search that found the image is cancelled too, and begins again.
    """
    if not policy.says(opened):
        raise MovedError("the policy changed")
