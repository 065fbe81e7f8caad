"""Whose credentials a registry is asked with, and who may be given an answer that was obtained with them.

An answer of a registry may differ for another caller, and may be meant for this one only. So every answer comes with
its *access*: each repository whose credentials were looked up for it, with the identity of the caller there. Empty
access means that no registry asked who comes: every caller sends the same request and gets the same answer. Identities
without any credentials mean that a registry asked and was answered anonymously.

Identities are structures of fingerprints, never joined text: two pull secrets `a` and `b` are not one named `a,b`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from sealgate.references import Repository
    from sealgate.registry.credentials import Candidate, CredentialProvider, Credentials

#: The most credentials that are tried for one repository.
MAX_CREDENTIALS = 8

#: The fingerprints of the credentials that a caller has for one repository, in the order tried; empty for none.
Identity = tuple[bytes, ...]
#: Repositories whose credentials were looked up for an answer, and the caller's identity for each.
Access = tuple[tuple["Repository", Identity], ...]
#: The access of an answer that was obtained without any registry asking who comes.
OPEN: Access = ()


class Caller:
    """One review's credentials. Reads each repository's once, so that they do not change during the review.

    Args:
        provider: where they come from.
    """

    def __init__(self, provider: CredentialProvider) -> None:
        self._provider = provider
        self._candidates: dict[Repository, Sequence[Candidate]] = {}
        self._credentials: dict[Repository, tuple[Credentials, ...]] = {}

    @property
    def source(self) -> Hashable:
        """What the credentials are read from: callers with equal sources have equal credentials."""
        return self._provider.source

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return the candidates for a repository; may wait for a network the first time.

        Raises:
            UnavailableError: they could not be read.
        """
        known = self._candidates.get(repository)
        return known if known is not None else self.adopt(repository, self._provider.candidates(repository))

    def cached(self, repository: Repository) -> Sequence[Candidate] | None:
        """Return the candidates for a repository from memory; None if they would have to be read."""
        known = self._candidates.get(repository)
        if known is None:
            known = self._provider.cached(repository)
            if known is not None:
                known = self.adopt(repository, known)
        return known

    def adopt(self, repository: Repository, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Keep candidates that were read from the same source, unless there are some; return those that are kept."""
        return self._candidates.setdefault(repository, candidates)

    def credentials(self, repository: Repository) -> tuple[Credentials, ...]:
        """Return the different credentials to try for a repository, in order, at most `MAX_CREDENTIALS`.

        Raises:
            UnavailableError: they could not be read.
        """
        known = self._credentials.get(repository)
        if known is None:
            known = _distinct(self.candidates(repository))
            self._credentials[repository] = known
        return known

    def identity(self, repository: Repository) -> Identity:
        """Return the caller's identity for a repository; may wait for a network the first time.

        Raises:
            UnavailableError: the credentials could not be read.
        """
        return tuple(credentials.fingerprint for credentials in self.credentials(repository))

    def cached_identity(self, repository: Repository) -> Identity | None:
        """Return the caller's identity for a repository from memory; None if credentials would have to be read."""
        return None if self.cached(repository) is None else self.identity(repository)

    def may_use(self, access: Access) -> bool:
        """Return whether an answer of that access would be the same for this caller. Answers from memory.

        What would have to be read to tell counts as different.
        """
        return all(self.cached_identity(repository) == identity for repository, identity in access)


def access_of(looked_up: Mapping[Repository, Identity]) -> Access:
    """Return the access of an answer.

    Args:
        looked_up: every repository whose credentials were looked up, with the caller's identity.
    """
    return _shared(tuple(sorted(looked_up.items())))


def is_anonymous(access: Access) -> bool:
    """Return whether an answer of that access was obtained without credentials."""
    return not any(identity for _, identity in access)


def join_access(accesses: Iterable[Access]) -> Access:
    """Return the access of what is made of several answers."""
    return access_of({repository: identity for access in accesses for repository, identity in access})


def _distinct(candidates: Sequence[Candidate]) -> tuple[Credentials, ...]:
    distinct = {candidate.credentials.fingerprint: candidate.credentials for candidate in reversed(candidates)}
    ordered = dict.fromkeys(candidate.credentials.fingerprint for candidate in candidates)
    return tuple(distinct[fingerprint] for fingerprint in ordered)[:MAX_CREDENTIALS]


@lru_cache(4096)
def _shared(access: Access) -> Access:
    """Return one and the same object for equal accesses: thousands of answers have the same few."""
    return access
