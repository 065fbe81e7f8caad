"""Where the trust data of a repository is: its notary server, and the addresses there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from sealgate.references import DOCKER_HUB
from sealgate.trusted_state.records import TrustKey

if TYPE_CHECKING:
    from sealgate.references import Repository
    from sealgate.registry.interface import Registry

_DOCKER_HUB_SERVER = "https://notary.docker.io"


@dataclass(frozen=True, slots=True)
class NotaryServer:
    """The notary server that a user or policy chose.

    Attributes:
        url: address in one spelling (`one_spelling`); None for each repository's own registry, as DTR has it.
        ca: PEM bundle of CA certificates for the server; None for the system's.
    """

    url: str | None = None
    ca: str | None = None

    def url_of(self, repository: Repository) -> str:
        """Return the address of the server that has the trust data of a repository."""
        if self.url is not None:
            return self.url
        return _DOCKER_HUB_SERVER if repository.registry == DOCKER_HUB else f"https://{repository.registry}"

    def host_of(self, repository: Repository) -> str:
        """Return the host of that server."""
        return urlsplit(self.url_of(repository)).netloc

    def key_of(self, repository: Repository) -> TrustKey:
        """Return the key of the repository's trusted state."""
        return TrustKey(self.url_of(repository), repository.name)

    def base_of(self, repository: Repository) -> str:
        """Return the address that the names of a repository's files follow, with a slash at its end."""
        return f"{self.url_of(repository)}/v2/{quote(repository.name, safe='/:')}/_trust/tuf/"

    def fetch(self, registry: Registry, repository: Repository, name: str, limit: int) -> bytes:
        """Fetch a file.

        Args:
            registry: sends the request.
            repository: whose file it is.
            name: name of the file without `.json`.
            limit: maximum bytes.

        Raises:
            NotFoundError: the server does not have it.
            VerificationError: it is larger than `limit`.
            UnavailableError: the server could not be asked (and its subclasses).
        """
        url = f"{self.base_of(repository)}{name}.json"
        return registry.document(url, repository.name, limit=limit, ca=self.ca, named=self.url is not None)


def one_spelling(server: str) -> str:
    """Return a server's address with its host in lower case and no slash at its end."""
    parts = urlsplit(server)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"
