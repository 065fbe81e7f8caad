"""The condition Reported of every policy: whether what runs is reported. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate_operator.status.conditions import ConditionUpdate

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.policies.report_state import ReportState

REPORTED: Final = "Reported"


def reporting_condition(state: ReportState | None, now: datetime) -> ConditionUpdate:
    """Return what the condition should say; the same while nothing changes.

    Args:
        state: what the reports' process said last; None if it has not said anything yet.
        now: the time.
    """
    if state is None:
        return ConditionUpdate(REPORTED, None, "NoRoundYet", "no round of reports was completed yet")
    if (now - state.ended).total_seconds() > state.stalled_after:
        message = (
            f"no round of reports was completed for more than {state.stalled_after} s, so the reports are out of date; "
            "the log of the Deployment sealgate-reports has the reason"
        )
        return ConditionUpdate(REPORTED, False, "ReportsStalled", message)
    if not state.apis:
        message = (
            "the cluster has neither policyreports.wgpolicyk8s.io nor reports.openreports.io, so no reports are "
            "written; install the CRDs of one of them"
        )
        return ConditionUpdate(REPORTED, False, "NoReportAPI", message)
    return ConditionUpdate(REPORTED, True, "ReportsWritten", f"what runs is reported to {', '.join(state.apis)}")
