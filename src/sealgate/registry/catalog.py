"""The repositories of a registry, where it has a catalog (`GET /v2/_catalog`) and lets the caller read it.

Docker Hub, GHCR and Quay give none out; docker-registry, Harbor, Azure and OpenShift do, most of them to administrators
only. What a catalog lists is foreign text: an entry that is not the name of a repository is left out.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sealgate.errors import InvalidReferenceError
from sealgate.messages import quote
from sealgate.references import Repository
from sealgate.registry.names import check_repository
from sealgate.registry.pages import read_names
from sealgate.registry.requests import Location, RegistryRequests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealgate.http.client import RequestPolicy
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.state import SharedState

_TARGET = "/v2/_catalog"


class Catalogs:
    """Reads of catalogs with one set of credentials, under one deadline.

    Args:
        state: what all users of one client share.
        credentials: the caller's credentials; those for a whole registry are sent.
        policy: deadline, and the hosts that the configuration names literally.
    """

    def __init__(self, state: SharedState, credentials: CredentialProvider, policy: RequestPolicy) -> None:
        self._policy = policy
        self._requests = RegistryRequests(state, credentials)

    def repositories(self, registry: str, limit: int) -> tuple[Repository, ...]:
        """Return the repositories of a registry, each once, in the registry's order.

        Args:
            registry: its host, as references spell it.
            limit: the most repositories to accept.

        Raises:
            NotFoundError: the registry has no catalog.
            VerificationError: there are more than `limit`, or the list is malformed.
            UnavailableError: the registry could not be asked, or does not let the caller read it (and its subclasses).
        """
        # Without a path, a token is asked for the catalog.
        location, what = Location(Repository(registry, ""), self._policy), f"the catalog of {quote(registry)}"
        names = read_names(self._requests, location, _TARGET, "repositories", what, limit)
        return tuple(_valid(Repository(registry, name) for name in names))


def _valid(repositories: Iterable[Repository]) -> Iterator[Repository]:
    for repository in repositories:
        with suppress(InvalidReferenceError):
            check_repository(repository)
            yield repository
