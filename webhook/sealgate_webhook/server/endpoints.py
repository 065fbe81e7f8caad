"""HTTP endpoints for AdmissionReviews.

A request that is not an answerable AdmissionReview gets a plain 4xx response. As soon as a review's uid is known, every
outcome is a response to it with HTTP 200: an unexpected exception becomes a denial and a line in the log, never a 500,
which `failurePolicy: Ignore` would admit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealgate.clocks import Deadline
from sealgate.messages import quote
from sealgate_webhook.admission.outcome import AdmissionHandler, AdmissionOutcome
from sealgate_webhook.reviews.request import MAX_REVIEW_BYTES, MalformedReviewError, UnusableReviewError, decode_review
from sealgate_webhook.reviews.response import ALLOWED, deny, encode_response
from sealgate_webhook.server.callers import CALLER
from sealgate_webhook.server.timeouts import answer_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from threading import Semaphore
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.reviews.request import AdmissionRequest
    from sealgate_webhook.server.callers import PermittedCallers

#: WSGI environment key of the time (on the clock's `monotonic`) when a request arrived, before it waited for a thread.
ARRIVED: Final = "sealgate.arrived"
#: WSGI environment key of a function that must be called when the request's body has been read.
RECEIVED: Final = "sealgate.received"
#: The most images in the log line of a review.
MAX_LOGGED_IMAGES: Final = 20

#: Reviews of more bytes than this, or of unknown length, are decoded only a few at a time.
LARGE_BYTES: Final = 128 << 10
MAX_LARGE: Final = 4

_CONTENT_TYPE: Final = "application/json"


class AdmissionMiddleware:
    """Routes the paths of AdmissionReviews to their endpoints, and all others to the application behind.

    Args:
        rest: application for all other paths.
        endpoints: endpoint of each path.
    """

    def __init__(self, rest: WSGIApplication, endpoints: Mapping[str, WSGIApplication]) -> None:
        self._rest = rest
        self._endpoints = endpoints

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        return self._endpoints.get(environ["PATH_INFO"], self._rest)(environ, start_response)


class AdmissionEndpoint:
    """WSGI application for the AdmissionReviews of one path.

    Args:
        name: name of the endpoint in metrics and logs.
        handler: decides about a request.
        denies: whether a review that fails is denied; otherwise it is admitted, for a later endpoint to deny.
        large: limits large reviews in progress; shared by all endpoints.
        denied: called for every denial, with its message; None for no callback.
        callers: callers whose reviews are answered; None for all callers.
        self_test: whether the self-test's certificate is accepted. The response must not depend on the review.
        clock: measures deadlines.
        metrics: counts reviews.
        log: gets a line for every review.
    """

    def __init__(  # noqa: PLR0913 - what every endpoint of the webhook needs
        self,
        name: str,
        handler: AdmissionHandler,
        *,
        denies: bool,
        large: Semaphore,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
        denied: Callable[[AdmissionRequest, str], None] | None = None,
        callers: PermittedCallers | None = None,
        self_test: bool = False,
    ) -> None:
        self._name = name
        self._handler = handler
        self._denies = denies
        self._large = large
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._denied = denied
        self._callers = callers
        self._self_test = self_test

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        arrived = environ.get(ARRIVED) or self._clock.monotonic()
        self._metrics.in_flight.inc()
        try:
            self._check_caller(environ)
            body = self._review(environ, arrived)
        except _HTTPError as error:
            self._metrics.reviewed(self._name, error.outcome, self._clock.monotonic() - arrived)
            self._log.warning(f"{error.outcome} review", endpoint=self._name, status=error.status, problem=error.text)
            return error.respond(start_response)
        finally:
            self._metrics.in_flight.dec()
        start_response("200 OK", [("Content-Type", _CONTENT_TYPE), ("Content-Length", str(len(body)))])
        return (body,)

    def _check_caller(self, environ: WSGIEnvironment) -> None:
        if self._callers is None:
            return
        refusal = self._callers.refusal(environ.get(CALLER), self_test=self._self_test)
        if refusal:
            raise _HTTPError("403 Forbidden", refusal, outcome="forbidden")

    def _review(self, environ: WSGIEnvironment, arrived: float) -> bytes:
        length = _check_head(environ)
        deadline = Deadline(self._clock, arrived + answer_within(environ.get("QUERY_STRING", "")))
        if 0 <= length <= LARGE_BYTES:
            return self._answer(_read_body(environ, length), deadline, arrived)
        # Decoded JSON takes many times its size, and a flood of large reviews would exhaust the memory.
        if not self._large.acquire(timeout=max(deadline.remaining(), 0)):
            raise _HTTPError("503 Service Unavailable", "too many large reviews at once; try again")
        try:
            return self._answer(_read_body(environ, length), deadline, arrived)
        finally:
            self._large.release()

    def _answer(self, body: bytes, deadline: Deadline, arrived: float) -> bytes:
        try:
            request = decode_review(body)
        except MalformedReviewError as error:
            raise _HTTPError("400 Bad Request", error.message) from error
        except UnusableReviewError as error:
            outcome = self._failed(error.message, "unusable review")
            self._record(outcome, {"uid": quote(error.uid)}, arrived)
            return encode_response(error.uid, outcome.response)
        try:
            outcome = self._handler(request, deadline)
            answer = encode_response(request.uid, outcome.response)
        except Exception:  # noqa: BLE001 - the boundary: after any error, the object was not verified
            self._metrics.internal_errors.inc()
            self._log.exception("internal error in a review", uid=quote(request.uid), endpoint=self._name)
            message = "an internal error stopped the review; the webhook's log has it under this request's uid"
            outcome = self._failed(message, "internal error", unavailable=True)
            answer = encode_response(request.uid, outcome.response)
        self._record(outcome, _describe(request), arrived)
        if self._denied is not None and not outcome.response.allowed:
            # Without the age of a cached refusal, so that the same denial stays one Event.
            self._denied(request, outcome.lasting or outcome.response.message)
        return answer

    def _failed(self, message: str, reason: str, *, unavailable: bool = False) -> AdmissionOutcome:
        return AdmissionOutcome(deny(message, unavailable=unavailable) if self._denies else ALLOWED, reason)

    def _record(self, outcome: AdmissionOutcome, about: Mapping[str, str], arrived: float) -> None:
        seconds = self._clock.monotonic() - arrived
        result = "patched" if outcome.response.patch else "allowed" if outcome.response.allowed else "denied"
        self._metrics.reviewed(self._name, result, seconds)
        self._metrics.decided(outcome.verdicts)
        fields: dict[str, Any] = {"endpoint": self._name, **about, "result": result, "reason": outcome.reason}
        if outcome.verdicts:
            fields["images"] = [_describe_verdict(verdict) for verdict in outcome.verdicts[:MAX_LOGGED_IMAGES]]
            fields["image_count"] = len(outcome.verdicts)
        self._log.info("review", **fields, duration_seconds=round(seconds, 5))


class _HTTPError(Exception):
    """A request that is not an answerable review, or whose caller is not permitted.

    Args:
        status: HTTP status line.
        text: error message, foreign text already quoted.
        headers: further headers.
        outcome: "malformed" or "forbidden", for metrics and log.
    """

    def __init__(
        self, status: str, text: str, headers: Iterable[tuple[str, str]] = (), outcome: str = "malformed"
    ) -> None:
        super().__init__(status)
        self.status = status
        self.text = text
        self.outcome = outcome
        self._headers = headers

    def respond(self, start_response: StartResponse) -> Iterable[bytes]:
        body = f"{self.text}\n".encode()
        start_response(
            self.status,
            [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *self._headers],
        )
        return (body,)


def _check_head(environ: WSGIEnvironment) -> int:
    """Return the Content-Length; -1 for a chunked body."""
    if environ["REQUEST_METHOD"] != "POST":
        raise _HTTPError("405 Method Not Allowed", "AdmissionReviews must be sent with POST", [("Allow", "POST")])
    content_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if content_type != _CONTENT_TYPE:
        raise _HTTPError(
            "415 Unsupported Media Type", f"AdmissionReviews must be {_CONTENT_TYPE}, not {quote(content_type)}"
        )
    if environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise _HTTPError("415 Unsupported Media Type", "AdmissionReviews must not be compressed")
    length = _content_length(environ)
    if length > MAX_REVIEW_BYTES:
        raise _too_large()
    return length


def _read_body(environ: WSGIEnvironment, length: int) -> bytes:
    # One byte more than the limit, to detect that a body of unknown length is too large.
    body: bytes = environ["wsgi.input"].read(length if length >= 0 else MAX_REVIEW_BYTES + 1)
    if len(body) > MAX_REVIEW_BYTES:
        raise _too_large()
    if len(body) < length:
        raise _HTTPError("400 Bad Request", "the body is shorter than its Content-Length")
    if RECEIVED in environ:
        environ[RECEIVED]()
    return body


def _content_length(environ: WSGIEnvironment) -> int:
    text = environ.get("CONTENT_LENGTH") or ""
    if text.isascii() and text.isdigit():
        return int(text)
    if text or not environ.get("wsgi.input_terminated"):
        raise _HTTPError("411 Length Required", "Content-Length is missing or not a number")
    return -1


def _too_large() -> _HTTPError:
    return _HTTPError(
        "413 Content Too Large", f"the AdmissionReview is larger than the limit of {MAX_REVIEW_BYTES} bytes"
    )


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


def _describe_verdict(verdict: ImageVerdict) -> dict[str, str]:
    about = {"image": quote(verdict.image), "verdict": verdict.verdict.value, "reason": verdict.reason.value}
    if verdict.subject is not None:
        about["digest"] = verdict.subject
    return about
