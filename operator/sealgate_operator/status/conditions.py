"""Conditions of objects, as in Kubernetes' API conventions: status, reason, message and time of the last transition.

Beside Ready, an object has the conditions of kstatus (kubernetes-sigs/cli-utils, pkg/kstatus), which are only there
while they hold: Stalled if it stays not ready until a person changes something, Reconciling if it may become ready
without that, for instance because a Secret is still missing. A tool that waits fails at the first and goes on at the
second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError

from sealgate.api.v1alpha1.status import Condition, Status
from sealgate.clocks import timestamp
from sealgate.messages import quote
from sealgate.policies.limits import ObjectTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

S = TypeVar("S", bound=Status)

READY = "Ready"
STALLED = "Stalled"
RECONCILING = "Reconciling"
#: The longest message of a condition.
MAX_MESSAGE = 2048


@dataclass(frozen=True, slots=True)
class ConditionUpdate:
    """What a condition should say; the transition time is added by `conditions_of`.

    Attributes:
        type: type of the condition, for example Ready.
        holds: whether the condition is true; None if that is unknown.
        reason: one CamelCase word.
        message: explanation for a person, with what to do.
        stalled: whether a condition that does not hold stays so until a person changes something.
    """

    type: str
    holds: bool | None
    reason: str
    message: str
    stalled: bool = False

    @property
    def status(self) -> Literal["True", "False", "Unknown"]:
        """The same as Kubernetes writes it."""
        if self.holds is None:
            return "Unknown"
        return "True" if self.holds else "False"


def conditions_of(
    updates: Iterable[ConditionUpdate], before: Status, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Return updates as conditions, with those of kstatus; the time of one moves only when its status does.

    Args:
        updates: what is to be said now; Stalled and Reconciling follow from Ready.
        before: the status as it was.
        generation: of the object that was judged.
        now: the time.
    """
    known = {condition.type: condition for condition in before.conditions}
    result = []
    for update in _with_kstatus(updates):
        earlier = known.get(update.type)
        same = earlier is not None and earlier.status == update.status
        result.append(
            Condition(
                type=update.type,
                status=update.status,
                reason=update.reason,
                message=update.message[:MAX_MESSAGE],
                last_transition_time=earlier.last_transition_time if earlier and same else timestamp(now),
                observed_generation=generation,
            )
        )
    return tuple(result)


def _with_kstatus(updates: Iterable[ConditionUpdate]) -> Iterable[ConditionUpdate]:
    for update in updates:
        yield update
        if update.type == READY and update.holds is not True:
            kind = STALLED if update.stalled else RECONCILING
            yield replace(update, type=kind, holds=True)


def read_status(model: type[S], obj: Mapping[str, Any]) -> S:
    """Return an object's current status; an empty one if it is not valid."""
    try:
        return model.model_validate(obj.get("status") or {})
    except ValidationError:
        return model()


def generation_of(obj: Mapping[str, Any]) -> int:
    """Return an object's `metadata.generation`."""
    return int(obj["metadata"].get("generation") or 0)


def explain_invalid(error: ValidationError | ObjectTooLargeError) -> str:
    """Return in a sentence where an object's spec is wrong, without what was written there."""
    if isinstance(error, ObjectTooLargeError):
        return error.message
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field_path = ".".join(map(str, first["loc"]))
    message = quote(f"{field_path}: {first['msg'].removeprefix('Value error, ')}", 512)
    return f"{message}; correct it and apply the object again"
