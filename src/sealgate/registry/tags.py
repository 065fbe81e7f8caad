"""The tags of a repository, for people and for runs over whole repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.messages import quote
from sealgate.registry.names import check_repository
from sealgate.registry.pages import read_names
from sealgate.registry.requests import Location, RegistryRequests

if TYPE_CHECKING:
    from sealgate.http.client import RequestPolicy
    from sealgate.references import Repository
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.state import SharedState


class TagLists:
    """Reads of lists of tags with one set of credentials, under one deadline.

    Args:
        state: what all users of one client share.
        credentials: the caller's credentials for each repository.
        policy: deadline, and the hosts that the configuration names literally.
    """

    def __init__(self, state: SharedState, credentials: CredentialProvider, policy: RequestPolicy) -> None:
        self._policy = policy
        self._requests = RegistryRequests(state, credentials)

    def tags(self, repository: Repository, limit: int) -> tuple[str, ...]:
        """Return the tags of a repository, each once, in the registry's order.

        Args:
            repository: the repository.
            limit: the most tags to accept.

        Raises:
            InvalidReferenceError: the repository is not valid.
            NotFoundError: the registry does not have the repository.
            VerificationError: there are more than `limit`, or the list is malformed.
            UnavailableError: the registry could not be asked (and its subclasses).
        """
        check_repository(repository)
        location, what = Location(repository, self._policy), f"the list of tags of {quote(repository.name)}"
        return read_names(self._requests, location, location.target("tags/list"), "tags", what, limit)
