"""Checks of sealgate's own objects by the conditions that the operator writes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealgate.diagnosis.checks import Area, Check, Outcome
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The most characters of a condition's message.
MAX_MESSAGE: Final = 512


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


def _check(kind: str, obj: Mapping[str, Any]) -> Check | None:
    """Return what is wrong with an object; None if it is ready."""
    metadata = obj["metadata"]
    name = f"{kind}/{quote(metadata['name'])}"
    conditions = (obj.get("status") or {}).get("conditions") or ()
    ready = next((one for one in conditions if one.get("type") == "Ready"), None)
    if ready is None or (ready.get("observedGeneration") or 0) != (metadata.get("generation") or 0):
        message = "the operator has not reconciled it as it is now"
        return Check(Area.OBJECTS, name, Outcome.WARNING, message, "wait some seconds, then see the operator's log")
    if ready.get("status") == "True":
        return None
    message = f"{quote(ready.get('reason') or '', 64)}: {quote(ready.get('message') or '', MAX_MESSAGE)}"
    outcome = Outcome.PROBLEM if ready.get("status") == "False" else Outcome.WARNING
    remedy = f"kubectl describe {kind.lower()} {quote(metadata['name'])}"
    return Check(Area.OBJECTS, name, outcome, message, remedy)
