"""What a VerificationException's status should say. Pure; nothing is decided by it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sealgate.api.v1alpha1.verification_exception import VerificationException, VerificationExceptionStatus
from sealgate.clocks import timestamp
from sealgate.policies.exceptions import MAX_IN_NAMESPACE, end_of, names_that_count
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
    from collections.abc import Collection, Iterable, Mapping
    from datetime import timedelta

_IN_FORCE = "InForce"


def exception_status(
    obj: Mapping[str, Any], now: datetime, longest: timedelta, counting: Mapping[str, Collection[str]] | None = None
) -> VerificationExceptionStatus:
    """Return what an exception's status should say.

    Args:
        obj: the object, with the status it has.
        now: the time.
        longest: how long an exception may last.
        counting: by namespace, the names of the exceptions that count there; None for all.
    """
    before, generation = read_status(VerificationExceptionStatus, obj), generation_of(obj)
    conditions = conditions_of([_ready(obj, now, longest, counting)], before, generation, now)
    return VerificationExceptionStatus(observed_generation=generation, conditions=conditions)


def counting_exceptions(
    objects: Iterable[Mapping[str, Any]], now: datetime, longest: timedelta
) -> Mapping[str, Collection[str]]:
    """Return, by namespace, the names of the exceptions that count there; see `names_that_count`.

    Args:
        objects: all exceptions.
        now: the time.
        longest: how long an exception may last.
    """
    made = []
    for obj in objects:
        # An unexpected error comes again where the object's own status is written, and is logged there.
        with suppress(Exception):
            if _ready(obj, now, longest, None).reason == _IN_FORCE:
                created = datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
                made.append((created, str(obj["metadata"]["name"]), frozenset(obj["spec"]["namespaces"])))
    return names_that_count(made)


def _ready(
    obj: Mapping[str, Any], now: datetime, longest: timedelta, counting: Mapping[str, Collection[str]] | None
) -> ConditionUpdate:
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
    name, namespaces = obj["metadata"]["name"], sorted(set(exception.spec.namespaces))
    full = [] if counting is None else [one for one in namespaces if name not in counting.get(one, ())]
    where = f"{MAX_IN_NAMESPACE} exceptions that were made before it, the most that count in one namespace"
    if full == namespaces:
        message = f"it lifts nothing: each of its namespaces has {where}; delete those that are not needed any more"
        return ConditionUpdate(READY, False, "TooMany", message, stalled=True)
    but = f"; not in {full[0]}, which has {where}" if full else ""
    return ConditionUpdate(READY, True, _IN_FORCE, f"its images run unverified in its namespaces until {end}{but}")
