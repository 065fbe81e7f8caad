"""What a VerificationException's status should say. Pure; nothing is decided by it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sealgate.api.v1alpha1.verification_exception import VerificationException, VerificationExceptionStatus
from sealgate.clocks import timestamp
from sealgate.policies.exceptions import end_of
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
    from datetime import timedelta


def exception_status(obj: Mapping[str, Any], now: datetime, longest: timedelta) -> VerificationExceptionStatus:
    """Return what an exception's status should say.

    Args:
        obj: the object, with the status it has.
        now: the time.
        longest: how long an exception may last.
    """
    before, generation = read_status(VerificationExceptionStatus, obj), generation_of(obj)
    conditions = conditions_of([_ready(obj, now, longest)], before, generation, now)
    return VerificationExceptionStatus(observed_generation=generation, conditions=conditions)


def _ready(obj: Mapping[str, Any], now: datetime, longest: timedelta) -> ConditionUpdate:
    if obj["metadata"].get("deletionTimestamp") is not None:
        message = "it was deleted, so it lifts nothing; it is gone once its finalizers are removed"
        return ConditionUpdate(READY, False, "Deleted", message, stalled=True)
    try:
        check_size(obj)
        exception = VerificationException.model_validate(obj)
    except (ValidationError, ObjectTooLargeError) as error:
        return ConditionUpdate(READY, False, "InvalidSpec", f"{explain_invalid(error)}; it lifts nothing", stalled=True)
    if exception.spec.requested_by is None:
        message = "it does not say who made it, so it lifts nothing: delete it and make it again"
        return ConditionUpdate(READY, False, "RequesterUnknown", message, stalled=True)
    ends_at = end_of(exception, datetime.fromisoformat(obj["metadata"]["creationTimestamp"]), longest)
    end = timestamp(ends_at) + ("" if ends_at == exception.spec.end else ", exceptions.maxHours after it was made")
    if ends_at <= now:
        return ConditionUpdate(READY, False, "Ended", f"it ended at {end}: delete it", stalled=True)
    return ConditionUpdate(READY, True, "InForce", f"its images run unverified in its namespaces until {end}")
