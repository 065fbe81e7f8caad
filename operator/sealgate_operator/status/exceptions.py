"""What a VerificationException's status should say. Pure; nothing is decided by it."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sealgate.api.v1alpha1.verification_exception import VerificationException, VerificationExceptionStatus
from sealgate.clocks import timestamp
from sealgate.policies.limits import ObjectTooLargeError, check_size
from sealgate_operator.status.conditions import (
    READY,
    ConditionUpdate,
    conditions_of,
    explain_invalid,
    generation_of,
    read_status,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


def exception_status(obj: Mapping[str, Any], now: datetime) -> VerificationExceptionStatus:
    """Return what an exception's status should say.

    Args:
        obj: the object, with the status it has.
        now: the time.
    """
    before, generation = read_status(VerificationExceptionStatus, obj), generation_of(obj)
    conditions = conditions_of([_ready(obj, now)], before, generation, now)
    return VerificationExceptionStatus(observed_generation=generation, conditions=conditions)


def _ready(obj: Mapping[str, Any], now: datetime) -> ConditionUpdate:
    if obj["metadata"].get("deletionTimestamp") is not None:
        message = "it was deleted, so it lifts nothing; it is gone once its finalizers are removed"
        return ConditionUpdate(READY, False, "Deleted", message, stalled=True)
    try:
        check_size(obj)
        spec = VerificationException.model_validate(obj).spec
    except (ValidationError, ObjectTooLargeError) as error:
        return ConditionUpdate(READY, False, "InvalidSpec", f"{explain_invalid(error)}; it lifts nothing", stalled=True)
    end = timestamp(spec.end.astimezone(UTC))
    if spec.requested_by is None:
        message = "it does not say who made it, so it lifts nothing: delete it and make it again"
        return ConditionUpdate(READY, False, "RequesterUnknown", message, stalled=True)
    if spec.end <= now:
        return ConditionUpdate(READY, False, "Ended", f"it ended at {end}: delete it", stalled=True)
    return ConditionUpdate(READY, True, "InForce", f"its images run unverified in its namespaces until {end}")
