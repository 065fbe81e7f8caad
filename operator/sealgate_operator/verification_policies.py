"""What a VerificationPolicy's status should say. Pure.

Beside what is plainly wrong it finds what can never work: a policy that no image can fall under, and one that no image
can pass because too few authenticators are there, ready, or have a key of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sealgate.decisions import count_met
from sealgate.errors import InvalidPatternError
from sealgate.messages import quote
from sealgate.patterns import compile_repository_pattern, compile_tag_pattern
from sealgate.policies.models import LabelSelector, VerificationPolicy
from sealgate.policies.selectors import Selection, select
from sealgate.policies.status import VerificationPolicyStatus
from sealgate_operator.conditions import (
    READY,
    Judgement,
    conditions_of,
    explain_invalid,
    generation_of,
    read_status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sealgate.patterns import Pattern
    from sealgate.policies.models import ImageSelector
    from sealgate_operator.authenticators import Assessment

PATTERNS = "PatternsValid"
AUTHENTICATORS = "AuthenticatorsReady"
_WILDCARDS = frozenset("*?{}")


def policy_status(
    obj: Mapping[str, Any], authenticators: Mapping[str, Assessment], now: datetime
) -> VerificationPolicyStatus:
    """Return what a policy's status should say.

    Args:
        obj: the object, with the status it has.
        authenticators: every authenticator that there is.
        now: the time.
    """
    before, generation = read_status(VerificationPolicyStatus, obj), generation_of(obj)
    try:
        policy = VerificationPolicy.model_validate(obj)
    except ValidationError as error:
        judgements = [Judgement(READY, False, "InvalidSpec", explain_invalid(error))]
    else:
        parts = [_judge_patterns(policy), _judge_authenticators(policy, authenticators)]
        judgements = [_sum_up(policy, parts), *parts]
    conditions = conditions_of(judgements, before, generation, now)
    return VerificationPolicyStatus(observed_generation=generation, conditions=conditions)


def authenticators_named_in(obj: Mapping[str, Any]) -> frozenset[str]:
    """Return the names that a policy requires, whether or not the rest of it can be understood."""
    spec = obj.get("spec")
    require = spec.get("require") if isinstance(spec, dict) else None
    names = require.get("authenticators") if isinstance(require, dict) else None
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def _sum_up(policy: VerificationPolicy, parts: Sequence[Judgement]) -> Judgement:
    for part in parts:
        if part.holds is not True:
            return Judgement(READY, part.holds, part.reason, part.message)
    require = policy.spec.require
    if require is None:
        message = f"{policy.spec.action}: images are admitted unverified unless an Enforce policy covers them"
    else:
        message = f"{policy.spec.action}: images need {require.needed} of {', '.join(require.authenticators)}"
    return Judgement(READY, True, "PolicyInForce", message)


# What the policy covers ------------------------------------------------------------------------------------------


def _judge_patterns(policy: VerificationPolicy) -> Judgement:
    wrong = list(_wrong_patterns(policy))
    if wrong:
        return Judgement(PATTERNS, False, "InvalidPattern", "; ".join(wrong))
    if not _can_select(policy.spec.namespace_selector):
        message = "no namespace can have labels that its namespaceSelector wants; loosen it"
        return Judgement(PATTERNS, False, "MatchesNothing", message)
    hidden = [
        (number, selector.repository, excluder)
        for number, selector in enumerate(policy.spec.images)
        if (excluder := _excluder(selector, policy.spec.exclude_images)) is not None
    ]
    if not hidden:
        return Judgement(PATTERNS, True, "PatternsCompile", "every pattern can match")
    number, text, excluder = hidden[0]
    what = f"images[{number}] ({quote(text, 128)}) is excluded altogether by {quote(excluder, 128)}"
    if len(hidden) == len(policy.spec.images):
        return Judgement(PATTERNS, False, "MatchesNothing", f"the policy covers no image: {what}")
    return Judgement(PATTERNS, True, "SomeImagesExcluded", f"{what}; one of them can go")


def _wrong_patterns(policy: VerificationPolicy) -> Iterator[str]:
    for field, selectors in (("images", policy.spec.images), ("excludeImages", policy.spec.exclude_images)):
        for number, selector in enumerate(selectors):
            try:
                compile_repository_pattern(selector.repository)
                for tag in selector.tags or ():
                    compile_tag_pattern(tag)
            except InvalidPatternError as error:
                yield f"{field}[{number}]: {error.message}"


def _excluder(selector: ImageSelector, excluders: Sequence[ImageSelector]) -> str | None:
    """Return the exclusion that certainly leaves nothing of a selector, if there is one."""
    pattern = compile_repository_pattern(selector.repository)
    for excluder in excluders:
        if excluder.tags is None and _contains(compile_repository_pattern(excluder.repository), pattern):
            return excluder.repository
    return None


def _contains(outer: Pattern, inner: Pattern) -> bool:
    """Return whether whatever the inner pattern covers, the outer one does; False where that is not plain to see."""
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
    """Return whether any labels satisfy a selector; each key is on its own, so values are tried key by key."""
    keys = {*selector.match_labels, *(expression.key for expression in selector.match_expressions)}
    return all(_can_satisfy(key, selector) for key in keys)


def _can_satisfy(key: str, selector: LabelSelector) -> bool:
    wanted = {name: value for name, value in selector.match_labels.items() if name == key}
    expressions = tuple(expression for expression in selector.match_expressions if expression.key == key)
    part = LabelSelector(matchLabels=wanted, matchExpressions=expressions)
    mentioned = {*wanted.values(), *(value for expression in expressions for value in expression.values)}
    # Absent, each value that is mentioned, and one that is not.
    fresh = "x" * (max(map(len, mentioned), default=0) + 1)
    return any(
        select(part, labels) is Selection.YES for labels in ({}, *({key: value} for value in (*mentioned, fresh)))
    )


# Who may verify --------------------------------------------------------------------------------------------------


def _judge_authenticators(policy: VerificationPolicy, known: Mapping[str, Assessment]) -> Judgement:
    if policy.spec.require is None:
        return Judgement(AUTHENTICATORS, True, "NoneRequired", "an Exempt policy needs no authenticator")
    names, required = policy.spec.require.authenticators, policy.spec.require.needed
    missing = [name for name in names if name not in known]
    unready = [name for name in names if name in known and not known[name].ready]
    usable = {name: known[name] for name in names if name in known and known[name].ready}
    reachable = _reachable(usable)
    if missing or unready:
        reason = "AuthenticatorNotFound" if missing else "AuthenticatorNotReady"
        message = "; ".join(
            [f"there is no Authenticator {quote(name, 64)}: create it or name another" for name in missing]
            + [f"Authenticator {quote(name, 64)} is not ready: {known[name].message}" for name in unready]
        )
        consequence = (
            f"the others suffice ({required} needed)"
            if reachable >= required
            else f"no image can pass until that is put right ({reachable} of the {required} needed can verify)"
        )
        return Judgement(AUTHENTICATORS, False, reason, f"{message}; {consequence}")
    if reachable < required:
        message = (
            f"no image can ever pass: {required} authenticators must verify, each by a key of its own, but "
            f"{', '.join(names)} have the same keys and make {reachable}; give them different keys or lower count"
        )
        return Judgement(AUTHENTICATORS, False, "NeverSatisfiable", message)
    return Judgement(AUTHENTICATORS, True, "AuthenticatorsReady", "every authenticator can be used")


def _reachable(usable: Mapping[str, Assessment]) -> int:
    """Return how many authenticators could be met by one image; whose signers are not known may have any."""
    return count_met(
        {
            name: [f"any key of {name}"] if assessment.fingerprints is None else assessment.fingerprints
            for name, assessment in usable.items()
        }
    )
