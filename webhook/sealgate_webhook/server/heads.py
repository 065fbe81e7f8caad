"""Head of a request with an AdmissionReview: what is checked before a byte of its body is read."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sealgate.messages import quote
from sealgate.process.serving.asgi import ARRIVED
from sealgate_webhook.reviews.request import MAX_REVIEW_BYTES
from sealgate_webhook.transport.callers import CALLER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from wsgiref.types import WSGIEnvironment

    from sealgate.clocks import Clock
    from sealgate_webhook.transport.callers import Caller

CONTENT_TYPE: Final = "application/json"
#: Seconds after which a request that could not be taken may be sent again.
RETRY_SECONDS: Final = 1
#: Outcome of a request that could not be taken in time.
BUSY: Final = "busy"


@dataclass(frozen=True, slots=True)
class ReviewHead:
    """Head of a request with an AdmissionReview.

    Attributes:
        method: HTTP method.
        content_type: as sent; empty if missing.
        content_encoding: as sent; "identity" if missing.
        content_length: as sent; empty if missing.
        chunked: whether the body says itself where it ends.
        query: the URL's query string, as sent.
        arrived: when the head was complete, on the clock's `monotonic`.
        caller: holder of the connection's client certificate; None without one.
    """

    method: str
    content_type: str
    content_encoding: str
    content_length: str
    chunked: bool
    query: str
    arrived: float
    caller: Caller | None

    @classmethod
    def of_environ(cls, environ: WSGIEnvironment, clock: Clock) -> ReviewHead:
        """Return the head of a WSGI request.

        Args:
            environ: the request.
            clock: says when it arrived, for servers that do not.
        """
        return cls(
            environ["REQUEST_METHOD"],
            environ.get("CONTENT_TYPE") or "",
            environ.get("HTTP_CONTENT_ENCODING", "identity"),
            environ.get("CONTENT_LENGTH") or "",
            bool(environ.get("wsgi.input_terminated")),
            environ.get("QUERY_STRING", ""),
            environ.get(ARRIVED) or clock.monotonic(),
            environ.get(CALLER),
        )

    @classmethod
    def of_scope(cls, scope: Mapping[str, object], headers: Mapping[bytes, bytes], clock: Clock) -> ReviewHead:
        """Return the head of an ASGI request.

        Args:
            scope: the request.
            headers: its headers, names in lower case.
            clock: says when it arrived, for servers that do not.
        """
        method, query, arrived, caller = scope["method"], scope["query_string"], scope.get(ARRIVED), scope.get(CALLER)
        assert isinstance(method, str)  # noqa: S101 - for the type checker: ASGI says so
        assert isinstance(query, bytes)  # noqa: S101 - for the type checker: ASGI says so
        assert arrived is None or isinstance(arrived, float)  # noqa: S101 - for the type checker
        return cls(
            method,
            headers.get(b"content-type", b"").decode("latin-1"),
            headers.get(b"content-encoding", b"identity").decode("latin-1"),
            headers.get(b"content-length", b"").decode("latin-1"),
            b"transfer-encoding" in headers,
            query.decode("latin-1"),
            arrived or clock.monotonic(),
            caller,  # type: ignore[arg-type]  # the server's own key, which no client can set
        )

    def check(self) -> int:
        """Return the Content-Length, at most `MAX_REVIEW_BYTES`; -1 for a chunked body.

        Raises:
            RefusedRequestError: the request cannot have an AdmissionReview.
        """
        if self.method != "POST":
            raise RefusedRequestError(405, "AdmissionReviews must be sent with POST", (("Allow", "POST"),))
        content_type = self.content_type.partition(";")[0].strip().lower()
        if content_type != CONTENT_TYPE:
            raise RefusedRequestError(415, f"AdmissionReviews must be {CONTENT_TYPE}, not {quote(content_type)}")
        if self.content_encoding != "identity":
            raise RefusedRequestError(415, "AdmissionReviews must not be compressed")
        length = self._length()
        if length > MAX_REVIEW_BYTES:
            raise too_large()
        return length

    def _length(self) -> int:
        text = self.content_length
        if text.isascii() and text.isdigit():
            return int(text)
        if text or not self.chunked:
            raise RefusedRequestError(411, "Content-Length is missing or not a number")
        return -1


class RefusedRequestError(Exception):
    """A request that is not an answerable review, that cannot be taken now, or whose caller is not permitted.

    Args:
        status: HTTP status.
        text: error message, foreign text already quoted.
        headers: further headers.
        outcome: "malformed", "forbidden" or "busy", for metrics and log.
    """

    def __init__(
        self, status: int, text: str, headers: Sequence[tuple[str, str]] = (), outcome: str = "malformed"
    ) -> None:
        super().__init__(status)
        self.status = status
        self.text = text
        self.headers = headers
        self.outcome = outcome

    @property
    def line(self) -> str:
        """Status with its name ("400 Bad Request")."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


def too_large() -> RefusedRequestError:
    """Return the refusal of a body that is too large."""
    return RefusedRequestError(413, f"the AdmissionReview is larger than the limit of {MAX_REVIEW_BYTES} bytes")


def broken_off() -> RefusedRequestError:
    """Return the refusal of a body that ended too early."""
    return RefusedRequestError(400, "the body is shorter than its Content-Length")


def busy() -> RefusedRequestError:
    """Return the refusal of a body that could not be received and decoded before its deadline."""
    return RefusedRequestError(
        503,
        f"too many large reviews at once; try again in {RETRY_SECONDS} s",
        (("Retry-After", str(RETRY_SECONDS)),),
        outcome=BUSY,
    )
