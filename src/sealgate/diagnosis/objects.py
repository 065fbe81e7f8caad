"""Checks of sealgate's own objects by the conditions that the operator writes. Pure."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from sealgate.api.v1alpha1.verification_exception import VerificationException
from sealgate.clocks import timestamp
from sealgate.diagnosis.checks import Area, Check, Outcome
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The most characters of a condition's message.
MAX_MESSAGE: Final = 512
#: The most exceptions that are named.
MAX_NAMED: Final = 5


def check_objects(kind: str, objects: Iterable[Mapping[str, Any]]) -> list[Check]:
    """Return a check of each object that is not ready, and one for all others.

    Args:
        kind: of the objects.
        objects: the objects, with their status.
    """
    found, ready = [], 0
    for obj in objects:
        check = _check(kind, obj)
        if check is None:
            ready += 1
        else:
            found.append(check)
    count = f"{ready or 'no'} object{'' if ready == 1 else 's'} ready"
    return [*found, Check(Area.OBJECTS, kind, Outcome.OK, count)] if ready or not found else found


def check_exceptions(exceptions: Iterable[Mapping[str, Any]], now: datetime) -> Check:
    """Return a check that no VerificationException is open.

    Args:
        exceptions: the objects.
        now: the time.
    """
    kind = "VerificationException"
    found = [_end(one) for one in exceptions]
    opened = sorted((end, name) for end, name in found if end > now)
    if not opened:
        return Check(Area.OBJECTS, kind, Outcome.OK, "none is open")
    named = ", ".join(f"{quote(name, 64)} until {timestamp(end)}" for end, name in opened[:MAX_NAMED])
    more = f" and {len(opened) - MAX_NAMED} more" if len(opened) > MAX_NAMED else ""
    message = f"open, so images run unverified: {named}{more}"
    remedy = "kubectl get vexc; end what is not needed any more: kubectl delete vexc NAME"
    return Check(Area.OBJECTS, kind, Outcome.WARNING, message, remedy)


def _end(exception: Mapping[str, Any]) -> tuple[datetime, str]:
    """Return when an exception ends, and its name; one that lifts nothing has ended.

    That is one that cannot be read, does not say who made it, or was deleted and is kept by finalizers.
    """
    metadata, end = exception["metadata"], datetime.min.replace(tzinfo=UTC)
    with suppress(ValidationError):
        spec = VerificationException.model_validate(exception).spec
        if spec.requested_by is not None and metadata.get("deletionTimestamp") is None:
            end = spec.end
    return end, str(metadata["name"])


def _check(kind: str, obj: Mapping[str, Any]) -> Check | None:
    """Return what is wrong with an object; None if it is ready."""
    metadata = obj["metadata"]
    name = f"{kind}/{quote(metadata['name'])}"
    conditions = {one.get("type"): one for one in (obj.get("status") or {}).get("conditions") or ()}
    ready, root = conditions.get("Ready"), conditions.get("TrustedRootCurrent") or {}
    if ready is None or (ready.get("observedGeneration") or 0) != (metadata.get("generation") or 0):
        message = "the operator has not reconciled it as it is now"
        return Check(Area.OBJECTS, name, Outcome.WARNING, message, "wait some seconds, then see the operator's log")
    if ready.get("status") == "True" and root.get("status") != "False":
        return None
    wrong = root if ready.get("status") == "True" else ready
    message = f"{quote(wrong.get('reason') or '', 64)}: {quote(wrong.get('message') or '', MAX_MESSAGE)}"
    outcome = Outcome.PROBLEM if ready.get("status") == "False" else Outcome.WARNING
    remedy = f"kubectl describe {kind.lower()} {quote(metadata['name'])}"
    return Check(Area.OBJECTS, name, outcome, message, remedy)
