"""The interface between the clouds' registries and everything else.

One module in `providers` speaks to one cloud: its function `open_login` makes a `RegistryLogin` of an entry in the
settings, and it has a line in `PROVIDERS` of `sealgate.pull_credentials.opening`. It is imported only where the
settings name it. Caching, single flight and retries are the same for all (`leases.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sealgate.http.interface import Services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.http.interface import Response
    from sealgate.http.metadata import MetadataEndpoint
    from sealgate.pull_credentials.settings import PlatformCredentials
    from sealgate.registry.credentials import Login

#: The most characters of a secret: tokens of clouds have up to 4,000.
MAX_SECRET: Final = 16 << 10


@dataclass(frozen=True, slots=True)
class Issued:
    """A secret for a registry, as a cloud issued it.

    Attributes:
        login: the secret.
        seconds: how long it is valid, in seconds from now.
    """

    login: Login
    seconds: float


class CloudServices(Services, Protocol):
    """Requests to services of a cloud, and to the metadata service of this node, under one deadline."""

    def metadata(
        self, endpoint: MetadataEndpoint, headers: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> Response:
        """Ask a metadata service; see `MetadataClient.get`. Only logins of entries with `metadata_service` do so."""


class RegistryLogin(Protocol):
    """The platform's identity, exchanged for a secret of one registry. Thread-safe."""

    @property
    def identity(self) -> tuple[str, ...]:
        """All that tells one identity from another at the cloud, and stays when its token is renewed; not empty."""

    @property
    def token_services(self) -> frozenset[str]:
        """Hosts of the cloud besides the registry that the secret may go to: where the registry's tokens are issued."""

    @property
    def who(self) -> str:
        """The identity for messages ("the IAM role arn:aws:iam::111122223333:role/sealgate")."""

    @property
    def remedy(self) -> str:
        """What to do when the cloud refuses ("permit ecr:GetAuthorizationToken to the role")."""

    def log_in(self, services: CloudServices, clock: Clock) -> Issued:
        """Obtain a secret.

        Only addresses that are fixed for the host are asked, and the host itself; and the metadata service, where the
        entry says so.

        Args:
            services: sends the requests, under one deadline.
            clock: the time, which requests are signed with.

        Raises:
            UnavailableError: there is no secret (and its subclasses). The message holds none either.
        """


class OpenLogin(Protocol):
    """How a provider's module makes a `RegistryLogin`."""

    def __call__(self, entry: PlatformCredentials, host: str, environ: Mapping[str, str]) -> RegistryLogin:
        """Return what logs in to a registry; nothing is read or sent yet.

        Args:
            entry: the entry of the settings that lists the host.
            host: the registry, as references spell it.
            environ: the environment of this process.

        Raises:
            ConfigError: the cloud runs no registry at this host, or a parameter is missing or unknown. An identity that
                the platform has not given is not an error here: it costs only the images that need it.
        """
