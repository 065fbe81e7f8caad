"""What the verifier needs of the network, as a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.clocks import Deadline
    from sealgate.http.interface import Services
    from sealgate.references import Repository
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.interface import Registry


class Network(Protocol):
    """Opens sessions with registries and services; `sealgate.registry.client.RegistryClient` is one. Thread-safe."""

    def session(self, credentials: CredentialProvider, deadline: Deadline, literal_hosts: frozenset[str]) -> Registry:
        """Return reads of registries with these credentials, under this deadline.

        Args:
            credentials: credentials for each repository.
            deadline: for all reads together.
            literal_hosts: hosts that a policy or authenticator names literally; they may have private addresses.
        """

    def services(self, deadline: Deadline) -> Services:
        """Return requests to signature stores, under this deadline."""

    def locations(self, repository: Repository) -> tuple[Repository, ...]:
        """Return the repositories that are read for a repository: that of its mirror, if it has one, then itself."""

    def needs_credentials(self, repository: Repository) -> bool:
        """Return whether a location of a repository is known to ask for credentials, so that answers depend on them."""

    def on_pause(self, listener: Callable[[str, float], None]) -> None:
        """Have a function called whenever a host asks for a pause.

        Args:
            listener: called with `host[:port]` as references spell it, and the seconds of the pause, in the thread
                that got the response and under no lock; must not raise.
        """
