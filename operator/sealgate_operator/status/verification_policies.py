"""What a VerificationPolicy's status should say. Pure.

Beside what is plainly wrong it finds what can never work: a policy that no image can fall under, and one that no image
can pass because too few authenticators are there, ready, or have a key of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sealgate.api.v1alpha1.status import VerificationPolicyStatus
from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from sealgate.errors import InvalidPatternError
from sealgate.messages import quote
from sealgate.policies.limits import ObjectTooLargeError, PatternCompiler, check_size
from sealgate.policies.matching import CompiledSelector
from sealgate.policies.satisfiability import count_reachable, reach_of
from sealgate_operator.status.conditions import (
    READY,
    ConditionUpdate,
    conditions_of,
    explain_invalid,
    generation_of,
    read_status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sealgate_operator.status.authenticators import Assessment

PATTERNS = "PatternsValid"
AUTHENTICATORS = "AuthenticatorsReady"
#: The type of the condition that says whether the API server asks the webhook as the chart wants.
ENFORCED = "Enforced"
#: The reason of Ready while it does not.
NOT_ENFORCED = "NotEnforced"
_NOT_MET = "until that is put right no image that the policy names meets it"


def policy_status(
    obj: Mapping[str, Any], authenticators: Mapping[str, Assessment], now: datetime, *cluster: ConditionUpdate
) -> VerificationPolicyStatus:
    """Return what a policy's status should say.

    Args:
        obj: the object, with the status it has.
        authenticators: every authenticator that there is.
        now: the time.
        cluster: further conditions, which are the same for every policy; of these, only Enforced decides about Ready.
    """
    before, generation = read_status(VerificationPolicyStatus, obj), generation_of(obj)
    try:
        check_size(obj)
        policy = VerificationPolicy.model_validate(obj)
    except (ValidationError, ObjectTooLargeError) as error:
        updates = [ConditionUpdate(READY, False, "InvalidSpec", f"{explain_invalid(error)}; {_NOT_MET}", stalled=True)]
    else:
        parts = [_check_patterns(policy), _check_authenticators(policy, authenticators)]
        enforced = [replace(one, reason=NOT_ENFORCED) for one in cluster if one.type == ENFORCED]
        updates = [_sum_up(policy, [*parts, *enforced]), *parts]
    conditions = conditions_of([*updates, *cluster], before, generation, now)
    return VerificationPolicyStatus(observed_generation=generation, conditions=conditions)


def _sum_up(policy: VerificationPolicy, parts: Sequence[ConditionUpdate]) -> ConditionUpdate:
    for part in parts:
        if part.holds is not True:
            return replace(part, type=READY)
    require = policy.spec.require
    if require is None:
        message = f"{policy.spec.action}: images are admitted unverified unless an Enforce policy covers them"
    else:
        message = f"{policy.spec.action}: images need {require.needed} of {', '.join(require.authenticators)}"
    return ConditionUpdate(READY, True, "PolicyInForce", message)


# What the policy covers ------------------------------------------------------------------------------------------


def _check_patterns(policy: VerificationPolicy) -> ConditionUpdate:
    patterns = PatternCompiler()
    wrong = list(_wrong_patterns(policy, patterns))
    if wrong:
        return ConditionUpdate(PATTERNS, False, "InvalidPattern", f"{'; '.join(wrong)}; {_NOT_MET}", stalled=True)
    reach = reach_of(policy.spec, patterns)
    if reach.nothing:
        return ConditionUpdate(PATTERNS, False, "MatchesNothing", reach.note, stalled=True)
    if reach.note:
        return ConditionUpdate(PATTERNS, True, "SomeImagesExcluded", reach.note)
    return ConditionUpdate(PATTERNS, True, "PatternsCompile", "every pattern can match")


def _wrong_patterns(policy: VerificationPolicy, patterns: PatternCompiler) -> Iterator[str]:
    for field, selectors in (("images", policy.spec.images), ("excludeImages", policy.spec.exclude_images)):
        for number, selector in enumerate(selectors):
            try:
                CompiledSelector.compile(selector, patterns)
            except ObjectTooLargeError as error:
                yield error.message
                return
            except InvalidPatternError as error:
                yield f"{field}[{number}]: {error.message}"


# Who may verify --------------------------------------------------------------------------------------------------


def _check_authenticators(policy: VerificationPolicy, known: Mapping[str, Assessment]) -> ConditionUpdate:
    if policy.spec.require is None:
        return ConditionUpdate(AUTHENTICATORS, True, "NoneRequired", "an Exempt policy needs no authenticator")
    names, required = policy.spec.require.authenticators, policy.spec.require.needed
    missing = [name for name in names if name not in known]
    unready = [name for name in names if name in known and not known[name].ready]
    usable = {name: known[name].fingerprints for name in names if name in known and known[name].ready}
    reachable = count_reachable(usable)
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
        # What is missing may be applied in a moment; what waits for a Secret may get it.
        stalled = not missing and all(known[name].stalled for name in unready)
        return ConditionUpdate(AUTHENTICATORS, False, reason, f"{message}; {consequence}", stalled)
    if reachable < required:
        message = (
            f"no image can ever pass: {required} authenticators must verify, each by a key of its own, but "
            f"{', '.join(names)} have the same keys and make {reachable}; give them different keys or lower count"
        )
        return ConditionUpdate(AUTHENTICATORS, False, "NeverSatisfiable", message, stalled=True)
    return ConditionUpdate(AUTHENTICATORS, True, "AuthenticatorsReady", "every authenticator can be used")
