"""Endpoints for AdmissionReviews, independent of the server that they are called by.

A request that is not an answerable AdmissionReview gets a plain 4xx response. As soon as a review's uid is known, every
outcome is a response to it with HTTP 200: an unexpected exception becomes a denial and a line in the log, never a 500,
which `failurePolicy: Ignore` would admit.

The Flask application (`app`) and the front (`front`) answer by the same functions, so that a review gets the same
response, metrics and log line on both ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealgate.clocks import Deadline
from sealgate.messages import quote
from sealgate.verification.from_memory import NotInMemoryError
from sealgate_webhook.admission.outcome import AdmissionHandler, AdmissionOutcome, identify
from sealgate_webhook.reviews.request import MalformedReviewError, decode_review
from sealgate_webhook.reviews.response import ALLOWED, deny, encode_response
from sealgate_webhook.server.decision_log import decision_fields
from sealgate_webhook.server.heads import BUSY, RETRY_SECONDS, RefusedRequestError
from sealgate_webhook.server.timeouts import answer_within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client.context_managers import InprogressTracker
    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.workloads.kinds import WorkloadKinds
    from sealgate_webhook.admission.steps import InSteps
    from sealgate_webhook.counters import PolicyCounters
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.reviews.request import AdmissionRequest, UnusableReviewError
    from sealgate_webhook.server.callers import PermittedCallers
    from sealgate_webhook.server.heads import ReviewHead

#: The most images in the log line of a review.
MAX_LOGGED_IMAGES: Final = 20


class AdmissionEndpoint:
    """The AdmissionReviews of one path. Thread-safe.

    Args:
        name: name of the endpoint in metrics and logs.
        handler: decides about a request; it may wait.
        from_memory: decides in the same way without waiting, or raises `NotInMemoryError`; None where there is no such
            way.
        in_steps: decides in the same way in an event loop; None where there is no such way.
        kinds: the kinds whose images the handler needs; None for policy objects.
        denies: whether a review that fails is denied; otherwise it is admitted, for a later endpoint to deny.
        decided: called for every decision about a request; None for no callback.
        counters: counts verdicts by policy; None for no counting.
        callers: callers whose reviews are answered; None for all callers.
        self_test: whether the self-test's certificate is accepted. The response must not depend on the review, and is
            no decision: it has no id.
        timeout: timeout of the webhook configuration, in seconds; the URL can shorten it.
        clock: measures deadlines.
        metrics: counts reviews.
        log: gets a line for every review.
    """

    def __init__(  # noqa: PLR0913 - what every endpoint of the webhook needs
        self,
        name: str,
        handler: AdmissionHandler,
        from_memory: AdmissionHandler | None = None,
        in_steps: InSteps | None = None,
        *,
        kinds: WorkloadKinds | None,
        denies: bool,
        timeout: float,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
        decided: Callable[[AdmissionRequest, AdmissionOutcome], None] | None = None,
        counters: PolicyCounters | None = None,
        callers: PermittedCallers | None = None,
        self_test: bool = False,
    ) -> None:
        self._name = name
        self._handler = handler
        self._from_memory = from_memory
        self._in_steps = in_steps
        self._kinds = kinds
        self._denies = denies
        self._timeout = timeout
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._decided = decided
        self._counters = counters
        self._callers = callers
        self._self_test = self_test

    def in_progress(self) -> InprogressTracker:
        """Return a context manager that counts a review as in progress meanwhile."""
        return self._metrics.in_flight.track_inprogress()

    def accept(self, head: ReviewHead) -> tuple[int, Deadline]:
        """Check the head of a request; return its Content-Length, -1 if that is not known, and its deadline.

        Raises:
            RefusedRequestError: the request is not answered.
        """
        if self._callers is not None:
            refusal = self._callers.refusal(head.caller, self_test=self._self_test)
            if refusal:
                raise RefusedRequestError(403, refusal, outcome="forbidden")
        return head.check(), Deadline(self._clock, head.arrived + answer_within(head.query, self._timeout))

    def refuse(self, error: RefusedRequestError, arrived: float) -> bytes:
        """Count and log a request that is not answered; return the body of its response."""
        self._metrics.reviewed(self._name, error.outcome, self._clock.monotonic() - arrived)
        if error.outcome == BUSY:
            self._metrics.review_refused("bodies")
        self._log.warning(f"{error.outcome} review", endpoint=self._name, status=error.line, problem=error.text)
        return f"{error.text}\n".encode()

    def decode(self, body: bytes) -> AdmissionRequest:
        """Return the request in a body.

        Raises:
            RefusedRequestError: it is not an answerable review.
            UnusableReviewError: it can be answered, but not understood; see `answer_unusable`.
        """
        try:
            return decode_review(body, self._kinds)
        except MalformedReviewError as error:
            raise RefusedRequestError(400, error.message) from error

    def answer(self, request: AdmissionRequest, deadline: Deadline, arrived: float) -> bytes:
        """Return the response to a request; may wait until the deadline.

        Args:
            request: the request.
            deadline: by when the response must be on its way.
            arrived: when it arrived, on the clock's `monotonic`.
        """
        return self._answer(self._handler, request, deadline, arrived)

    def answer_from_memory(self, request: AdmissionRequest, deadline: Deadline, arrived: float) -> bytes | None:
        """Return the response to a request, the same as `answer` has; None if that may have to wait.

        Args:
            request: the request.
            deadline: by when the response must be on its way.
            arrived: when it arrived, on the clock's `monotonic`.
        """
        return self._try(self._from_memory, request, deadline, arrived)

    def answer_from_verdicts(self, request: AdmissionRequest, deadline: Deadline, arrived: float) -> bytes | None:
        """Return the response to a request, the same as `answer` has; None if a verdict is not cached.

        Where there is no way in steps, it is that of `answer_from_memory`. See `answer` for the arguments.
        """
        handler = self._from_memory if self._in_steps is None else self._in_steps.cached
        return self._try(handler, request, deadline, arrived)

    @property
    def has_steps(self) -> bool:
        """Whether there is a way in steps."""
        return self._in_steps is not None

    async def answer_in_steps(self, request: AdmissionRequest, deadline: Deadline, arrived: float) -> bytes | None:
        """Return the response to a request, the same as `answer` has; None if a thread must wait for it.

        The event loop goes on while the request waits. See `answer` for the arguments.
        """
        if self._in_steps is None:
            return None
        with self._in_steps.steps() as steps:
            answer = self._try(steps.decide, request, deadline, arrived)
            if answer is None and steps.waiting:
                await steps.wait(deadline)
                answer = self._try(steps.decide, request, deadline, arrived)
            return answer

    def answer_unusable(self, error: UnusableReviewError, arrived: float) -> bytes:
        """Return the response to a review that cannot be understood."""
        outcome = identify(self._failed(error.message, "unusable review"))
        self._record(outcome, {"uid": quote(error.uid), **decision_fields(outcome)}, arrived)
        return encode_response(error.uid, outcome.response)

    def answer_busy(self, request: AdmissionRequest, arrived: float) -> bytes:
        """Return the response to a review that no thread could take before its deadline."""
        self._metrics.review_refused("threads")
        message = f"the webhook has too many reviews that wait for registries; try again in {RETRY_SECONDS} s"
        outcome = identify(self._failed(message, "too many reviews", unavailable=True))
        return self._respond(request, outcome, encode_response(request.uid, outcome.response), arrived)

    def _try(
        self, handler: AdmissionHandler | None, request: AdmissionRequest, deadline: Deadline, arrived: float
    ) -> bytes | None:
        """Return the response of a handler; None if there is none, or it cannot decide without waiting."""
        if handler is None:
            return None
        try:
            return self._answer(handler, request, deadline, arrived)
        except NotInMemoryError:
            return None

    def _answer(
        self, handler: AdmissionHandler, request: AdmissionRequest, deadline: Deadline, arrived: float
    ) -> bytes:
        try:
            outcome = handler(request, deadline)
            if not self._self_test:
                outcome = identify(outcome)
            answer = encode_response(request.uid, outcome.response)
        except NotInMemoryError:
            raise
        except Exception:  # noqa: BLE001 - the boundary: after any error, the object was not verified
            self._metrics.internal_errors.inc()
            self._log.exception("internal error in a review", uid=quote(request.uid), endpoint=self._name)
            message = "an internal error stopped the review; the webhook's log has it under this request's uid"
            outcome = identify(self._failed(message, "internal error", unavailable=True))
            answer = encode_response(request.uid, outcome.response)
        return self._respond(request, outcome, answer, arrived)

    def _respond(self, request: AdmissionRequest, outcome: AdmissionOutcome, answer: bytes, arrived: float) -> bytes:
        self._metrics.decided(request.namespace, outcome.verdicts)
        if outcome.exceptions and not request.dry_run:
            self._metrics.exceptions.used(outcome.exceptions, request.namespace)
        if self._counters is not None:
            self._counters.decided(outcome.verdicts, dry_run=request.dry_run)
        if not outcome.decision_id:
            self._record(outcome, _describe(request), arrived)
            return answer
        self._record(outcome, _describe(request) | decision_fields(outcome, request), arrived)
        if self._decided is not None:
            self._decided(request, outcome)
        return answer

    def _failed(self, message: str, reason: str, *, unavailable: bool = False) -> AdmissionOutcome:
        return AdmissionOutcome(deny(message, unavailable=unavailable) if self._denies else ALLOWED, reason)

    def _record(self, outcome: AdmissionOutcome, about: Mapping[str, Any], arrived: float) -> None:
        seconds = self._clock.monotonic() - arrived
        result = "patched" if outcome.response.patch else "allowed" if outcome.response.allowed else "denied"
        self._metrics.reviewed(self._name, result, seconds)
        fields: dict[str, Any] = {"endpoint": self._name, **about, "result": result, "reason": outcome.reason}
        if outcome.verdicts:
            now = self._clock.monotonic()
            fields["images"] = [_describe_verdict(verdict, now) for verdict in outcome.verdicts[:MAX_LOGGED_IMAGES]]
            fields["image_count"] = len(outcome.verdicts)
        if outcome.stale_tags:
            fields["stale_tags"] = [quote(image) for image in outcome.stale_tags[:MAX_LOGGED_IMAGES]]
        self._log.info("review", **fields, duration_seconds=round(seconds, 5))


def _describe(request: AdmissionRequest) -> dict[str, str]:
    about = {
        "uid": request.uid,
        "operation": request.operation,
        "kind": f"{request.group}/{request.kind}" if request.group else request.kind,
        "namespace": request.namespace,
        "name": request.name,
    }
    if request.subresource:
        about["subresource"] = request.subresource
    return {key: quote(value) for key, value in about.items()}


def _describe_verdict(verdict: ImageVerdict, now: float) -> dict[str, Any]:
    about: dict[str, Any] = {
        "image": quote(verdict.image),
        "verdict": verdict.verdict.value,
        "reason": verdict.reason.value,
    }
    if verdict.subject is not None:
        about["digest"] = verdict.subject
    if verdict.exception is not None:
        about["exception"] = verdict.exception.name
    if verdict.stale_since is not None:
        about["stale_seconds"] = round(now - verdict.stale_since)
    return about
