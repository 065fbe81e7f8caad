"""What the reports' process says about itself in its Lease; the operator shows it on every policy.

The chart makes the Lease. After each complete round the process renews it, and an annotation names the report APIs that
the cluster has. A Lease that says anything else than this module writes says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ANNOTATION: Final = "sealgate.dev/report-apis"
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_APIS: Final = re.compile(r"([a-z0-9.]{1,64}/[a-z0-9]{1,16}(,[a-z0-9.]{1,64}/[a-z0-9]{1,16}){0,7})?")


@dataclass(frozen=True, slots=True)
class ReportState:
    """The last complete round.

    Attributes:
        ended: when it ended.
        apis: group and version of each API that reports are written to ("wgpolicyk8s.io/v1alpha2"); empty for none.
        stalled_after: seconds without a further one after which the reports are out of date.
    """

    ended: datetime
    apis: tuple[str, ...]
    stalled_after: int


def encode_state(state: ReportState, holder: str) -> dict[str, Any]:
    """Return the merge patch of the Lease.

    Args:
        state: the state.
        holder: name of the process.
    """
    return {
        "metadata": {"annotations": {ANNOTATION: ",".join(state.apis)}},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": state.stalled_after,
            "renewTime": state.ended.astimezone(UTC).strftime(_TIME),
        },
    }


def decode_state(lease: Mapping[str, Any]) -> ReportState | None:
    """Return what a Lease says; None if no round was completed yet."""
    spec = lease.get("spec") or {}
    apis = (lease["metadata"].get("annotations") or {}).get(ANNOTATION)
    time, seconds = spec.get("renewTime"), spec.get("leaseDurationSeconds")
    if not (isinstance(apis, str) and isinstance(time, str) and isinstance(seconds, int) and _APIS.fullmatch(apis)):
        return None
    try:
        ended = datetime.strptime(time, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return ReportState(ended, tuple(filter(None, apis.split(","))), seconds)
