"""The images that a signing policy covers, as its registries have them now.

Repositories are those that the policy names, those that the caller knows (from push events), and those that the
registry's catalog lists where the policy has a pattern. A registry whose catalog cannot be read is reported, and the
others are still searched: what is found is then not all that there is.

Tags come in one order, that of their names, so that a run that was interrupted can go on after the last one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.clocks import Deadline
from sealgate.errors import SealgateError, SigningError
from sealgate.references import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealgate.clocks import Clock
    from sealgate.policies.signing import SigningCoverage
    from sealgate.references import Digest, Repository
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import CredentialProvider

#: The most tags of one policy.
MAX_TAGS = 100_000
#: The most repositories that the catalog of one registry may list.
MAX_CATALOG = 100_000
_ADVICE = "name the repositories in the policy without wildcards, or use credentials that may read the catalog"


@dataclass(frozen=True, slots=True, order=True)
class CoveredTag:
    """A tag that a signing policy covers; ordered by repository, then tag.

    Attributes:
        name: normalised name of the repository.
        tag: the tag.
        repository: the repository.
    """

    name: str
    tag: str
    repository: Repository = field(compare=False, repr=False)

    @property
    def reference(self) -> Reference:
        """The image by its tag."""
        return Reference(self.repository, self.tag, None)


@dataclass(frozen=True, slots=True)
class Undiscovered:
    """A registry or repository whose images could not be listed.

    Attributes:
        name: the registry, or the repository ("registry.example.org/team/app").
        error: why not.
        advice: a clause that says what to do besides; may be empty.
    """

    name: str
    error: SealgateError
    advice: str = ""

    @property
    def message(self) -> str:
        """Why not, and what to do."""
        return f"{self.error.message}; {self.advice}" if self.advice else self.error.message


@dataclass(frozen=True, slots=True)
class FoundRepositories:
    """The repositories that a signing policy may cover.

    Attributes:
        repositories: each once, sorted by name.
        missing: registries whose repositories could not be listed.
    """

    repositories: tuple[Repository, ...]
    missing: tuple[Undiscovered, ...] = ()


@dataclass(frozen=True, slots=True)
class Discovery:
    """Finds the images of one signing policy. Thread-safe.

    Attributes:
        coverage: the policy's images.
        client: reaches registries; it must not read from mirrors, which have what was pulled through them.
        credentials: for each registry.
        clock: source of the time.
        timeout: seconds for each list, and for each digest; greater than 0.
    """

    coverage: SigningCoverage
    client: RegistryClient
    credentials: CredentialProvider
    clock: Clock
    timeout: float

    def repositories(self, known: Iterable[Repository] = ()) -> FoundRepositories:
        """Return the repositories that the policy may cover.

        Args:
            known: repositories that the caller knows of; those that the policy does not cover are left out.
        """
        named = self.coverage.named_repositories
        found = {repository.name: repository for repository in (*named, *self._covered(known))}
        missing = []
        for registry in sorted(self.coverage.patterned_registries):
            try:
                catalog = self._catalog(registry)
            except SealgateError as error:
                missing.append(Undiscovered(registry, error, _ADVICE))
            else:
                found |= {repository.name: repository for repository in self._covered(catalog)}
        return FoundRepositories(tuple(found[name] for name in sorted(found)), tuple(missing))

    def tags(
        self, repositories: Iterable[Repository], after: tuple[str, str] | None = None
    ) -> Iterator[CoveredTag | Undiscovered]:
        """Yield the tags that the policy covers, sorted; a repository whose tags cannot be listed, as `Undiscovered`.

        One list is in memory at a time.

        Args:
            repositories: sorted by name.
            after: name of the repository and tag of the last one that is done; None to begin with the first.

        Raises:
            SigningError: the policy covers more than `MAX_TAGS`; so many were yielded before.
        """
        count = 0
        for repository in repositories:
            if after is not None and repository.name < after[0]:
                continue
            for found in self._tags_of(repository):
                if after is not None and isinstance(found, CoveredTag) and (found.name, found.tag) <= after:
                    continue
                count += 1
                if count > MAX_TAGS:
                    msg = f"the policy covers more than {MAX_TAGS} tags; make its patterns narrower, or use several"
                    raise SigningError(msg)
                yield found

    def digest(self, tag: CoveredTag) -> Digest:
        """Return the digest that a tag names now.

        Raises:
            NotFoundError: the tag is gone.
            UnavailableError: the registry could not be asked (and its subclasses).
        """
        session = self.client.session(self.credentials, self._deadline(), frozenset({tag.repository.registry}))
        return session.resolve(tag.repository, tag.tag)

    def _tags_of(self, repository: Repository) -> Iterator[CoveredTag | Undiscovered]:
        lists = self.client.tag_lists(self.credentials, self._deadline(), frozenset({repository.registry}))
        name = repository.name
        try:
            tags = lists.tags(repository, MAX_TAGS)
        except SealgateError as error:
            yield Undiscovered(name, error)
            return
        for tag in sorted(tags):
            if self.coverage.covers(name, tag):
                yield CoveredTag(name, tag, repository)

    def _catalog(self, registry: str) -> tuple[Repository, ...]:
        catalogs = self.client.catalogs(self.credentials, self._deadline(), frozenset({registry}))
        return catalogs.repositories(registry, MAX_CATALOG)

    def _covered(self, repositories: Iterable[Repository]) -> Iterator[Repository]:
        return (repository for repository in repositories if self.coverage.may_cover(repository.name))

    def _deadline(self) -> Deadline:
        return Deadline.after(self.clock, self.timeout)
