"""The webhook as an HTTP application.

Admission reviews are handled by a WSGI middleware in front of Flask: they are nearly all requests, and routing and
request objects would cost as much as the rest of a review that is answered from the cache. Flask serves everything
else.
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


def create_app(  # noqa: PLR0913, PLR0917 - what the application is assembled from
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

    With a backend whose policy objects are applied to a cluster, `POST /validate-policies` checks them.

    Args:
        verifier: verifies images.
        backend: source of policies, namespaces, credentials and trusted state.
        kinds: the kinds whose images are verified.
        clock: measures deadlines.
        metrics: counts reviews.
        log: gets a line for every review.
        callers: callers whose reviews are answered; None for all callers. Other paths answer all callers.
        rules: admission settings of the installation.
    """
    app = Flask("sealgate_webhook", static_folder=None)
    large = Semaphore(MAX_LARGE)
    admission = Admission(verifier, backend.policies, backend.namespaces, backend.credentials, kinds, rules)
    endpoint = partial(AdmissionEndpoint, large=large, clock=clock, metrics=metrics, log=log, callers=callers)
    endpoints = {
        "/validate": endpoint("validate", admission.validate, denies=True, denied=backend.denied),
        "/mutate": endpoint("mutate", admission.mutate, denies=False),
        self_test.PATH: endpoint("self-test", _self_test(backend.policies), denies=True, self_test=True),
    }
    if backend.admit_policy_object is not None:
        endpoints["/validate-policies"] = endpoint("validate-policies", backend.admit_policy_object, denies=True)
    app.wsgi_app = AdmissionMiddleware(app.wsgi_app, endpoints)  # type: ignore[method-assign]  # Flask's way to install a middleware

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
    """Return the handler of the self-test: always a refusal, with the agreed text if images can be verified."""

    def judge(request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        del request, deadline
        problem = policies.problem()
        if problem:
            return AdmissionOutcome(deny(f"the webhook is not ready: {problem}", unavailable=True), "self-test")
        return AdmissionOutcome(deny(self_test.TEXT), "self-test")

    return judge


def _plain(text: str, status: int = 200) -> Response:
    return Response(f"{text}\n", status, mimetype="text/plain")
