"""Requests to HTTP services that an authenticator or a key entry names: signature stores and KMSs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.clocks import SystemClock
from sealgate.errors import ConfigError, UnavailableError
from sealgate.http.client import Follow, HTTPClient, Request, RequestPolicy
from sealgate.http.dns import SystemResolver
from sealgate.http.interface import MAX_RESPONSE_BYTES, Response
from sealgate.http.settings import HostSettings, fold
from sealgate.http.urls import parse_url
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from sealgate.clocks import Clock, Deadline
    from sealgate.http.client import RequestObserver
    from sealgate.http.dns import Resolver


class ServiceClient:
    """Owns the connections to HTTP services. Long-lived and thread-safe; a context manager, or call `close`.

    Args:
        settings: how single hosts are reached; none is special by default.
        clock: the time; the system's by default.
        resolver: resolves names to addresses; the system's by default.
        observer: counts requests.

    Attributes:
        settings: how single hosts are reached.
        http: sends the requests.

    Raises:
        ConfigError: a CA bundle of the settings does not parse.
    """

    def __init__(
        self,
        settings: HostSettings | None = None,
        *,
        clock: Clock | None = None,
        resolver: Resolver | None = None,
        observer: RequestObserver | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.settings = settings or HostSettings()
        self.http = HTTPClient(self.settings, clock, resolver or SystemResolver(clock), observer)

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close every idle connection, and keep none open from now on."""
        self.http.close()

    def on_pause(self, listener: Callable[[str, float], None]) -> None:
        """Have a function called whenever a host asks for a pause; see `HTTPClient.on_pause`."""
        self.http.on_pause(listener)

    def services(self, deadline: Deadline) -> ServiceRequests:
        """Return requests to services, all of which must be over by one deadline."""
        return ServiceRequests(self.http, deadline)


class ServiceRequests:
    """Requests to services under one deadline; see `sealgate.http.interface.Services`.

    Args:
        http: sends the requests.
        deadline: for all requests together.
    """

    def __init__(self, http: HTTPClient, deadline: Deadline) -> None:
        self._http = http
        self._deadline = deadline

    def request(  # noqa: PLR0913 - the parts of an HTTP request are these
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = MAX_RESPONSE_BYTES,
        ca: str | None = None,
        seconds: float | None = None,
    ) -> Response:
        """See `Services.request`. A redirect to another host is returned, not followed."""
        parsed = parse_url(url)
        # The authenticator or key entry names the host literally, so it may have a private address.
        deadline = self._deadline if seconds is None else self._deadline.within(seconds)
        policy = RequestPolicy(deadline, frozenset({fold(parsed.origin.authority)}))
        request = Request(parsed, limit, method, headers or {}, body, Follow.SAME_ORIGIN, ca)
        try:
            return self._http.send(request, policy).response
        except ConfigError as error:
            raise UnavailableError(error.message, reason=Reason.AUTHENTICATOR_NOT_READY) from error
