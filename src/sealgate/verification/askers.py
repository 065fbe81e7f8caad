"""Which answers in memory a review may take over, by the identity of its credentials at each image's registry.

Answers are shared between callers with equal credentials, and with every caller where they were obtained anonymously.
A verified finding is shared besides with a caller to whom the registry gives the manifest (`FindingCache.grant`).

An identity is only computed where a registry is known to ask who comes, and where something in memory was obtained
with credentials. Elsewhere no credentials are read at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from sealgate.references import Repository
    from sealgate.registry.callers import Access, Caller, Identity
    from sealgate.registry.credentials import Candidate
    from sealgate.verification.network import Network

#: A caller's identity for each place that a repository's content is read from, in order.
Holder = tuple["Identity", ...]
#: Candidates by the repository that they are for.
Read = dict["Repository", "Sequence[Candidate]"]


class Asker:
    """One review's caller, as one repository sees it.

    Args:
        network: the registries.
        caller: the review's credentials.
        repository: the image's.

    Attributes:
        repository: the image's.
    """

    def __init__(self, network: Network, caller: Caller, repository: Repository) -> None:
        self._network = network
        self._caller = caller
        self.repository = repository
        self._places = network.places(repository)

    @property
    def holder(self) -> Holder | None:
        """The caller's identity from memory; None if credentials would have to be read."""
        found = []
        for place in self._places:
            identity = self._caller.cached_identity(place)
            if identity is None:
                return None
            found.append(identity)
        return tuple(found)

    @property
    def key(self) -> Hashable:
        """What work for this caller may be joined by: equal identities, or where that is not known equal sources."""
        holder = self.holder
        return self._caller.source if holder is None else holder

    @property
    def must_read(self) -> bool:
        """Whether credentials must be read before it is known which answers the caller may take over."""
        return self.holder is None and self._network.asks(self.repository)

    def read(self) -> Read:
        """Read the caller's credentials; may wait for a network.

        Raises:
            UnavailableError: they could not be read.
        """
        return {place: self._caller.candidates(place) for place in self._places}

    def learn(self, read: Mapping[Repository, Sequence[Candidate]]) -> None:
        """Take over what was read for a caller with the same source."""
        for place, candidates in read.items():
            self._caller.learn(place, candidates)

    def require_holder(self) -> Holder:
        """Return the caller's identity; may wait for a network.

        Raises:
            UnavailableError: the credentials could not be read.
        """
        return tuple(self._caller.identity(place) for place in self._places)

    def has(self, access: Access) -> bool:
        """Return whether an answer of that access would be the same for the caller; see `Caller.has`."""
        return self._caller.has(access)

    def access(self, holder: Holder) -> Access:
        """Return the access of an answer that this holder obtains from the repository."""
        return tuple(sorted(zip(self._places, holder, strict=True)))
