"""The webhook as an HTTP application.

Reviews take a path of their own in front of Flask (a WSGI middleware, as Flask's documentation has it): they are what
the webhook is there for, and routing and request objects would cost as much as the rest of a review that is answered
from memory. Flask serves everything else.
"""

from __future__ import annotations

from threading import Semaphore
from typing import TYPE_CHECKING

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from sealgate_webhook.endpoints import MAX_LARGE, Reviewer, ReviewPaths

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate_webhook.admission import Admission
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.sources import PolicySource


def create_app(
    admission: Admission, policies: PolicySource, clock: Clock, metrics: Metrics, log: FilteringBoundLogger
) -> Flask:
    """Return the webhook: `POST /validate`, `POST /mutate`, `GET /healthz`, `GET /readyz`.

    Args:
        admission: judges and pins.
        policies: the policies in force; without any the webhook is not ready.
        clock: deadlines are set on it.
        metrics: told of every review.
        log: gets a line for every review.
    """
    app = Flask("sealgate_webhook", static_folder=None)
    large = Semaphore(MAX_LARGE)
    validate = Reviewer("validate", admission.judge, denies=True, large=large, clock=clock, metrics=metrics, log=log)
    mutate = Reviewer("mutate", admission.pin, denies=False, large=large, clock=clock, metrics=metrics, log=log)
    app.wsgi_app = ReviewPaths(  # type: ignore[method-assign]  # how Flask takes middleware
        app.wsgi_app, {"/validate": validate, "/mutate": mutate}
    )

    @app.get("/healthz")
    def healthz() -> Response:
        return _plain("ok")

    @app.get("/readyz")
    def readyz() -> Response:
        if policies.current() is None:
            return _plain(f"not ready: {policies.problem()}", 503)
        return _plain("ok")

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        response = _plain(error.name, error.code or 500)
        response.headers.extend(header for header in error.get_headers() if header[0] == "Allow")
        return response

    return app


def _plain(text: str, status: int = 200) -> Response:
    return Response(f"{text}\n", status, mimetype="text/plain")
