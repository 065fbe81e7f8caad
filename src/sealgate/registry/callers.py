"""The credentials that a registry is asked with, and the callers that may share an answer obtained with them.

A registry may answer another caller differently, and an answer may be meant for one caller only. Every answer therefore
comes with its *access*: each repository whose credentials were read for it, with the identity of the caller there.
Empty access means that no registry asked for credentials: every caller sends the same request and gets the same answer.
Identities without any credentials mean that a registry asked and was answered anonymously.

Identities are structures of fingerprints, never joined text: two pull secrets `a` and `b` are not one named `a,b`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sealgate.registry.credentials import first_different

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from sealgate.references import Repository
    from sealgate.registry.credentials import Candidate, CredentialProvider, Credentials

#: The fingerprints of the credentials that a caller has for one repository, in the order tried; empty for none.
Identity = tuple[bytes, ...]
#: Repositories whose credentials were read for an answer, and the caller's identity at each.
Access = tuple[tuple["Repository", Identity], ...]
#: The access of an answer for which no registry asked for credentials.
OPEN: Access = ()


class Caller:
    """The credentials of one request. Each repository's are read once, so that they do not change during the request.

    Args:
        provider: reads the credentials.
    """

    def __init__(self, provider: CredentialProvider) -> None:
        self._provider = provider
        self._candidates: dict[Repository, Sequence[Candidate]] = {}
        self._credentials: dict[Repository, tuple[Credentials, ...]] = {}
        # Credentials that were read do not change, and every look-up in a cache compares identities.
        self._identities: dict[Repository, Identity] = {}

    @property
    def source(self) -> Hashable:
        """The source of the credentials: callers with equal sources have equal credentials."""
        return self._provider.source

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return the candidates to try for a repository; may wait for the network the first time.

        Raises:
            UnavailableError: they could not be read.
        """
        known = self._candidates.get(repository)
        return known if known is not None else self.adopt(repository, self._provider.candidates(repository))

    def cached(self, repository: Repository) -> Sequence[Candidate] | None:
        """Return the candidates to try for a repository from memory; None if they would have to be read."""
        known = self._candidates.get(repository)
        if known is None:
            known = self._provider.cached(repository)
            if known is not None:
                known = self.adopt(repository, known)
        return known

    def adopt(self, repository: Repository, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Use candidates that were read from the same source, unless there are some; return those in use.

        Those in use have different credentials, and are at most `MAX_CREDENTIALS`: the others are not tried.
        """
        return self._candidates.setdefault(repository, first_different(candidates))

    def credentials(self, repository: Repository) -> tuple[Credentials, ...]:
        """Return the different credentials to try for a repository, in order, at most `MAX_CREDENTIALS`.

        Raises:
            UnavailableError: they could not be read.
        """
        known = self._credentials.get(repository)
        if known is None:
            known = tuple(candidate.credentials for candidate in self.candidates(repository))
            self._credentials[repository] = known
        return known

    def identity(self, repository: Repository) -> Identity:
        """Return the caller's identity at a repository; may wait for the network the first time.

        Raises:
            UnavailableError: the credentials could not be read.
        """
        known = self._identities.get(repository)
        if known is None:
            known = tuple(credentials.fingerprint for credentials in self.credentials(repository))
            self._identities[repository] = known
        return known

    def cached_identity(self, repository: Repository) -> Identity | None:
        """Return the caller's identity at a repository from memory; None if credentials would have to be read."""
        known = self._identities.get(repository)
        if known is None and self.cached(repository) is not None:
            known = self.identity(repository)
        return known

    def may_use(self, access: Access) -> bool:
        """Return whether an answer with this access would be the same for this caller. Does not wait.

        Credentials that would have to be read first count as different.
        """
        return all(self.cached_identity(repository) == identity for repository, identity in access)


def access_of(identities: Mapping[Repository, Identity]) -> Access:
    """Return the access of an answer.

    Args:
        identities: every repository whose credentials were read, with the caller's identity there.
    """
    return _shared(tuple(sorted(identities.items())))


def is_anonymous(access: Access) -> bool:
    """Return whether an answer with this access was obtained without credentials."""
    return not any(identity for _, identity in access)


def join_access(accesses: Iterable[Access]) -> Access:
    """Return the access of a result that was made of several answers."""
    return access_of({repository: identity for access in accesses for repository, identity in access})


@lru_cache(4096)
def _shared(access: Access) -> Access:
    """Return the same object for equal accesses: thousands of cached answers have the same few."""
    return access
