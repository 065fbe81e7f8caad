"""Satisfiability of policies: whether a policy can match any image, and whether an image can meet it. Pure.

The operator reports the result in the policy's status, the webhook as a warning when a policy is applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sealgate.api.v1alpha1.selectors import LabelSelector
from sealgate.messages import quote
from sealgate.patterns import compile_repository_pattern
from sealgate.policies.decisions import count_met
from sealgate.policies.matching import Selection, select

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sealgate.api.v1alpha1.verification_policy import ImageSelector, VerificationPolicySpec
    from sealgate.patterns import Pattern

_WILDCARDS = frozenset("*?{}")


class Reach(NamedTuple):
    """Which images a policy can match.

    Attributes:
        nothing: whether the policy can match no image in any namespace.
        note: why, or which entry of `images` is redundant; empty if every entry can match.
    """

    nothing: bool
    note: str


def reach_of(spec: VerificationPolicySpec) -> Reach:
    """Return which images a policy can match.

    The check is sound but not complete: it never reports an entry that can match, and may miss one that cannot.

    Raises:
        InvalidPatternError: a repository pattern does not compile.
    """
    if not _can_select(spec.namespace_selector):
        return Reach(nothing=True, note="no namespace can have labels that its namespaceSelector wants; loosen it")
    hidden = [
        (number, selector.repository, excluder)
        for number, selector in enumerate(spec.images)
        if (excluder := _excluder(selector, spec.exclude_images)) is not None
    ]
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


def _excluder(selector: ImageSelector, excluders: Sequence[ImageSelector]) -> str | None:
    """Return the pattern of an exclusion that certainly excludes all of a selector; None if there is none."""
    pattern = compile_repository_pattern(selector.repository)
    for excluder in excluders:
        if excluder.tags is None and _contains(compile_repository_pattern(excluder.repository), pattern):
            return excluder.repository
    return None


def _contains(outer: Pattern, inner: Pattern) -> bool:
    """Return whether the outer pattern certainly matches everything that the inner one matches."""
    if outer.text == inner.text:
        return True
    stem = outer.text.removesuffix("**")
    open_ended = stem != outer.text and not _WILDCARDS.intersection(stem)
    start = outer.globs[0].prefix if open_ended else None
    return all(
        (glob.literal and outer.matches(glob.prefix)) or (start is not None and glob.prefix.startswith(start))
        for glob in inner.globs
    )


def _can_select(selector: LabelSelector) -> bool:
    """Return whether any labels satisfy a selector. Keys are independent, so values are tried key by key."""
    keys = {*selector.match_labels, *(expression.key for expression in selector.match_expressions)}
    return all(_can_satisfy(key, selector) for key in keys)


def _can_satisfy(key: str, selector: LabelSelector) -> bool:
    wanted = {name: value for name, value in selector.match_labels.items() if name == key}
    expressions = tuple(expression for expression in selector.match_expressions if expression.key == key)
    part = LabelSelector(matchLabels=wanted, matchExpressions=expressions)
    mentioned = {*wanted.values(), *(value for expression in expressions for value in expression.values)}
    # Try the label missing, each value that is mentioned, and one that is not.
    fresh = "x" * (max(map(len, mentioned), default=0) + 1)
    return any(
        select(part, labels) is Selection.YES for labels in ({}, *({key: value} for value in (*mentioned, fresh)))
    )
