"""The webhook as a Flask application: the whole webhook, under any WSGI server.

What only the server knows (when a request arrived, its caller, how to close its connection) comes in by keys of the
WSGI environment (`sealgate_webhook.transport`), and so does a review that a front has decoded already.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from sealgate import self_test
from sealgate_webhook.admission.exceptions import stamp
from sealgate_webhook.admission.outcome import AdmissionOutcome
from sealgate_webhook.admission.sources import CachedNamespaces
from sealgate_webhook.admission.steps import InSteps, ReviewSteps
from sealgate_webhook.admission.workloads import DEFAULT_RULES, Admission
from sealgate_webhook.reviews.request import MAX_REVIEW_BYTES, UnusableReviewError
from sealgate_webhook.reviews.response import deny
from sealgate_webhook.server.bodies import LARGE_BYTES, BodyBudget
from sealgate_webhook.server.endpoints import AdmissionEndpoint
from sealgate_webhook.server.heads import CONTENT_TYPE, RefusedRequestError, ReviewHead, broken_off, busy, too_large
from sealgate_webhook.server.probes import create_probes
from sealgate_webhook.server.timeouts import MAX_SECONDS
from sealgate_webhook.server.validations import Validations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from wsgiref.types import WSGIEnvironment

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock, Deadline
    from sealgate.verification.verifier import Verifier
    from sealgate.workloads.kinds import WorkloadKinds
    from sealgate_webhook.admission.outcome import AdmissionHandler
    from sealgate_webhook.admission.sources import PolicySource
    from sealgate_webhook.admission.workloads import AdmissionRules
    from sealgate_webhook.backends.interface import Backend
    from sealgate_webhook.counters import PolicyCounters
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.reviews.request import AdmissionRequest
    from sealgate_webhook.server.callers import PermittedCallers
    from sealgate_webhook.server.probes import Probe

#: WSGI environment key of the `AdmissionRequest` that a front has decoded, and counts as in progress.
REVIEW: Final = "sealgate.review"
#: Methods that reach an endpoint, which checks the caller before it refuses all but POST.
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
#: Paths of the endpoints for policy objects, and for who makes an exception.
POLICY_OBJECTS: Final = "/validate-policies"
STAMP_EXCEPTIONS: Final = "/stamp-exceptions"


def create_endpoints(  # noqa: PLR0913, PLR0917 - what the endpoints are assembled from
    verifier: Verifier,
    backend: Backend,
    kinds: WorkloadKinds,
    clock: Clock,
    metrics: Metrics,
    log: FilteringBoundLogger,
    callers: PermittedCallers | None = None,
    rules: AdmissionRules = DEFAULT_RULES,
    timeout: float = MAX_SECONDS,
    counters: PolicyCounters | None = None,
) -> Mapping[str, AdmissionEndpoint]:
    """Return the endpoint of each path: `/validate`, `/mutate`, `/self-test`.

    With a backend whose policy objects are applied to a cluster, `/validate-policies` checks them, and
    `/stamp-exceptions` writes into exceptions who made them.

    Args:
        verifier: verifies images.
        backend: source of policies, namespaces, credentials and trusted state.
        kinds: the kinds whose images are verified.
        clock: measures deadlines.
        metrics: counts reviews.
        log: gets a line for every review.
        callers: callers whose reviews are answered; None for all callers.
        rules: admission settings of the installation.
        timeout: timeout of the webhook configuration, in seconds; a longer one in a URL counts as this one.
        counters: counts verdicts by policy; None for no counting.
    """
    policies, credentials, namespaces = backend.policies, backend.credentials, backend.namespaces
    full = Admission(verifier, policies, namespaces, credentials, kinds, rules)
    known = CachedNamespaces(namespaces)
    memory = Admission(verifier.from_memory(), policies, known, credentials, kinds, rules)
    verdicts = Admission(verifier.from_verdicts(), policies, known, credentials, kinds, rules)

    def in_steps() -> ReviewSteps:
        steps = verifier.in_steps()
        return ReviewSteps(steps, Admission(steps, policies, known, credentials, kinds, rules).validate)

    endpoint = partial(AdmissionEndpoint, timeout=timeout, clock=clock, metrics=metrics, log=log, callers=callers)
    refuse = _self_test(policies)
    endpoints = {
        "/validate": endpoint(
            "validate",
            full.validate,
            memory.validate,
            InSteps(verdicts.validate, in_steps),
            kinds=kinds,
            denies=True,
            decided=backend.decided,
            counters=counters,
        ),
        "/mutate": endpoint("mutate", full.mutate, memory.mutate, kinds=kinds, denies=False),
        self_test.PATH: endpoint("self-test", refuse, refuse, kinds=kinds, denies=True, self_test=True),
    }
    if backend.admit_policy_object is not None:
        endpoints[POLICY_OBJECTS] = endpoint(
            "validate-policies", Validations(backend.admit_policy_object), kinds=None, denies=True
        )
        endpoints[STAMP_EXCEPTIONS] = endpoint("stamp-exceptions", stamp, stamp, kinds=None, denies=False)
    return endpoints


def create_app(
    endpoints: Mapping[str, AdmissionEndpoint], policies: PolicySource, clock: Clock, bodies: BodyBudget | None = None
) -> Flask:
    """Return the application: a POST to each endpoint, `GET /healthz`, `GET /readyz`.

    Args:
        endpoints: endpoint of each path.
        policies: ready once there are some.
        clock: says when a request arrived, for servers that do not.
        bodies: limits large bodies; one of its own by default.
    """
    app = Flask("sealgate_webhook", static_folder=None)
    # A path in another spelling is another path; a redirect is no answer to a review.
    app.url_map.merge_slashes = False
    receiver = _Receiver(bodies or BodyBudget())
    for path, endpoint in endpoints.items():
        view = partial(_respond, endpoint, receiver, clock)
        app.add_url_rule(path, path, view, methods=METHODS, provide_automatic_options=False)

    for path, probe in create_probes(policies).items():
        app.add_url_rule(path, path, partial(_probed, probe))

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        response = Response(f"{error.name}\n", error.code, mimetype="text/plain")
        response.headers.extend(header for header in error.get_headers() if header[0] == "Allow")
        return response

    return app


class _Receiver:
    """Receives and decodes bodies, in the thread of their request.

    Args:
        bodies: limits the large ones that are received at once.
    """

    def __init__(self, bodies: BodyBudget) -> None:
        self._bodies = bodies
        # Decoded JSON takes many times its size.
        self._decoding = threading.Lock()

    def receive(
        self, endpoint: AdmissionEndpoint, environ: WSGIEnvironment, length: int, deadline: Deadline
    ) -> AdmissionRequest:
        """Return the request in a body.

        Args:
            endpoint: decodes it.
            environ: the request.
            length: its Content-Length; -1 if that is not known.
            deadline: by when it must be decoded, if it is large.

        Raises:
            RefusedRequestError: it is not an answerable review, or other large ones are in its way until the deadline.
            UnusableReviewError: it can be answered, but not understood.
        """
        if 0 <= length <= LARGE_BYTES:
            return endpoint.decode(_read(environ, length))
        ration = self._bodies.ask(length, environ.get("REMOTE_ADDR", ""))
        with ration:
            try:
                ration.granted.result(max(deadline.remaining(), 0))
            except TimeoutError as error:
                raise busy() from error
            body = _read(environ, length)
            if not self._decoding.acquire(timeout=max(deadline.remaining(), 0)):
                raise busy()
            try:
                return endpoint.decode(body)
            finally:
                self._decoding.release()


def _respond(endpoint: AdmissionEndpoint, receiver: _Receiver, clock: Clock) -> Response:
    """Return the response to the current request."""
    environ = request.environ
    head = ReviewHead.of_environ(environ, clock)
    try:
        length, deadline = endpoint.accept(head)
        decoded: AdmissionRequest | None = environ.get(REVIEW)
        if decoded is not None:
            return _json(endpoint.answer(decoded, deadline, head.arrived))
        with endpoint.in_progress():
            review = receiver.receive(endpoint, environ, length, deadline)
            return _json(endpoint.answer(review, deadline, head.arrived))
    except UnusableReviewError as error:
        return _json(endpoint.answer_unusable(error, head.arrived))
    except RefusedRequestError as error:
        response = Response(endpoint.refuse(error, head.arrived), error.status, mimetype="text/plain")
        response.headers.extend(error.headers)
        return response


def _read(environ: WSGIEnvironment, length: int) -> bytes:
    # One byte more than the limit, to detect that a body of unknown length is too large.
    body: bytes = environ["wsgi.input"].read(length if length >= 0 else MAX_REVIEW_BYTES + 1)
    if len(body) > MAX_REVIEW_BYTES:
        raise too_large()
    if len(body) < length:
        raise broken_off()
    return body


def _self_test(policies: PolicySource) -> AdmissionHandler:
    """Return the handler of the self-test: always a refusal, with the agreed text if images can be verified."""

    def judge(request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        del request, deadline
        problem = policies.problem()
        if problem:
            return AdmissionOutcome(deny(f"the webhook is not ready: {problem}", unavailable=True), "self-test")
        return AdmissionOutcome(deny(self_test.TEXT), "self-test")

    return judge


def _probed(probe: Probe) -> Response:
    status, text = probe()
    return Response(text, status, mimetype="text/plain")


def _json(body: bytes) -> Response:
    return Response(body, mimetype=CONTENT_TYPE)
