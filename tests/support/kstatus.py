"""Status of an object by the published rules of kstatus (kubernetes-sigs/cli-utils, pkg/kstatus/README.md).

Those for objects without rules of their own: what is deleted is Terminating; what was not observed in its current
generation is InProgress; then the first of the conditions Reconciling and Stalled that is true decides; anything else
is Current. The condition Ready is left to `legacy_status`, which older tools use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def kstatus(obj: Mapping[str, Any]) -> str:
    """Return "Terminating", "InProgress", "Failed" or "Current"."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return "InProgress"
    decisive = {"Reconciling": "InProgress", "Stalled": "Failed"}
    for condition in status.get("conditions") or ():
        if condition["type"] in decisive and condition["status"] == "True":
            return decisive[condition["type"]]
    return "Current"


def legacy_status(obj: Mapping[str, Any]) -> str:
    """Return "InProgress" or "Current" by the condition Ready alone."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return "Current" if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) else "InProgress"
