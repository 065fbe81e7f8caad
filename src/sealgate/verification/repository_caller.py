"""The identity of a request's credentials at one repository, which decides what it may share with other callers.

Answers are shared between callers with equal credentials, and with every caller where they were obtained anonymously.
A verified finding is shared also with a caller whom the registry lets read the manifest (`FindingCache.grant`).

An identity is only computed where a registry is known to ask for credentials, and where something in a cache was
obtained with credentials. Elsewhere no credentials are read at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from sealgate.references import Repository
    from sealgate.registry.callers import Access, Caller, Identity
    from sealgate.registry.credentials import Candidate, Credentials
    from sealgate.verification.network import Network

#: A caller's identity at each location of a repository, in order.
Identities = tuple["Identity", ...]
#: Candidates for credentials by the repository that they are for.
Candidates = dict["Repository", "Sequence[Candidate]"]


class RepositoryCaller:
    """The caller of one request at one repository.

    Args:
        network: knows the locations of the repository, and whether they ask for credentials.
        caller: the credentials of the request.
        repository: the repository of the image.
        namespace: name of the namespace on whose behalf the request is.

    Attributes:
        repository: the repository of the image.
        namespace: name of the namespace on whose behalf the request is.
    """

    def __init__(self, network: Network, caller: Caller, repository: Repository, namespace: str) -> None:
        self._network = network
        self._caller = caller
        self.repository = repository
        self.namespace = namespace
        self._locations = network.locations(repository)

    @property
    def cached_identities(self) -> Identities | None:
        """The caller's identities, from memory; None if credentials would have to be read."""
        found = []
        for location in self._locations:
            identity = self._caller.cached_identity(location)
            if identity is None:
                return None
            found.append(identity)
        return tuple(found)

    @property
    def sharing_key(self) -> Hashable:
        """Callers with equal keys share work under way: equal identities, or equal sources where those are unknown."""
        identities = self.cached_identities
        return self._caller.source if identities is None else identities

    @property
    def must_read(self) -> bool:
        """Whether credentials must be read before it is known which answers the caller may share."""
        return self.cached_identities is None and self._network.needs_credentials(self.repository)

    def read(self) -> Candidates:
        """Read the caller's credentials; may wait for the network.

        Raises:
            UnavailableError: they could not be read.
        """
        return {location: self._caller.candidates(location) for location in self._locations}

    def adopt(self, candidates: Mapping[Repository, Sequence[Candidate]]) -> None:
        """Use credentials that were read for a caller with the same source."""
        for location, found in candidates.items():
            self._caller.adopt(location, found)

    def identities(self) -> Identities:
        """Return the caller's identities; may wait for the network.

        Raises:
            UnavailableError: the credentials could not be read.
        """
        return tuple(self._caller.identity(location) for location in self._locations)

    @property
    def locations(self) -> tuple[Repository, ...]:
        """The repositories that are read for the image's: that of its mirror, if it has one, then itself."""
        return self._locations

    def cached_credentials(self, repository: Repository) -> tuple[Credentials, ...] | None:
        """Return the caller's credentials for a repository, from memory; None if they would have to be read."""
        return None if self._caller.cached(repository) is None else self._caller.credentials(repository)

    def may_use(self, access: Access) -> bool:
        """Return whether an answer with this access would be the same for the caller; see `Caller.may_use`."""
        return self._caller.may_use(access)

    def access(self, identities: Identities) -> Access:
        """Return the access of an answer that a caller with these identities obtains from the repository."""
        return tuple(sorted(zip(self._locations, identities, strict=True)))
