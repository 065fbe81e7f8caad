"""Which policies cover an image in a namespace.

A `PolicyIndex` is compiled once per change of the policies and asked once per image. What it answers is the same as
asking every policy in turn; it only asks fewer of them (`sealgate.policies.lookup`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from sealgate.messages import quote
from sealgate.patterns import Pattern, compile_repository_pattern, compile_tag_pattern
from sealgate.policies.lookup import GlobLookup
from sealgate.policies.selectors import selects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.patterns import Glob
    from sealgate.policies.models import ImageSelector, LabelSelector, VerificationPolicy
    from sealgate.references import Reference

#: The label that Kubernetes itself puts on every namespace, with its name.
NAME_LABEL = "kubernetes.io/metadata.name"

#: Namespaces whose selected policies are remembered.
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Namespace:
    """The namespace that an object is in, as far as policies can see it.

    Attributes:
        name: its name.
        labels: its labels; `kubernetes.io/metadata.name` always is its name, whatever was given.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the name among the labels, as the API server does."""
        object.__setattr__(self, "labels", MappingProxyType({**self.labels, NAME_LABEL: self.name}))


class Cause(StrEnum):
    """Why a policy covers an image, or does not."""

    MATCHED = "Matched"
    NAMESPACE = "NamespaceNotSelected"
    IMAGE = "ImageNotCovered"
    TAG = "TagNotCovered"
    EXCLUDED = "ImageExcluded"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one policy has to say about one image.

    Attributes:
        policy: the policy.
        cause: whether it covers the image, and if not, what kept it from doing so.
        message: the same for a person.
    """

    policy: CompiledPolicy
    cause: Cause
    message: str

    @property
    def matched(self) -> bool:
        """Whether the policy covers the image."""
        return self.cause is Cause.MATCHED


@dataclass(frozen=True, slots=True)
class CompiledSelector:
    """One entry of `images` or `excludeImages`.

    Attributes:
        repository: the pattern over the repository name.
        tags: patterns over the tag; None for any.
    """

    repository: Pattern
    tags: tuple[Pattern, ...] | None

    def covers_tag(self, reference: Reference) -> bool:
        """Return whether the selector covers the reference's tag; one without a tag may be any of them."""
        if self.tags is None or reference.tag is None:
            return True
        return any(pattern.matches(reference.tag) for pattern in self.tags)

    def excludes_tag(self, reference: Reference) -> bool:
        """Return whether the reference is certain to be of an excluded tag.

        Beside a digest a tag decides nothing: whoever writes the pod may write any tag there. So an exclusion that
        names tags holds only where the tag decides what is pulled.
        """
        if self.tags is None:
            return True
        tag = reference.effective_tag
        return tag is not None and reference.digest is None and any(pattern.matches(tag) for pattern in self.tags)


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A verification policy, ready to be asked.

    Attributes:
        name: the policy's name.
        action: Enforce, Warn, Audit or Exempt.
        authenticators: the names of those that may verify, in the order written; empty for Exempt.
        count: how many of them must; 0 for Exempt.
        images: what it covers.
        exclude_images: what it does not cover after all.
        namespace_selector: the namespaces it is about.
    """

    name: str
    action: str
    authenticators: tuple[str, ...]
    count: int
    images: tuple[CompiledSelector, ...]
    exclude_images: tuple[CompiledSelector, ...]
    namespace_selector: LabelSelector

    def excluded_by(self, reference: Reference) -> Pattern | None:
        """Return the pattern of the exclusion that the reference falls under, if any."""
        for selector in self.exclude_images:
            if selector.excludes_tag(reference) and selector.repository.matches(reference.name):
                return selector.repository
        return None


@dataclass(frozen=True, slots=True)
class Match:
    """A policy that covers one image in one namespace.

    Attributes:
        policy: the policy.
        certain: whether it is known to select the namespace. False if that depends on labels that are not known: the
            policy must be met, but an image is not *covered* by it alone (`sealgate.decisions.Coverage`).
    """

    policy: CompiledPolicy
    certain: bool = True


def compile_policy(policy: VerificationPolicy) -> CompiledPolicy:
    """Compile a policy's patterns.

    Raises:
        InvalidPatternError: one of them does not compile.
    """
    spec = policy.spec
    return CompiledPolicy(
        name=policy.metadata.name,
        action=spec.action,
        authenticators=() if spec.require is None else spec.require.authenticators,
        count=0 if spec.require is None else spec.require.needed,
        images=tuple(_compile_selector(selector) for selector in spec.images),
        exclude_images=tuple(_compile_selector(selector) for selector in spec.exclude_images),
        namespace_selector=spec.namespace_selector,
    )


def _compile_selector(selector: ImageSelector) -> CompiledSelector:
    tags = None if selector.tags is None else tuple(compile_tag_pattern(tag) for tag in selector.tags)
    return CompiledSelector(compile_repository_pattern(selector.repository), tags)


class PolicyIndex:
    """Policies, compiled for matching. Never changes once made; may be asked by many threads.

    Args:
        policies: the policies, each name at most once.

    Raises:
        InvalidPatternError: a pattern does not compile.
    """

    def __init__(self, policies: Iterable[VerificationPolicy]) -> None:
        self.policies = tuple(sorted(map(compile_policy, policies), key=lambda policy: policy.name))
        self.literal_hosts = frozenset(_literal_hosts(self.policies))
        self._groups = tuple(_group(self.policies))
        self._remembered: dict[frozenset[tuple[str, str]], tuple[_Lookup, ...]] = {}

    def match(self, reference: Reference, namespace: Namespace) -> tuple[Match, ...]:
        """Return the policies that cover the image in that namespace, sorted by name, Exempt ones among them."""
        name = reference.name
        found: dict[str, CompiledPolicy] = {}
        for lookup in self._selected(namespace):
            for policy, selector in lookup.find(name):
                if policy.name not in found and selector.covers_tag(reference):
                    found[policy.name] = policy
        return tuple(Match(found[key]) for key in sorted(found) if found[key].excluded_by(reference) is None)

    def explain(self, reference: Reference, namespace: Namespace) -> tuple[Explanation, ...]:
        """Return what every policy has to say about the image in that namespace, sorted by name."""
        return tuple(_explain(policy, reference, namespace) for policy in self.policies)

    def _selected(self, namespace: Namespace) -> Sequence[_Lookup]:
        """Return the lookups of the policies that select the namespace; its labels seldom change."""
        key = frozenset(namespace.labels.items())
        selected = self._remembered.get(key)
        if selected is None:
            selected = tuple(lookup for selector, lookup in self._groups if selects(selector, namespace.labels))
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = selected
        return selected


_Lookup = GlobLookup[tuple[CompiledPolicy, CompiledSelector]]


def _group(policies: Sequence[CompiledPolicy]) -> Iterable[tuple[LabelSelector, _Lookup]]:
    """Return the policies by namespace selector: most clusters have few different ones."""
    groups: defaultdict[str, list[CompiledPolicy]] = defaultdict(list)
    for policy in policies:
        groups[policy.namespace_selector.model_dump_json()].append(policy)
    for group in groups.values():
        yield group[0].namespace_selector, GlobLookup(_entries(group))


def _entries(policies: Iterable[CompiledPolicy]) -> Iterable[tuple[Glob, tuple[CompiledPolicy, CompiledSelector]]]:
    for policy in policies:
        for selector in policy.images:
            for glob in selector.repository.globs:
                yield glob, (policy, selector)


def _literal_hosts(policies: Iterable[CompiledPolicy]) -> Iterable[str]:
    for glob, _ in _entries(policies):
        host, slash, _ = glob.prefix.partition("/")
        if slash:
            yield host


def _explain(policy: CompiledPolicy, reference: Reference, namespace: Namespace) -> Explanation:
    if not selects(policy.namespace_selector, namespace.labels):
        return Explanation(
            policy, Cause.NAMESPACE, f"its namespaceSelector does not select {quote(namespace.name, 64)}"
        )
    named = [selector for selector in policy.images if selector.repository.matches(reference.name)]
    if not named:
        return Explanation(policy, Cause.IMAGE, f"none of its images covers {reference.name}")
    covering = next((selector for selector in named if selector.covers_tag(reference)), None)
    if covering is None:
        message = f"{quote(named[0].repository.text)} covers the repository, but its tags do not cover {reference.tag}"
        return Explanation(policy, Cause.TAG, message)
    excluded = policy.excluded_by(reference)
    if excluded is not None:
        return Explanation(policy, Cause.EXCLUDED, f"excludeImages has {quote(excluded.text)}")
    return Explanation(policy, Cause.MATCHED, f"{quote(covering.repository.text)} covers it")
