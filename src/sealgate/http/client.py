"""HTTP as sealgate does it: one policy for every request, whoever asks for it.

A request has one deadline for everything (name, connection, handshake, headers, body, redirects, pauses) and one
limit of bytes. Every host it goes to, after each redirect too, is vetted: plain HTTP and loopback only where the
settings list the host as insecure, addresses as `sealgate.http.addresses` has it. `Authorization` stays with
the origin it was made for. There are no cookies, no proxies or passwords from the environment, and nothing is
decoded: an answer that is compressed although nobody asked for that is refused.
"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import urllib3.exceptions

from sealgate.errors import ForbiddenAddressError, SealgateError, UnavailableError, VerificationError
from sealgate.http.addresses import vet
from sealgate.http.connections import Connection, FloodError, Guard, PlainConnection, TLSConnection
from sealgate.http.interface import MAX_RESPONSE_BYTES, Response
from sealgate.http.pauses import Pauses
from sealgate.http.pools import IdleConnections
from sealgate.http.settings import fold
from sealgate.http.tls import TLSContexts
from sealgate.http.urls import URL, join_url
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3.response import HTTPResponse

    from sealgate.clocks import Clock, Deadline
    from sealgate.http.dns import Resolver
    from sealgate.http.settings import RegistrySettings
    from sealgate.http.urls import Origin

#: The most redirects that one request follows.
MAX_REDIRECTS = 5
#: The most bytes of an answer that is no success; what is beyond is not read.
MAX_ERROR_BYTES = 64 << 10
#: What headers may take beyond the body's own bytes.
_HEADER_BYTES = 128 << 10
_READ_BYTES = 1 << 20

_OK = range(200, 300)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_TOO_MANY_REQUESTS = 429
_SERVICE_UNAVAILABLE = 503
#: What OpenSSL says when the other side does not speak TLS at all.
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
)


class RequestObserver(Protocol):
    """Told of every request that left (for metrics). Called from many threads."""

    def request(self, host: str, outcome: str) -> None:
        """Count one request.

        Args:
            host: `host[:port]`; foreign text where wildcards let hosts in, so bound it before it becomes a label.
            outcome: the HTTP status ("200"), or the reason of the error ("RegistryUnavailable").
        """


class NotTLSError(UnavailableError):
    """A host that was asked over TLS does not speak it."""


class Follow(Enum):
    """Which redirects a request follows."""

    ANYWHERE = "anywhere"
    SAME_ORIGIN = "same origin"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for.

    Attributes:
        url: of whom and what.
        limit: the most bytes of a successful answer's body.
        method: "GET".
        headers: beyond those that every request has.
        body: the bytes to send, if any.
        follow: which redirects are followed; only those of GET and HEAD ever are.
        ca: a PEM bundle instead of the settings' or the system's.
    """

    url: URL
    limit: int = MAX_RESPONSE_BYTES
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    follow: Follow = Follow.ANYWHERE
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """Under what terms a request leaves.

    Attributes:
        deadline: when it must be over.
        literal_hosts: hosts that somebody named literally, as references have them; they may have private addresses.
        ca: host -> PEM bundle instead of the settings' or the system's, its own token service included.
    """

    deadline: Deadline
    literal_hosts: frozenset[str]
    ca: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        response: status, headers and body.
        url: who answered in the end, after redirects.
    """

    response: Response
    url: URL


class HTTPClient:
    """Sends requests. Long-lived and thread-safe.

    Args:
        settings: what is special about single hosts.
        clock: the time, for pauses and idle connections.
        resolver: names to addresses.
        observer: told of every request.

    Raises:
        ConfigError: a CA bundle of the settings does not parse.
    """

    def __init__(
        self, settings: RegistrySettings, clock: Clock, resolver: Resolver, observer: RequestObserver | None = None
    ) -> None:
        self.settings = settings
        self._resolver = resolver
        self._observer = observer
        self._pauses = Pauses(clock)
        self._idle = IdleConnections(clock)
        self._contexts = TLSContexts()
        for pem in settings.ca.values():
            self._contexts.get(pem)

    def close(self) -> None:
        """Close all idle connections."""
        self._idle.close()

    def send(self, request: Request, policy: RequestPolicy) -> Answer:
        """Send a request, follow its redirects, and return the last answer, whatever its status.

        Raises:
            VerificationError: a successful answer had more bytes than the limit.
            ForbiddenAddressError: it, or a redirect, would have gone where none may go.
            RateLimitedError: the host asks to come back after the deadline, or asked so twice.
            DeadlineError: the time ran out.
            UnavailableError: no answer that makes sense.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = self._ask_with_patience(request, policy)
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

    def _ask_with_patience(self, request: Request, policy: RequestPolicy) -> Response:
        host = request.url.origin.authority
        for _ in range(2):
            self._pauses.wait(host, policy.deadline)
            response = self._ask_observed(request, policy)
            retry_after = response.headers.get("retry-after")
            limited = response.status == _TOO_MANY_REQUESTS
            if not limited and (response.status != _SERVICE_UNAVAILABLE or retry_after is None):
                return response
            self._pauses.begin(host, retry_after)
        raise self._pauses.error(host)

    def _ask_observed(self, request: Request, policy: RequestPolicy) -> Response:
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
        guard = Guard(policy.deadline, f"asking {quote(origin.authority)}", _allowance(request.limit))
        guard.left()
        rules = self._rules(origin, policy)
        context = self._context(request, policy) if origin.scheme == "https" else None
        place = (origin, rules, context)
        connection = self._idle.take(place)
        if connection is not None:
            connection.guard.renew(guard.deadline, guard.doing, guard.allowance)
            try:
                return self._exchange(place, connection, request)
            except _StaleConnectionError:
                if request.method not in _SAFE_METHODS:
                    raise
        return self._exchange(place, self._connect(origin, rules, context, guard), request)

    def _rules(self, origin: Origin, policy: RequestPolicy) -> tuple[bool, bool]:
        """Return whether loopback and private addresses are fine; refuse plain HTTP to those it is not for."""
        insecure = self.settings.is_insecure(origin.authority)
        if origin.scheme != "https" and not insecure:
            why = "plain HTTP needs the host to be listed as insecure"
            raise ForbiddenAddressError(f"{quote(origin.authority)} is not asked over {origin.scheme}: {why}")
        named = fold(origin.authority) in policy.literal_hosts or self.settings.names(origin.authority)
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
        connection: Connection
        if context is None:
            connection = PlainConnection(origin, addresses, guard)
        else:
            connection = TLSConnection(origin, addresses, guard, context)
        connected = False
        try:
            connection.connect()
            connected = True
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise _connect_error(origin, error, guard) from error
        finally:
            if not connected:
                connection.close()
        return connection

    def _exchange(self, place: object, connection: Connection, request: Request) -> Response:
        """Send and receive on one connection; keep it if its answer was read to the end, else close it."""
        reusable = False
        try:
            response, reusable = _converse(connection, request)
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise _exchange_error(request.url.origin, error, connection.guard) from error
        finally:
            if reusable:
                self._idle.keep(place, connection)
            else:
                connection.close()
        return response


class _StaleConnectionError(UnavailableError):
    """The connection ended before anything of an answer came."""


def _converse(connection: Connection, request: Request) -> tuple[Response, bool]:
    """Return the answer, and whether the connection can be used again."""
    headers = {"User-Agent": "sealgate", "Accept-Encoding": "identity", **request.headers}
    try:
        connection.request(request.method, request.url.target, request.body, headers, preload_content=False)
        raw = connection.getresponse()
    except FloodError:
        raise UnavailableError(f"{connection.guard.doing}: its headers do not end") from None
    try:
        names = {name.lower(): value for name, value in raw.headers.itermerged()}
        body, complete = _read_body(raw, request, connection.guard)
        connection.guard.left()  # an answer that comes too late is none
    finally:
        raw.close()
    return Response(raw.status, names, body), complete and connection.sock is not None


def _allowance(limit: int) -> int:
    """Return how many bytes may come in for a body of at most `limit`: the headers, and an eighth for framing."""
    return limit + limit // 8 + _HEADER_BYTES


def _read_body(raw: HTTPResponse, request: Request, guard: Guard) -> tuple[bytes, bool]:
    """Return the body, and whether that is all of it; of an answer that is no success the beginning will do."""
    good = raw.status in _OK
    limit = request.limit if good else MAX_ERROR_BYTES
    encoding = raw.headers.get("content-encoding", "identity")
    if good and encoding != "identity":
        raise UnavailableError(
            f"{guard.doing}: it answers in the encoding {quote(encoding, 40)}, which nobody asked for"
        )
    if not good:
        guard.allowance = guard.received + _allowance(limit)
    chunks: list[bytes] = []
    try:
        _read_into(chunks, raw, limit)
    except FloodError:
        if good:
            msg = f"{guard.doing}: it answers with more than {limit} bytes"
            raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE) from None
        return b"".join(chunks)[:limit], False
    return b"".join(chunks), True


def _read_into(chunks: list[bytes], raw: HTTPResponse, limit: int) -> None:
    """Append the body in pieces; raise `FloodError` as soon as it is, or declares, more than the limit."""
    if (raw.length_remaining or 0) > limit:
        raise FloodError
    left = limit
    while chunk := raw.read(min(left + 1, _READ_BYTES), decode_content=False):
        chunks.append(chunk)
        left -= len(chunk)
        if left < 0:
            raise FloodError


def _without_authorization(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "authorization"}


def _connect_error(origin: Origin, error: Exception, guard: Guard) -> UnavailableError:
    if isinstance(error, TimeoutError) and error.errno is None:  # with a number it is the system's own timeout
        return guard.ran_out()
    host = quote(origin.authority)
    if isinstance(error, ssl.SSLCertVerificationError):
        why = quote(error.verify_message.rstrip("."), 160)
        return UnavailableError(f"the certificate of {host} does not verify: {why}; if it is private, configure its CA")
    if isinstance(error, ConnectionRefusedError):
        return _RefusedError(f"{host} refuses connections")
    if isinstance(error, ssl.SSLError) and error.reason not in _NOT_TLS:
        return UnavailableError(f"no TLS with {host}: {quote(error.reason or error, 80)}")
    if origin.scheme == "https" and isinstance(error, ssl.SSLError | ConnectionError):
        return NotTLSError(
            f"{host} breaks off the TLS handshake; if it is meant to be without TLS, list it as insecure"
        )
    return UnavailableError(f"{host} cannot be reached: {_cause(error)}")


class _RefusedError(NotTLSError):
    """Nobody listens at that port: for a host without a port of its own, plain HTTP's port may be another matter."""


def _exchange_error(origin: Origin, error: Exception, guard: Guard) -> UnavailableError:
    msg = f"{quote(origin.authority)} broke off: {_cause(error)}"
    if guard.received == 0 and isinstance(error, OSError | http.client.RemoteDisconnected):
        return _StaleConnectionError(msg)
    return UnavailableError(msg)


def _cause(error: Exception) -> str:
    """Return a short cause: what the system says, or the kind of error; never what the other side sent."""
    if isinstance(error, OSError) and error.strerror:
        return quote(error.strerror, 80)
    return _CAUSES.get(type(error), "its answer is not HTTP")


_CAUSES = {
    http.client.RemoteDisconnected: "the connection was closed without an answer",
    http.client.IncompleteRead: "the answer ends too early",
    urllib3.exceptions.IncompleteRead: "the answer ends too early",
    urllib3.exceptions.ProtocolError: "the answer ends too early",
}
