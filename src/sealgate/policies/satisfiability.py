"""Satisfiability of policies: whether a policy can match any image, and whether an image can meet it. Pure.

The operator reports the result in the policy's status, the webhook as a warning when a policy is applied.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from sealgate.messages import quote
from sealgate.policies.decisions import count_met

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sealgate.api.v1alpha1.selectors import LabelSelector, LabelSelectorRequirement
    from sealgate.api.v1alpha1.verification_policy import VerificationPolicySpec
    from sealgate.patterns import Glob, Pattern
    from sealgate.policies.limits import PatternCompiler

#: The most comparisons of a name with a pattern, counted in characters where more than a prefix is compared. A policy
#: whose patterns would need more is not compared: nothing depends on it but a warning.
MAX_COMPARISONS: Final = 50_000

_WILDCARDS = frozenset("*?{}")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


class Reach(NamedTuple):
    """Which images a policy can match.

    Attributes:
        nothing: whether the policy can match no image in any namespace.
        note: why, or which entry of `images` is redundant; empty if every entry can match.
    """

    nothing: bool
    note: str


def reach_of(spec: VerificationPolicySpec, patterns: PatternCompiler) -> Reach:
    """Return which images a policy can match.

    The check is sound but not complete: it never reports an entry that can match, and may miss one that cannot.

    Args:
        spec: the policy's spec.
        patterns: compiles its patterns.

    Raises:
        InvalidPatternError: a repository pattern does not compile, or the patterns are too large together.
    """
    if not _can_select(spec.namespace_selector):
        return Reach(nothing=True, note="no namespace can have labels that its namespaceSelector wants; loosen it")
    exclusions = _Exclusions(
        [patterns.repository(selector.repository) for selector in spec.exclude_images if selector.tags is None]
    )
    try:
        hidden = [
            (number, selector.repository, excluder)
            for number, selector in enumerate(spec.images)
            if (excluder := exclusions.find(patterns.repository(selector.repository))) is not None
        ]
    except _UndecidedError:
        return Reach(nothing=False, note="")
    if not hidden:
        return Reach(nothing=False, note="")
    number, text, excluder = hidden[0]
    what = f"images[{number}] ({quote(text, 128)}) is excluded altogether by {quote(excluder, 128)}"
    if len(hidden) == len(spec.images):
        return Reach(nothing=True, note=f"the policy covers no image: {what}")
    return Reach(nothing=False, note=f"{what}; one of them can go")


def count_reachable(signers: Mapping[str, Collection[str] | None]) -> int:
    """Return how many authenticators one image could meet, each by a distinct key.

    Args:
        signers: name of each usable authenticator -> fingerprints of the keys that it accepts; None if they are not
            known beforehand, so that the authenticator counts as having a key of its own.
    """
    return count_met({name: [f"any key of {name}"] if keys is None else keys for name, keys in signers.items()})


class _UndecidedError(Exception):
    """The comparison of a policy's patterns would take more than `MAX_COMPARISONS`."""


class _Exclusions:
    """Exclusions without tags, to be compared with entries of `images`.

    Args:
        patterns: their repository patterns, in the order written.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = patterns
        self._comparisons = 0
        self._by_text = {pattern.text: number for number, pattern in reversed(list(enumerate(patterns)))}
        self._literals: defaultdict[str, set[int]] = defaultdict(set)
        # By their prefixes, of which few lengths occur.
        self._wild: defaultdict[str, list[tuple[Glob, int]]] = defaultdict(list)
        self._stems: list[tuple[str, int]] = []
        for number, pattern in enumerate(patterns):
            stem = pattern.text.removesuffix("**")
            if stem != pattern.text and not _WILDCARDS.intersection(stem):
                self._stems.append((pattern.globs[0].prefix, number))
                continue
            for glob in pattern.globs:
                if glob.literal:
                    self._literals[glob.prefix].add(number)
                else:
                    self._wild[glob.prefix].append((glob, number))
        self._lengths = {len(prefix) for prefix in self._wild}

    def find(self, pattern: Pattern) -> str | None:
        """Return the first pattern that certainly matches everything that a pattern matches; None if there is none.

        Raises:
            _UndecidedError: the comparisons are too many.
        """
        self._count(len(self._stems))
        found = {number for stem, number in self._stems if pattern.prefix.startswith(stem)}
        if pattern.text in self._by_text:
            found.add(self._by_text[pattern.text])
        if all(glob.literal for glob in pattern.globs):
            found |= self._matching([glob.prefix for glob in pattern.globs])
        return self._patterns[min(found)].text if found else None

    def _matching(self, names: Sequence[str]) -> set[int]:
        """Return the patterns that match every name, those of one stem not among them."""
        found = set(range(len(self._patterns)))
        for name in names:
            self._count(len(self._lengths))
            likely = [entry for length in self._lengths for entry in self._wild.get(name[:length], ())]
            self._count(len(likely) * len(name))
            found &= self._literals.get(name, set()) | {number for glob, number in likely if glob.matches(name)}
            if not found:
                break
        return found

    def _count(self, comparisons: int) -> None:
        self._comparisons += comparisons
        if self._comparisons > MAX_COMPARISONS:
            raise _UndecidedError


def _can_select(selector: LabelSelector) -> bool:
    """Return whether any labels satisfy a selector. Keys are independent of each other."""
    expressions: defaultdict[str, list[LabelSelectorRequirement]] = defaultdict(list)
    for expression in selector.match_expressions:
        expressions[expression.key].append(expression)
    keys = {*selector.match_labels, *expressions}
    return all(_can_satisfy(selector.match_labels.get(key), expressions[key]) for key in keys)


def _can_satisfy(wanted: str | None, expressions: Iterable[LabelSelectorRequirement]) -> bool:
    """Return whether a label can have the wanted value (None for any, or for none) and satisfy the expressions."""
    values = {operator: [set(e.values) for e in expressions if e.operator == operator] for operator in _OPERATORS}
    demanded = [*values["In"], *([] if wanted is None else [{wanted}])]
    if values["DoesNotExist"]:
        return not demanded and not values["Exists"]
    # With no value demanded there always is one that no NotIn names, or the label may be missing.
    return not demanded or bool(set.intersection(*demanded).difference(*values["NotIn"]))
