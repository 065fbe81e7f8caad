"""Matching: which policies cover an image in a namespace.

A `PolicyIndex` is built when policies change and queried for each image. Its results are the same as those of trying
every policy in turn; an index over globs (`sealgate.policies.lookup`) makes it try fewer.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.selectors import NAME_LABEL
from sealgate.messages import quote
from sealgate.policies.limits import PatternCompiler
from sealgate.policies.lookup import GlobLookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.api.v1alpha1.selectors import LabelSelector, LabelSelectorRequirement
    from sealgate.api.v1alpha1.verification_policy import ImageSelector, VerificationPolicy
    from sealgate.patterns import Glob, Pattern
    from sealgate.references import Reference


#: Namespaces in the cache of selected policies.
_MAX_CACHED = 4096


@dataclass(frozen=True, slots=True)
class Namespace:
    """The namespace that an object is in, as far as policies can see it.

    Attributes:
        name: the namespace's name.
        labels: its labels; `kubernetes.io/metadata.name` is always set to `name`.
        complete: whether these are all labels. If not, a selector about other labels may match or not.
        named: whether the name is known; if not, `name` is for display only and is not among the labels.
        key: cache key, equal for namespaces that no selector can distinguish. It is a hash, because caches outlive the
            labels: they may be 1.5 MiB of text, and 18 MiB in memory, and each change of them makes a new one.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True
    named: bool = True
    key: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Add the name to the labels, as the API server does."""
        labels = {key: value for key, value in self.labels.items() if key != NAME_LABEL}
        if self.named:
            labels[NAME_LABEL] = self.name
        object.__setattr__(self, "labels", MappingProxyType(labels))
        known = json.dumps([sorted(labels.items()), self.complete])
        object.__setattr__(self, "key", sha256(known.encode()).digest())


class Cause(StrEnum):
    """Why a policy covers an image, or does not."""

    MATCHED = "Matched"
    NAMESPACE_UNKNOWN = "NamespaceMayBeSelected"
    TAG_UNKNOWN = "DependsOnTag"
    NAMESPACE = "NamespaceNotSelected"
    IMAGE = "ImageNotCovered"
    TAG = "TagNotCovered"
    EXCLUDED = "ImageExcluded"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether and why one policy covers one image.

    Attributes:
        policy: the policy.
        cause: whether it covers the image, and if not, why not.
        message: the same for a person, one clause.
    """

    policy: CompiledPolicy
    cause: Cause
    message: str

    @property
    def matched(self) -> bool:
        """Whether the policy covers the image, or may cover it; an Exempt policy only if that is certain."""
        return self.cause in (Cause.MATCHED, Cause.NAMESPACE_UNKNOWN, Cause.TAG_UNKNOWN)


@dataclass(frozen=True, slots=True)
class CompiledSelector:
    """One entry of `images` or `excludeImages`.

    Attributes:
        repository: pattern for the normalised repository name.
        tags: patterns for the tag; None for any tag.
    """

    repository: Pattern
    tags: tuple[Pattern, ...] | None

    @classmethod
    def compile(cls, selector: ImageSelector, patterns: PatternCompiler) -> CompiledSelector:
        """Compile a selector's patterns.

        Args:
            selector: the selector.
            patterns: compiles the patterns of its object.

        Raises:
            InvalidPatternError: one of them does not compile, or those of the object are too large together.
        """
        tags = None if selector.tags is None else tuple(map(patterns.tag, selector.tags))
        return cls(patterns.repository(selector.repository), tags)

    @classmethod
    def compile_each(
        cls, selectors: Iterable[ImageSelector], patterns: PatternCompiler
    ) -> tuple[CompiledSelector, ...]:
        """Compile the patterns of several selectors of one object; see `compile`."""
        return tuple(cls.compile(selector, patterns) for selector in selectors)

    def may_cover(self, tag: str | None) -> bool:
        """Return whether the selector covers a tag or may cover it; None means that the tag is not known."""
        return self.tags is None or tag is None or any(pattern.matches(tag) for pattern in self.tags)

    def surely_covers(self, tag: str | None) -> bool:
        """Return whether the selector certainly covers a tag; None means that the tag is not known."""
        return self.tags is None or (tag is not None and any(pattern.matches(tag) for pattern in self.tags))


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A verification policy with compiled patterns.

    Attributes:
        name: the policy's name.
        action: Enforce, Warn, Audit or Exempt.
        authenticators: names of its authenticators, in the order written; empty for Exempt.
        count: number of authenticators that must verify; 0 for Exempt.
        images: the images that it covers.
        exclude_images: exceptions from `images`.
        namespace_selector: the namespaces that it applies to.
        problem: why the policy cannot be read; empty if it can be read. No image meets a policy that cannot be read
            (`sealgate.policies.unreadable`).
    """

    name: str
    action: str
    authenticators: tuple[str, ...]
    count: int
    images: tuple[CompiledSelector, ...]
    exclude_images: tuple[CompiledSelector, ...]
    namespace_selector: LabelSelector
    problem: str = ""

    @property
    def exempts(self) -> bool:
        """Whether the policy exempts images; if a match is uncertain, such a policy does not match."""
        return self.action == "Exempt"

    def takes_tag(self, selector: CompiledSelector, tag: str | None) -> bool:
        """Return whether an entry of the policy's `images` covers a tag.

        Args:
            selector: an entry of `images` whose repository pattern matches.
            tag: the image's tag; None if it is not known. Every pattern then covers it, except those of an Exempt
                policy.
        """
        return selector.surely_covers(tag) if self.exempts else selector.may_cover(tag)

    def excluded_by(self, name: str, tag: str | None) -> Pattern | None:
        """Return the repository pattern of the first exclusion that matches an image; None if there is none.

        Args:
            name: the normalised repository name.
            tag: its tag; None if it is not known. No exclusion by tag then matches, except those of an Exempt
                policy.
        """
        for selector in self.exclude_images:
            excluded = selector.may_cover(tag) if self.exempts else selector.surely_covers(tag)
            if excluded and selector.repository.matches(name):
                return selector.repository
        return None


@dataclass(frozen=True, slots=True)
class Match:
    """A policy that covers one image in one namespace.

    Attributes:
        policy: the policy.
        certain: whether the policy certainly selects the namespace. False if that depends on labels that are not known:
            the policy must be met, but an image is not *covered* by it alone (`sealgate.policies.decisions.Coverage`).
    """

    policy: CompiledPolicy
    certain: bool = True


def compile_policy(policy: VerificationPolicy) -> CompiledPolicy:
    """Compile a policy's patterns.

    Raises:
        InvalidPatternError: one of them does not compile, or they are too large together.
    """
    spec = policy.spec
    patterns = PatternCompiler()
    return CompiledPolicy(
        name=policy.metadata.name,
        action=spec.action,
        authenticators=() if spec.require is None else spec.require.authenticators,
        count=0 if spec.require is None else spec.require.needed,
        images=CompiledSelector.compile_each(spec.images, patterns),
        exclude_images=CompiledSelector.compile_each(spec.exclude_images, patterns),
        namespace_selector=spec.namespace_selector,
    )


def known_tag(reference: Reference) -> str | None:
    """Return the tag that patterns are matched against before a registry is asked; None if it is not known.

    `app` is `app:latest`. The tag of a reference with a digest is not known, because any tag can be written
    there. Once the registry confirms that the tag names the digest, callers use the reference without the digest.
    """
    return None if reference.digest is not None else reference.effective_tag


class PolicyIndex:
    """Policies, compiled for matching. Never changes once made; may be asked by many threads.

    Args:
        policies: the policies, each name at most once.
        compiled: policies that are compiled already, under further names.

    Raises:
        InvalidPatternError: a pattern does not compile.
    """

    def __init__(self, policies: Iterable[VerificationPolicy], compiled: Iterable[CompiledPolicy] = ()) -> None:
        every = [*map(compile_policy, policies), *compiled]
        self.policies = tuple(sorted(every, key=lambda policy: policy.name))
        self.literal_hosts = frozenset(_literal_hosts(self.policies))
        self._groups = tuple(_group(self.policies))
        self._cache: dict[object, tuple[tuple[_Lookup, bool], ...]] = {}

    def match(self, reference: Reference, namespace: Namespace) -> tuple[Match, ...]:
        """Return the policies that cover the image in that namespace, sorted by name, Exempt ones among them.

        Beside a digest the tag counts as not known (`known_tag`): the result then has the policies that cover every tag
        and those that depend on the tag. Without a digest it has those that apply to the tag.
        """
        name, tag = reference.name, known_tag(reference)
        found: dict[str, Match] = {}
        for lookup, certain in self._selected(namespace):
            for policy, selector in lookup.find(name):
                if policy.name not in found and (certain or not policy.exempts) and policy.takes_tag(selector, tag):
                    found[policy.name] = Match(policy, certain)
        return tuple(found[key] for key in sorted(found) if found[key].policy.excluded_by(name, tag) is None)

    def explain(self, reference: Reference, namespace: Namespace) -> tuple[Explanation, ...]:
        """Return what every policy has to say about the image in that namespace, sorted by name."""
        return tuple(_explain(policy, reference, namespace) for policy in self.policies)

    def _selected(self, namespace: Namespace) -> Sequence[tuple[_Lookup, bool]]:
        """Return the lookups of the policies that may select the namespace, each with whether they certainly do."""
        # Labels of namespaces rarely change, so the selected policies are cached.
        selected = self._cache.get(namespace.key)
        if selected is None:
            found = (
                (lookup, select(one, namespace.labels, complete=namespace.complete)) for one, lookup in self._groups
            )
            selected = tuple((lookup, how is Selection.YES) for lookup, how in found if how is not Selection.NO)
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[namespace.key] = selected
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
    where = quote(namespace.name, 64)
    selection = select(policy.namespace_selector, namespace.labels, complete=namespace.complete)
    if selection is Selection.NO:
        return Explanation(policy, Cause.NAMESPACE, f"its namespaceSelector does not select {where}")
    cause, message = _explain_image(policy, reference.name, known_tag(reference), str(reference))
    if reference.digest is not None and reference.tag is not None:
        otherwise, _ = _explain_image(policy, reference.name, reference.tag, str(reference))
        if otherwise is not cause:
            holds = f"the registry says that tag {reference.tag} names this digest"
            if cause is Cause.MATCHED:
                cause, message = Cause.TAG_UNKNOWN, f"{message}, unless {holds}"
            elif otherwise is Cause.MATCHED:
                message = f"it exempts the image only if {holds}"
    if cause in (Cause.MATCHED, Cause.TAG_UNKNOWN) and selection is Selection.MAYBE:
        why = f"not all labels of {where} are known, so its namespaceSelector may select it"
        if policy.exempts:
            return Explanation(policy, Cause.NAMESPACE, f"{why}, and that exempts nothing")
        return Explanation(policy, Cause.NAMESPACE_UNKNOWN, f"{message}; {why}")
    return Explanation(policy, cause, message)


def _explain_image(policy: CompiledPolicy, name: str, tag: str | None, written: str) -> tuple[Cause, str]:
    named = [selector for selector in policy.images if selector.repository.matches(name)]
    if not named:
        return Cause.IMAGE, f"none of its images covers {name}"
    covering = next((selector for selector in named if policy.takes_tag(selector, tag)), None)
    if covering is None:
        what = f"tag {tag}" if tag is not None else f"{written}, of which no tag is known"
        return Cause.TAG, f"{quote(named[0].repository.text)} covers the repository, but its tags do not cover {what}"
    excluded = policy.excluded_by(name, tag)
    if excluded is not None:
        return Cause.EXCLUDED, f"excludeImages has {quote(excluded.text)}"
    return Cause.MATCHED, f"{quote(covering.repository.text)} covers it"


class Selection(Enum):
    """Whether a selector holds."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


def select(selector: LabelSelector, labels: Mapping[str, str], *, complete: bool = True) -> Selection:
    """Return whether every part of the selector holds; an empty selector selects everything.

    Args:
        selector: the selector.
        labels: the labels that are known.
        complete: whether there are no others. If there may be, a part about a key that is not among them may hold or
            not, `NotIn` and `DoesNotExist` included.

    Returns:
        NO if a part certainly does not hold, otherwise MAYBE if a part may not, otherwise YES. Each part is
        evaluated alone, so parts that contradict each other about an unknown label are MAYBE.
    """
    parts = [_holds_exactly(key, value, labels, complete) for key, value in selector.match_labels.items()]
    parts += [_holds(expression, labels, complete) for expression in selector.match_expressions]
    if Selection.NO in parts:
        return Selection.NO
    return Selection.MAYBE if Selection.MAYBE in parts else Selection.YES


def _holds_exactly(key: str, value: str, labels: Mapping[str, str], complete: bool) -> Selection:  # noqa: FBT001
    if key not in labels and not complete:
        return Selection.MAYBE
    return Selection.YES if labels.get(key) == value else Selection.NO


def _holds(expression: LabelSelectorRequirement, labels: Mapping[str, str], complete: bool) -> Selection:  # noqa: FBT001
    value = labels.get(expression.key)
    if value is None and not complete:
        return Selection.MAYBE
    if expression.operator == "Exists":
        holds = value is not None
    elif expression.operator == "DoesNotExist":
        holds = value is None
    elif expression.operator == "In":
        holds = value is not None and value in expression.values
    else:
        # NotIn: a missing label has none of the values either.
        holds = value is None or value not in expression.values
    return Selection.YES if holds else Selection.NO
