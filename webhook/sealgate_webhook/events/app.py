"""The endpoint as an HTTP application: `POST /events/NAME`, `POST /events/NAME/SECRET`, `GET /healthz`, `GET /readyz`.

A response of 2xx means that the API server has a request for every push of the body that a policy covers. Everything
that may pass is 503, so that the registry sends the event again. A request that does not prove where it comes from gets
the same 401 whether its source exists or not, before its body is read, and its connection is closed.
"""

from __future__ import annotations

from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from sealgate.process.serving.asgi import ARRIVED
from sealgate_webhook.events.answers import AnsweredError
from sealgate_webhook.events.authentication import RefusedSourceError
from sealgate_webhook.events.bodies.reading import MAX_BODY_BYTES
from sealgate_webhook.transport.callers import CALLER
from sealgate_webhook.transport.wsgi_bridge import CLOSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate_webhook.events.authentication import SourceSecrets
    from sealgate_webhook.events.config import SourceSettings
    from sealgate_webhook.events.intake import Intake
    from sealgate_webhook.events.metrics import EventMetrics
    from sealgate_webhook.transport.callers import Caller

#: Requests of all sources whose bodies are read or stored at once; each source has an equal share.
MAX_AT_ONCE: Final = 48
#: Seconds after which a source that has too many requests in progress may try again.
_BUSY_SECONDS: Final = 1.0
_OK: Final = 200
#: Seconds between two lines about the same failure of the same source.
LOG_SECONDS: Final = 5.0


class EventsApp:
    """Answers the requests of sources.

    Args:
        secrets: who may report pushes.
        intake: what becomes of a body.
        clock: measures requests.
        metrics: counts them.
        log: gets a line for each that is not answered with 2xx.
        needs_certificate: whether each request needs a client certificate, besides what its source presents.
    """

    def __init__(  # noqa: PLR0913 - what the application is assembled from
        self,
        secrets: SourceSecrets,
        intake: Intake,
        clock: Clock,
        metrics: EventMetrics,
        log: FilteringBoundLogger,
        *,
        needs_certificate: bool = False,
    ) -> None:
        self._secrets = secrets
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._needs_certificate = needs_certificate
        share = max(MAX_AT_ONCE // len(secrets.names), 1)
        self._reported: dict[tuple[str, int], float] = {}
        self._reported_lock = Lock()
        self._slots = {name: BoundedSemaphore(share) for name in secrets.names}

    def flask(self) -> Flask:
        """Return the application."""
        app = Flask("sealgate_webhook.events", static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
        app.add_url_rule("/events/<name>", view_func=self._respond, methods=["POST"], provide_automatic_options=False)
        app.add_url_rule(
            "/events/<name>/<secret>", view_func=self._respond, methods=["POST"], provide_automatic_options=False
        )
        app.add_url_rule("/healthz", view_func=lambda: plain("ok"))
        app.add_url_rule("/readyz", view_func=self._ready)
        app.register_error_handler(HTTPException, _refuse)
        return app

    def _ready(self) -> Response:
        problem = self._intake.problem()
        return plain(f"not ready: {problem}", 503) if problem else plain("ok")

    def _respond(self, name: str, secret: str | None = None) -> Response:
        arrived = request.environ.get(ARRIVED) or self._clock.monotonic()
        label = self._secrets.label(name)
        response = self._answered(label, lambda: self._take(name, secret))
        self._metrics.answered(label, response.status_code, self._clock.monotonic() - arrived)
        return response

    def _answered(self, label: str, take: Callable[[], str]) -> Response:
        """Return the response to a request; after any error, the event must be sent again."""
        try:
            return plain(take())
        except AnsweredError as error:
            self._report(label, error.status, error.message)
            return error.response()
        except HTTPException as error:
            self._report(label, error.code or 500, error.name)
            return _refuse(error)
        except Exception as error:  # noqa: BLE001 - the boundary
            self._metrics.internal_error()
            self._log.error("internal error while events were taken", source=label, exc_info=error)
            return plain("an internal error; the log of the endpoint has it", 500)

    def _report(self, label: str, status: int, problem: str) -> None:
        """Log a failure, for each source and status at most once in `LOG_SECONDS`: clients may fail at any rate.

        The line has neither the path, which may have a secret in it, nor what was presented.
        """
        now = self._clock.monotonic()
        with self._reported_lock:
            if now - self._reported.get((label, status), -LOG_SECONDS) < LOG_SECONDS:
                return
            self._reported[label, status] = now
        self._log.warning("events not taken", source=label, status=status, problem=problem)

    def _take(self, name: str, secret: str | None) -> str:
        source = self._authenticate(name, secret)
        slot = self._slots[source.name]
        # Without waiting: a source that is slow, or floods, must not hold threads that others need.
        if not slot.acquire(blocking=False):
            raise AnsweredError(503, "too many requests of this source at once", retry_after=_BUSY_SECONDS)
        try:
            return self._intake.take(source, request.headers, self._body())
        finally:
            slot.release()

    def _authenticate(self, name: str, secret: str | None) -> SourceSettings:
        try:
            if self._needs_certificate:
                self._require_certificate(request.environ.get(CALLER))
            return self._secrets.authenticate(name, request.headers, secret)
        except RefusedSourceError as error:
            # The rest of the request is not read: a refused client must cost little.
            request.environ.get(CLOSE, lambda: None)()
            raise AnsweredError(401, error.message) from error

    def _require_certificate(self, caller: Caller | None) -> None:
        problem = "events need a client certificate" if caller is None else caller.problem(self._clock.now())
        if problem:
            raise RefusedSourceError(problem)

    @staticmethod
    def _body() -> bytes:
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise AnsweredError(415, "events must not be compressed")
        return request.get_data(cache=False)


def plain(text: str, status: int = _OK) -> Response:
    """Return a response of one line."""
    return Response(f"{text}\n", status, mimetype="text/plain")


def _refuse(error: HTTPException) -> Response:
    response = plain(error.name, error.code or 500)
    response.headers.extend(header for header in error.get_headers() if header[0] == "Allow")
    return response
