"""The registry client: one for the process, and a session of it for each verification.

What is worth remembering between requests is here and shared: connections, tokens, how each registry wants to be
asked, which hosts want to be left alone, which registries have no referrers API. A session adds whose credentials
are used, until when, and which hosts somebody named literally.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.clocks import SystemClock
from sealgate.errors import ConfigError, UnavailableError
from sealgate.http.client import Follow, HTTPClient, Request, RequestPolicy
from sealgate.http.dns import SystemResolver
from sealgate.http.interface import MAX_RESPONSE_BYTES, Response
from sealgate.http.settings import RegistrySettings, api_host, fold
from sealgate.http.urls import parse_origin, parse_url
from sealgate.reasons import Reason
from sealgate.registry.auth import RegistryAuth
from sealgate.registry.session import Session
from sealgate.registry.state import HostFacts, SharedState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from sealgate.clocks import Clock, Deadline
    from sealgate.http.client import RequestObserver
    from sealgate.http.dns import Resolver
    from sealgate.http.urls import Origin
    from sealgate.references import Repository
    from sealgate.registry.credentials import CredentialProvider


class RegistryClient:
    """Everything that talks to registries and signature stores. Long-lived and thread-safe; close it at the end.

    Args:
        settings: what is special about single hosts.
        clock: the time, of everything that is remembered.
        resolver: names to addresses; the machine's own by default.
        observer: told of every request.

    Raises:
        ConfigError: a CA bundle of the settings does not parse.
    """

    def __init__(
        self,
        settings: RegistrySettings | None = None,
        *,
        clock: Clock | None = None,
        resolver: Resolver | None = None,
        observer: RequestObserver | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.settings = settings or RegistrySettings()
        self.http = HTTPClient(self.settings, clock, resolver or SystemResolver(clock), observer)
        self.state = SharedState(
            self.http, RegistryAuth(self.http, clock), self.settings, HostFacts(clock), HostFacts(clock)
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close every idle connection, and keep none from now on."""
        self.http.close()

    def session(
        self, credentials: CredentialProvider, deadline: Deadline, literal_hosts: frozenset[str] = frozenset()
    ) -> Session:
        """Return reads of registries for one verification.

        Args:
            credentials: who asks.
            deadline: when all of it must be over.
            literal_hosts: registries that a policy or authenticator names literally, as references have them;
                only they (and those that the settings name) may have private addresses.
        """
        return Session(self.state, credentials, RequestPolicy(deadline, literal_hosts))

    def locations(self, repository: Repository) -> tuple[Repository, ...]:
        """Return the repositories that are asked for a repository's content: its mirror's, then itself."""
        mirror = self.settings.mirrors.get(repository.registry)
        return (repository,) if mirror is None else (repository._replace(registry=mirror), repository)

    def needs_credentials(self, repository: Repository) -> bool:
        """Return whether one of those places is known to ask who comes, so that credentials count there."""
        return any(
            self.state.auth.challenged(origin)
            for location in self.locations(repository)
            for origin in self._origins(location)
        )

    def _origins(self, location: Repository) -> Iterator[Origin]:
        authority = api_host(location.registry)
        yield parse_origin("https", authority)
        if self.settings.is_insecure(location.registry):
            yield parse_origin("http", authority)

    def services(self, deadline: Deadline) -> ServiceRequests:
        """Return requests to signature stores for one verification."""
        return ServiceRequests(self.http, deadline)


class ServiceRequests:
    """Requests to servers that an authenticator names; see `sealgate.http.interface.Services`.

    Args:
        http: how they are asked.
        deadline: when all of it must be over.
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
    ) -> Response:
        """See `Services.request`. A redirect to another host is returned as it came."""
        parsed = parse_url(url)
        # The authenticator names it literally, so it may have a private address.
        policy = RequestPolicy(self._deadline, frozenset({fold(parsed.origin.authority)}))
        request = Request(parsed, limit, method, headers or {}, body, Follow.SAME_ORIGIN, ca)
        try:
            return self._http.send(request, policy).response
        except ConfigError as error:
            raise UnavailableError(error.message, reason=Reason.AUTHENTICATOR_NOT_READY) from error
