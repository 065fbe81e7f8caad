"""What the verifier asks of the network, as a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate.http.interface import Services
    from sealgate.references import Repository
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.interface import Registry


class Network(Protocol):
    """Where sessions come from; `sealgate.registry.client.RegistryClient` is one."""

    def session(self, credentials: CredentialProvider, deadline: Deadline, literal_hosts: frozenset[str]) -> Registry:
        """Return reads of registries with these credentials under this deadline."""

    def services(self, deadline: Deadline) -> Services:
        """Return requests to signature stores under this deadline."""

    def places(self, repository: Repository) -> tuple[Repository, ...]:
        """Return the repositories that are asked for a repository's content, the first to ask first."""

    def asks(self, repository: Repository) -> bool:
        """Return whether one of those places is known to ask who comes, so that credentials count there."""
