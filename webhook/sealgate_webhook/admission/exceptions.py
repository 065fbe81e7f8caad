"""Admission of VerificationExceptions: who made them is written down, and they only ever end earlier.

`stamp` (the endpoint `/stamp-exceptions`) writes the user of the request into `spec.requestedBy` when an exception is
made, and puts the former value back when it is changed. It never denies: `exception_problem` refuses a new exception
that does not name its user, so that no name can be forged where the API server does not call the endpoint.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final

from sealgate.api.v1alpha1.verification_exception import VerificationException, VerificationExceptionSpec
from sealgate.clocks import timestamp
from sealgate.messages import quote, shorten
from sealgate_webhook.admission.outcome import AdmissionOutcome
from sealgate_webhook.reviews.response import ALLOWED, AdmissionResponse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealgate.api.v1alpha1.verification_exception import ExceptionImage
    from sealgate.clocks import Deadline
    from sealgate_webhook.reviews.request import AdmissionRequest

_FIELD: Final = "requestedBy"
_PATH: Final = f"/spec/{_FIELD}"
#: How far the user's clock may be ahead of the webhook's, so that an exception of exactly the most hours is taken.
_TOLERANCE: Final = timedelta(minutes=1)
#: The most characters of a list, and of a text, in the message of an Event, which has 1024.
_MAX_LIST: Final = 256
_MAX_TEXT: Final = 160

_UNCHANGED: Final = AdmissionOutcome(ALLOWED, "nothing to stamp")


def stamp(request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
    """Return the outcome that writes into an exception who made it; see the module.

    Args:
        request: the request.
        deadline: not used: nothing here waits.
    """
    del deadline
    spec = _spec(request.object)
    if spec is None or request.operation not in ("CREATE", "UPDATE"):
        return _UNCHANGED
    if request.operation == "CREATE":
        wanted: object = request.username
    else:
        wanted = (_spec(request.old_object) or {}).get(_FIELD)
    if isinstance(wanted, str) and wanted:
        operation = {"op": "add", "path": _PATH, "value": wanted}
    elif _FIELD in spec:
        operation = {"op": "remove", "path": _PATH}
    else:
        return _UNCHANGED
    return AdmissionOutcome(AdmissionResponse(allowed=True, patch=(operation,)), "stamped")


def exception_problem(request: AdmissionRequest, longest: timedelta, now: datetime) -> str:
    """Return why an exception that is well formed cannot be made or changed so; empty if it can.

    Args:
        request: the request, whose spec is new or has changed.
        longest: how long an exception may last.
        now: the time.
    """
    spec = VerificationException.model_validate(request.object).spec
    old = _spec(request.old_object)
    if old is not None:
        return _change_problem(_spec(request.object) or {}, old, spec)
    if not request.username or spec.requested_by != request.username:
        return (
            "spec.requestedBy: is not you, since sealgate was not asked to write it; see the condition Enforced of the "
            "policies, which says what is wrong with the webhook configurations"
        )
    if spec.end <= now:
        return f"spec.expiresAt: is in the past; it is {timestamp(now)} now"
    if spec.end > now + longest + _TOLERANCE:
        hours = f"{longest.total_seconds() / 3600:g}"
        return (
            f"spec.expiresAt: is more than {hours} hours ahead, the most that an exception may last (the chart's "
            f"exceptions.maxHours); write {timestamp(now + longest)} or earlier"
        )
    return ""


def _change_problem(new: Mapping[str, Any], old: Mapping[str, Any], spec: VerificationExceptionSpec) -> str:
    changed = sorted(name for name in new.keys() | old.keys() if new.get(name) != old.get(name))
    fixed = [name for name in changed if name != "expiresAt"]
    if fixed:
        return f"spec.{quote(fixed[0], 64)}: cannot be changed; make another exception and delete this one"
    try:
        before = VerificationExceptionSpec.model_validate(old).end
    except ValueError:
        return "spec: this exception cannot be read as it was; delete it and make another one"
    if spec.end > before:
        return (
            f"spec.expiresAt: can only become earlier than {timestamp(before.astimezone(UTC))}; make another exception"
        )
    return ""


def describe_change(request: AdmissionRequest) -> str:
    """Return what a request makes of an exception, for an Event: who, what and until when.

    Args:
        request: a request that `exception_problem` has nothing against.
    """
    spec = VerificationException.model_validate(request.object).spec
    who, end = quote(request.username, _MAX_TEXT), timestamp(spec.end.astimezone(UTC))
    if request.operation == "UPDATE":
        return f"{who} changed it: it ends at {end} now"
    images = ", ".join(map(_describe_image, spec.images))
    ticket = f", ticket {quote(spec.ticket, _MAX_TEXT)}" if spec.ticket else ""
    return (
        f"{who} made it until {end}: {shorten(quote(images, _MAX_LIST), _MAX_LIST)} in "
        f"{shorten(', '.join(spec.namespaces), _MAX_LIST)}{ticket}; reason: {quote(spec.reason, _MAX_TEXT)}"
    )


def _describe_image(image: ExceptionImage) -> str:
    tags = "" if image.tags is None else f" (tags {', '.join(image.tags)})"
    return image.digest or f"{image.repository}{tags}"


def _spec(obj: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    spec = None if obj is None else obj.get("spec")
    return spec if isinstance(spec, dict) else None
