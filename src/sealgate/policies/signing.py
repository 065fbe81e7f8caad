"""Signing policies, compiled: which images are signed; no I/O.

A policy signs only in registries that it names literally. With a wildcard in the place of the registry, push
credentials could be sent wherever an event says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import InvalidPatternError
from sealgate.messages import quote
from sealgate.policies.limits import PatternCompiler
from sealgate.policies.matching import CompiledSelector
from sealgate.references import parse_repository

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.patterns import Pattern
    from sealgate.references import Repository

# Tags of signatures, attestations and SBOMs as cosign names them, and of the list of an image's referrers.
_ATTACHED = re.compile(r"sha256-[0-9a-f]{64}(\.(sig|att|sbom))?")


def is_attached(tag: str) -> bool:
    """Return whether a tag holds what belongs to an image, such as its signatures, and no image."""
    return _ATTACHED.fullmatch(tag) is not None


def require_named_registry(pattern: Pattern) -> None:
    """Require that a repository pattern names its registry without wildcards.

    Raises:
        InvalidPatternError: it does not.
    """
    if not all("/" in glob.prefix for glob in pattern.globs):
        msg = (
            f"{quote(pattern.text)} names its registry with a wildcard; a policy signs only in registries that it "
            "names: write registry.example.org/team/*"
        )
        raise InvalidPatternError(msg)


@dataclass(frozen=True, slots=True)
class SigningCoverage:
    """The images of one signing policy.

    Attributes:
        images: what it signs.
        exclude_images: exceptions from `images`.
    """

    images: tuple[CompiledSelector, ...]
    exclude_images: tuple[CompiledSelector, ...]

    @classmethod
    def compile(cls, spec: SigningPolicySpec) -> SigningCoverage:
        """Compile a policy's patterns.

        Raises:
            InvalidPatternError: one of them does not compile or names its registry with a wildcard, or they are too
                large together.
        """
        patterns = PatternCompiler()
        coverage = cls(
            CompiledSelector.compile_each(spec.images, patterns),
            CompiledSelector.compile_each(spec.exclude_images, patterns),
        )
        for selector in coverage.images:
            require_named_registry(selector.repository)
        return coverage

    def covers(self, name: str, tag: str) -> bool:
        """Return whether the policy signs a tag; never one that holds signatures and the like (`is_attached`).

        Args:
            name: normalised name of the repository.
            tag: the tag.
        """
        covered = _any_covers(self.images, name, tag) and not is_attached(tag)
        return covered and not _any_covers(self.exclude_images, name, tag)

    def may_cover(self, name: str) -> bool:
        """Return whether the policy may sign tags of a repository, by its normalised name."""
        return any(selector.repository.matches(name) for selector in self.images)

    @property
    def registries(self) -> frozenset[str]:
        """The registries that it names, as references spell them."""
        return frozenset(prefix.partition("/")[0] for prefix in self._prefixes())

    @property
    def patterned_registries(self) -> frozenset[str]:
        """Those in which it covers repositories by pattern, which have to be found."""
        globs = (glob for selector in self.images for glob in selector.repository.globs)
        return frozenset(glob.prefix.partition("/")[0] for glob in globs if not glob.literal)

    @property
    def named_repositories(self) -> tuple[Repository, ...]:
        """The repositories that it names without a wildcard, each once, sorted by name."""
        globs = (glob for selector in self.images for glob in selector.repository.globs)
        return tuple(parse_repository(name) for name in sorted({glob.prefix for glob in globs if glob.literal}))

    def _prefixes(self) -> Iterator[str]:
        return (glob.prefix for selector in self.images for glob in selector.repository.globs)


def _any_covers(selectors: tuple[CompiledSelector, ...], name: str, tag: str) -> bool:
    return any(selector.surely_covers(tag) and selector.repository.matches(name) for selector in selectors)
