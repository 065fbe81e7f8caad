"""Authenticators and policies are looked at when they are applied, for what the CRDs' schemas cannot see.

A key that does not parse or is too short, a pattern that blows up: whoever applies it is told, instead of whoever next
creates a pod. What an object names need not be there yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.errors import InvalidWorkloadError
from sealgate.verification.standalone import object_problems
from sealgate_webhook.admission import NOT_JUDGED, Judgement
from sealgate_webhook.answers import ALLOWED, deny

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate_webhook.reviews import AdmissionRequest

#: The most problems of one object that are told at once.
MAX_PROBLEMS: Final = 10


def judge_object(request: AdmissionRequest, deadline: Deadline) -> Judgement:
    """Return what becomes of an `Authenticator` or `VerificationPolicy` that somebody applies.

    Args:
        request: the request.
        deadline: nothing here waits for anything.

    Raises:
        InvalidWorkloadError: the request has no object.
    """
    del deadline
    if request.operation not in ("CREATE", "UPDATE"):
        return NOT_JUDGED
    if request.object is None:
        raise InvalidWorkloadError("the request has no object")
    if request.old_object is not None and request.old_object.get("spec") == request.object.get("spec"):
        # Labels, finalizers, the end of an object: nothing that anything could be wrong with.
        return Judgement(ALLOWED, "spec unchanged")
    problems = object_problems(request.object)
    if not problems:
        return Judgement(ALLOWED, "well formed")
    told = "; ".join(
        f"{p.field}: {p.message}{f' ({p.suggestion})' if p.suggestion else ''}" for p in problems[:MAX_PROBLEMS]
    )
    more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
    return Judgement(deny(f"{request.kind} {request.name}: {told}{more}"), "not well formed")
