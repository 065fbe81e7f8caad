"""The registry client: one for each process, a session of it for each verification, and a writer for each signing.

The client holds what sessions share: connections, tokens, how each registry authenticates, which hosts asked for a
pause, which registries lack the referrers API. A session adds credentials, a deadline, and the hosts that the
configuration names literally.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.clocks import SystemClock
from sealgate.http.client import RequestPolicy
from sealgate.http.services import ServiceClient
from sealgate.http.settings import HostSettings, api_host
from sealgate.http.urls import parse_origin
from sealgate.registry.auth import RegistryAuth
from sealgate.registry.catalog import Catalogs
from sealgate.registry.session import Session
from sealgate.registry.state import HostFacts, SharedState
from sealgate.registry.tags import TagLists
from sealgate.registry.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.clocks import Clock, Deadline
    from sealgate.http.client import RequestObserver
    from sealgate.http.dns import Resolver
    from sealgate.http.urls import Origin
    from sealgate.references import Repository
    from sealgate.registry.credentials import CredentialProvider


class RegistryClient(ServiceClient):
    """Opens sessions with registries, and sends requests to services. Long-lived and thread-safe.

    Args:
        settings: how single hosts are reached; none is special by default.
        clock: the time, and the TTLs of what is cached; the system's by default.
        resolver: resolves names to addresses; the system's by default.
        observer: counts requests.

    Attributes:
        state: what the sessions share.

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
        super().__init__(settings, clock=clock, resolver=resolver, observer=observer)
        auth = RegistryAuth(self.http, clock)
        self.state = SharedState(self.http, auth, self.settings, HostFacts(clock), HostFacts(clock))

    def session(
        self, credentials: CredentialProvider, deadline: Deadline, literal_hosts: frozenset[str] = frozenset()
    ) -> Session:
        """Return reads of registries for one verification.

        Args:
            credentials: the caller's credentials for each repository.
            deadline: for all reads together.
            literal_hosts: hosts that a policy or authenticator names literally, as references spell them; only they,
                and hosts that the settings name, may have private addresses.
        """
        return Session(self.state, credentials, RequestPolicy(deadline, literal_hosts))

    def writer(
        self, credentials: CredentialProvider, deadline: Deadline, literal_hosts: frozenset[str] = frozenset()
    ) -> Writer:
        """Return writes to registries for one piece of work; see `session` for the arguments."""
        return Writer(self.state, credentials, RequestPolicy(deadline, literal_hosts))

    def tag_lists(
        self, credentials: CredentialProvider, deadline: Deadline, literal_hosts: frozenset[str] = frozenset()
    ) -> TagLists:
        """Return reads of the lists of tags; see `session` for the arguments."""
        return TagLists(self.state, credentials, RequestPolicy(deadline, literal_hosts))

    def catalogs(
        self, credentials: CredentialProvider, deadline: Deadline, literal_hosts: frozenset[str] = frozenset()
    ) -> Catalogs:
        """Return reads of the catalogs of registries; see `session` for the arguments."""
        return Catalogs(self.state, credentials, RequestPolicy(deadline, literal_hosts))

    def locations(self, repository: Repository) -> tuple[Repository, ...]:
        """Return the repositories that are read for a repository: that of its mirror, if it has one, then itself."""
        mirror = self.settings.mirrors.get(repository.registry)
        return (repository,) if mirror is None else (repository._replace(registry=mirror), repository)

    def needs_credentials(self, repository: Repository) -> bool:
        """Return whether a location of a repository is known to ask for credentials, so that answers depend on them."""
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
