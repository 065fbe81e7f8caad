"""The webhook as an HTTP application.

Reviews take a path of their own in front of Flask (a WSGI middleware, as Flask's documentation has it): they are what
the webhook is there for, and routing and request objects would cost as much as the rest of a review that is answered
from memory. Flask serves everything else.
"""

from __future__ import annotations

from functools import partial
from threading import Semaphore
from typing import TYPE_CHECKING

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from sealgate import self_test
from sealgate_webhook.admission.outcome import AdmissionOutcome
from sealgate_webhook.admission.workloads import DEFAULT_RULES, Admission
from sealgate_webhook.reviews.response import deny
from sealgate_webhook.server.endpoints import MAX_LARGE, AdmissionEndpoint, AdmissionMiddleware

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock, Deadline
    from sealgate.verification.verifier import Verifier
    from sealgate.workloads.kinds import WorkloadKinds
    from sealgate_webhook.admission.outcome import AdmissionHandler
    from sealgate_webhook.admission.sources import PolicySource
    from sealgate_webhook.admission.workloads import AdmissionRules
    from sealgate_webhook.backends.interface import Backend
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.reviews.request import AdmissionRequest
    from sealgate_webhook.server.callers import PermittedCallers


def create_app(  # noqa: PLR0913, PLR0917 - the parts that a webhook is put together from
    verifier: Verifier,
    backend: Backend,
    kinds: WorkloadKinds,
    clock: Clock,
    metrics: Metrics,
    log: FilteringBoundLogger,
    callers: PermittedCallers | None = None,
    rules: AdmissionRules = DEFAULT_RULES,
) -> Flask:
    """Return the webhook: `POST /validate`, `POST /mutate`, `POST /self-test`, `GET /healthz`, `GET /readyz`.

    Where policy objects are applied, `POST /validate-policies` looks at them.

    Args:
        verifier: verifies images.
        backend: policies, without which the webhook is not ready, and everything else about the world.
        kinds: the kinds whose images are verified.
        clock: deadlines are set on it.
        metrics: told of every review.
        log: gets a line for every review.
        callers: whose reviews are answered; None for everybody's. The other paths answer everybody.
        rules: what the installation chooses about reviews.
    """
    app = Flask("sealgate_webhook", static_folder=None)
    large = Semaphore(MAX_LARGE)
    admission = Admission(verifier, backend.policies, backend.namespaces, backend.credentials, kinds, rules)
    reviewer = partial(AdmissionEndpoint, large=large, clock=clock, metrics=metrics, log=log, callers=callers)
    reviewers = {
        "/validate": reviewer("validate", admission.validate, denies=True, denied=backend.denied),
        "/mutate": reviewer("mutate", admission.mutate, denies=False),
        self_test.PATH: reviewer("self-test", _self_test(backend.policies), denies=True, self_test=True),
    }
    if backend.admit_policy_object is not None:
        reviewers["/validate-policies"] = reviewer("validate-policies", backend.admit_policy_object, denies=True)
    app.wsgi_app = AdmissionMiddleware(app.wsgi_app, reviewers)  # type: ignore[method-assign]  # how Flask takes middleware

    @app.get("/healthz")
    def healthz() -> Response:
        return _plain("ok")

    @app.get("/readyz")
    def readyz() -> Response:
        problem = backend.policies.problem()
        if problem:
            return _plain(f"not ready: {problem}", 503)
        return _plain("ok")

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        response = _plain(error.name, error.code or 500)
        response.headers.extend(header for header in error.get_headers() if header[0] == "Allow")
        return response

    return app


def _self_test(policies: PolicySource) -> AdmissionHandler:
    """Return what answers the self-test: always a refusal, with the agreed text where images can be verified."""

    def judge(request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        del request, deadline
        problem = policies.problem()
        if problem:
            return AdmissionOutcome(deny(f"the webhook is not ready: {problem}", unavailable=True), "self-test")
        return AdmissionOutcome(deny(self_test.TEXT), "self-test")

    return judge


def _plain(text: str, status: int = 200) -> Response:
    return Response(f"{text}\n", status, mimetype="text/plain")
