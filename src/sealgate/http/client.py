"""HTTP client with one policy for every request.

A request has one deadline for all of it (name resolution, connection, TLS handshake, headers, body, redirects, pauses)
and one limit of bytes. Every host is checked, also after a redirect: plain HTTP and loopback addresses only for hosts
that the settings list as insecure, other addresses by the rules of `sealgate.http.addresses`. `Authorization` is sent
only to the origin that it was made for. There are no cookies, and no proxies or passwords from the environment. Content
is not decoded: a response with a content encoding is refused, because none was requested.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from sealgate.errors import (
    ForbiddenAddressError,
    SealgateError,
    UnavailableError,
    UnreachableError,
    VerificationError,
)
from sealgate.http.addresses import NEEDS_INSECURE, vet
from sealgate.http.connections import Connection, FloodError, Guard
from sealgate.http.interface import MAX_RESPONSE_BYTES, Response
from sealgate.http.pauses import Pauses
from sealgate.http.pools import IdleConnections
from sealgate.http.responses import HeadTooLargeError, InvalidResponseError, NoResponseError, ResponseParser
from sealgate.http.settings import fold
from sealgate.http.tls import TLSContexts
from sealgate.http.urls import URL, join_url
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.clocks import Clock, Deadline
    from sealgate.http.dns import Resolver
    from sealgate.http.settings import HostSettings
    from sealgate.http.urls import Origin

#: Maximum number of redirects that one request follows.
MAX_REDIRECTS = 5
#: Maximum bytes of the body of a response that is not a success; the rest is not read.
MAX_ERROR_BYTES = 64 << 10
#: Bytes allowed for headers in addition to the limit of the body.
_HEADER_BYTES = 128 << 10

_OK = range(200, 300)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
#: Methods of requests that state the length of their body even where they have none.
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
#: What neither a request line nor a header of a request may contain: it could begin another header, or request.
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOO_MANY_REQUESTS = 429
_SERVICE_UNAVAILABLE = 503
#: Reasons that OpenSSL gives when the other side does not speak TLS at all.
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
)
#: What Python raises if the other side closes the connection during the handshake; which one, and with which reason,
#: depends on the versions of Python and OpenSSL.
_CLOSED = (ssl.SSLZeroReturnError, ssl.SSLEOFError)


class RequestObserver(Protocol):
    """Counts requests, for metrics. Called from many threads; must not block and must not raise."""

    def request(self, host: str, outcome: str) -> None:
        """Count one request.

        Args:
            host: `host[:port]`; foreign text if a wildcard matched it, so bound it before it becomes a label.
            outcome: the HTTP status ("200"), or the reason of the error ("RegistryUnavailable").
        """


class NotTLSError(UnreachableError):
    """A host does not speak TLS."""


class Follow(Enum):
    """Which redirects a request follows."""

    ANYWHERE = "anywhere"
    SAME_ORIGIN = "same origin"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        url: the URL.
        limit: maximum bytes of the body of a successful response; larger is refused.
        method: the HTTP method, in upper case.
        headers: headers besides those of every request.
        body: bytes to send; None for no body.
        follow: which redirects are followed; only those of GET and HEAD ever are.
        ca: PEM bundle of CA certificates to trust instead of the settings' or the system's.
        idempotent: whether it may be sent again where a connection that was kept turns out to be closed; those of GET
            and HEAD always may.
    """

    url: URL
    limit: int = MAX_RESPONSE_BYTES
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    follow: Follow = Follow.ANYWHERE
    ca: str | None = None
    idempotent: bool = False


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """Terms of all requests for one purpose.

    Attributes:
        deadline: the moment by which they must be over.
        literal_hosts: hosts that the configuration names literally, as references spell them; they may have private
            addresses.
        ca: PEM bundle of CA certificates by host, instead of the settings' or the system's; it counts also for the
            host's own token service.
    """

    deadline: Deadline
    literal_hosts: frozenset[str]
    ca: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The last response to a request, after redirects.

    Attributes:
        response: status, headers and body.
        url: the URL that sent it.
    """

    response: Response
    url: URL


class HTTPClient:
    """Sends requests. Long-lived and thread-safe.

    Args:
        settings: how single hosts are reached.
        clock: measures pauses and the age of idle connections.
        resolver: resolves names to addresses.
        observer: counts requests; None to count none.

    Raises:
        ConfigError: a CA bundle of the settings does not parse.
    """

    def __init__(
        self, settings: HostSettings, clock: Clock, resolver: Resolver, observer: RequestObserver | None = None
    ) -> None:
        self.settings = settings
        self._resolver = resolver
        self._observer = observer
        self._pauses = Pauses(clock)
        self._idle = IdleConnections(clock)
        self._contexts = TLSContexts()
        for pem in settings.ca.values():
            self._contexts.get(pem)

    def on_pause(self, listener: Callable[[str, float], None]) -> None:
        """Have a function called whenever a host asks for a pause.

        Args:
            listener: called with `host[:port]` as references spell it, and the seconds of the pause, in the thread
                that got the response and under no lock; must not raise.
        """
        self._pauses.on_pause(lambda host, seconds: listener(fold(host), seconds))

    def close(self) -> None:
        """Close all idle connections."""
        self._idle.close()

    def send(self, request: Request, policy: RequestPolicy) -> Answer:
        """Send a request, follow its redirects, and return the last response, of any status.

        Raises:
            VerificationError: a successful response had more bytes than the limit.
            ForbiddenAddressError: the host, or that of a redirect, has an address that is not allowed.
            RateLimitedError: the host asks for a pause beyond the deadline, or for a second one.
            DeadlineError: the deadline passed.
            UnavailableError: the host cannot be reached, or its response is not valid HTTP.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send_after_pauses(request, policy)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or request.method not in _SAFE_METHODS or location is None:
                return Answer(response, request.url)
            target = join_url(request.url, location)
            same = target.origin == request.url.origin
            if request.follow is Follow.NOWHERE or (request.follow is Follow.SAME_ORIGIN and not same):
                return Answer(response, request.url)
            headers = request.headers if same else _without_authorization(request.headers)
            request = replace(request, url=target, headers=headers)
        raise UnavailableError(f"{request.url.origin.authority} redirects more than {MAX_REDIRECTS} times")

    def _send_after_pauses(self, request: Request, policy: RequestPolicy) -> Response:
        host = request.url.origin.authority
        for _ in range(2):
            self._pauses.wait(host, policy.deadline)
            response = self._send_observed(request, policy)
            retry_after = response.headers.get("retry-after")
            limited = response.status == _TOO_MANY_REQUESTS
            if not limited and (response.status != _SERVICE_UNAVAILABLE or retry_after is None):
                return response
            self._pauses.begin(host, retry_after)
        raise self._pauses.error(host)

    def _send_observed(self, request: Request, policy: RequestPolicy) -> Response:
        try:
            response = self._ask(request, policy)
        except SealgateError as error:
            probing = isinstance(error, NotTLSError) and self.settings.is_insecure(request.url.origin.authority)
            if not probing:
                self._observe(request, error.reason.value)
            raise
        self._observe(request, str(response.status))
        return response

    def _observe(self, request: Request, outcome: str) -> None:
        if self._observer is not None:
            self._observer.request(request.url.origin.authority, outcome)

    def _ask(self, request: Request, policy: RequestPolicy) -> Response:
        origin = request.url.origin
        guard = Guard(policy.deadline, f"asking {quote(origin.authority)}", allowance(request.limit))
        guard.left()
        rules = self._rules(origin, policy)
        context = self._context(request, policy) if origin.scheme == "https" else None
        key = (origin, rules, context)
        connection = self._idle.take(key)
        if connection is not None:
            connection.guard.renew(guard.deadline, guard.doing, guard.allowance)
            try:
                return self._exchange(key, connection, request)
            except _StaleConnectionError:
                if request.method not in _SAFE_METHODS and not request.idempotent:
                    raise
        return self._exchange(key, self._connect(origin, rules, context, guard), request)

    def _rules(self, origin: Origin, policy: RequestPolicy) -> tuple[bool, bool]:
        """Return whether loopback and private addresses are fine; refuse plain HTTP to those it is not for."""
        authority = origin.authority
        insecure = self.settings.is_insecure(authority)
        if origin.scheme != "https" and not insecure:
            message = f"{quote(authority)} is not asked over {origin.scheme}: plain HTTP {NEEDS_INSECURE}"
            raise ForbiddenAddressError(message)
        named = fold(authority) in policy.literal_hosts or self.settings.names(authority)
        return insecure, named

    def _context(self, request: Request, policy: RequestPolicy) -> ssl.SSLContext:
        authority = request.url.origin.authority
        pem = request.ca if request.ca is not None else policy.ca.get(fold(authority), self.settings.ca_of(authority))
        return self._contexts.get(pem)

    def _connect(
        self, origin: Origin, rules: tuple[bool, bool], context: ssl.SSLContext | None, guard: Guard
    ) -> Connection:
        loopback, private = rules
        found = self._resolver.resolve(origin.host, guard.deadline)
        addresses = vet(origin.authority, found, loopback=loopback, private=private)
        connection = Connection(origin, addresses, guard, context)
        try:
            connection.connect()
        except OSError as error:
            raise connect_error(origin, error, guard) from error
        return connection

    def _exchange(self, key: object, connection: Connection, request: Request) -> Response:
        """Send a request on a connection; keep the connection if the response was read to its end, else close it."""
        reusable = False
        try:
            response, reusable = converse(connection, request)
        except (OSError, InvalidResponseError, ValueError) as error:
            raise exchange_error(request.url.origin, error, connection.guard) from error
        finally:
            if reusable:
                self._idle.keep(key, connection)
            else:
                connection.close()
        return response


class _StaleConnectionError(UnreachableError):
    """The connection was closed before any byte of a response came."""


def converse(connection: Connection, request: Request) -> tuple[Response, bool]:
    """Send a request on a connection; return the response, and whether the connection can be used again.

    Raises:
        VerificationError: a successful response had more bytes than the request's limit.
        UnavailableError: its headers do not end, or its encoding was not requested.
        OSError, InvalidResponseError, ValueError: see `exchange_error`.
    """
    connection.send(_head_of(request))
    if request.body:
        connection.send(request.body)
    parser = ResponseParser(bodiless=request.method == "HEAD")
    try:
        while not parser.status:
            parser.feed(connection.receive())
    except (FloodError, HeadTooLargeError):
        raise UnavailableError(f"{connection.guard.doing}: its headers do not end") from None
    body, complete = _read_body(connection, parser, request)
    connection.guard.left()  # a response after the deadline does not count
    return Response(parser.status, parser.headers, body), complete and parser.reusable


def _head_of(request: Request) -> bytes:
    """Return the request line and the headers.

    Raises:
        ValueError: they cannot be sent.
    """
    target = request.url.target
    # Signed requests come with a host and a length of their own. Servers refuse a header line that is there twice
    # (RFC 9112, 3.2 and 6.3), and the host is always that of the URL.
    given = {"host": ""} | {name.lower(): f"{name}: {value}" for name, value in request.headers.items()}
    given["host"] = f"Host: {request.url.origin.authority}"
    given.setdefault("user-agent", "User-Agent: sealgate")
    given.setdefault("accept-encoding", "Accept-Encoding: identity")
    if request.body is not None or request.method in _BODY_METHODS:
        given.setdefault("content-length", f"Content-Length: {len(request.body or b'')}")
    lines = [f"{request.method} {target} HTTP/1.1", *given.values()]
    # Lines may have tabs in them, and no other control character.
    if " " in target or _UNSENDABLE.search("\t".join(lines)):
        raise ValueError("the request has characters that cannot be sent")
    return "\r\n".join((*lines, "\r\n")).encode("latin-1")


def allowance(limit: int) -> int:
    """Return how many bytes may be received for a body of at most `limit`, with headers and an eighth for framing."""
    return limit + limit // 8 + _HEADER_BYTES


def _read_body(connection: Connection, parser: ResponseParser, request: Request) -> tuple[bytes, bool]:
    """Return the body, and whether it is complete; of a response that is not a success only the beginning is read."""
    guard = connection.guard
    good = parser.status in _OK
    limit = request.limit if good else MAX_ERROR_BYTES
    encoding = parser.headers.get("content-encoding", "identity")
    if good and encoding != "identity":
        raise UnavailableError(
            f"{guard.doing}: it answers in the encoding {quote(encoding, 40)}, which was not requested"
        )
    if not good:
        guard.allowance = guard.received + allowance(limit)
    try:
        _receive_body(connection, parser, limit)
    except FloodError:
        if good:
            msg = f"{guard.doing}: it answers with more than {limit} bytes"
            raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE) from None
        return bytes(parser.body[:limit]), False
    return bytes(parser.body), True


def _receive_body(connection: Connection, parser: ResponseParser, limit: int) -> None:
    """Receive the body to its end; raise `FloodError` as soon as it is, or declares, more than the limit."""
    if parser.length > limit:
        raise FloodError
    while not parser.complete and len(parser.body) <= limit:
        parser.feed(connection.receive())
    if len(parser.body) > limit:
        raise FloodError


def _without_authorization(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "authorization"}


def connect_error(origin: Origin, error: Exception, guard: Guard) -> UnavailableError:
    """Return the error for a connection that cannot be made."""
    if isinstance(error, TimeoutError) and error.errno is None:  # with a number it is the system's own timeout
        return guard.ran_out()
    host = quote(origin.authority)
    if isinstance(error, ssl.SSLCertVerificationError):
        why = quote(error.verify_message.rstrip("."), 160)
        return UnavailableError(f"the certificate of {host} does not verify: {why}; if it is private, configure its CA")
    if isinstance(error, ConnectionRefusedError):
        return _RefusedError(f"{host} refuses connections")
    if isinstance(error, ssl.SSLError) and error.reason not in _NOT_TLS and not isinstance(error, _CLOSED):
        return UnavailableError(f"no TLS with {host}: {quote(error.reason or error, 80)}")
    if origin.scheme == "https" and isinstance(error, ssl.SSLError | ConnectionError):
        return NotTLSError(
            f"{host} breaks off the TLS handshake; if it is meant to be without TLS, list it as insecure"
        )
    return UnreachableError(f"{host} cannot be reached: {_cause(error)}")


class _RefusedError(NotTLSError):
    """No process listens at that port. For a host without a port, one may still listen at the port of plain HTTP."""


def exchange_error(origin: Origin, error: Exception, guard: Guard) -> UnavailableError:
    """Return the error for a request that cannot be sent, or whose response is not valid HTTP."""
    msg = f"{quote(origin.authority)} broke off: {_cause(error)}"
    if isinstance(error, OSError | NoResponseError):
        return _StaleConnectionError(msg) if guard.received == 0 else UnreachableError(msg)
    return UnavailableError(msg)


def _cause(error: Exception) -> str:
    """Return a short cause: the text of the system, or of the parser; never text that the other side sent."""
    if isinstance(error, OSError) and error.strerror:
        return quote(error.strerror, 80)
    return str(error) if isinstance(error, InvalidResponseError) else "its answer is not HTTP"
