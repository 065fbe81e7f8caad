from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sealgate.policies.report_state import ANNOTATION, ReportState, decode_state, encode_state
from sealgate_operator.status.reporting import reporting_condition
from tests.support.clocks import NOW

STATE = ReportState(NOW, ("wgpolicyk8s.io/v1alpha2", "openreports.io/v1alpha1"), 240)


@pytest.mark.parametrize("state", [STATE, ReportState(NOW, (), 20)])
def test_a_state_is_read_as_it_was_written(state: ReportState) -> None:
    assert decode_state(encode_state(state, "sealgate")) == state


@pytest.mark.parametrize(
    "lease",
    [
        {"metadata": {}},
        {"metadata": {"annotations": {ANNOTATION: ""}}, "spec": {"leaseDurationSeconds": 1}},
        {"metadata": {"annotations": {ANNOTATION: ""}}, "spec": {"leaseDurationSeconds": 1, "renewTime": "yesterday"}},
        {**encode_state(STATE, "x"), "metadata": {"annotations": {ANNOTATION: "<b>\n"}}},
        {**encode_state(STATE, "x"), "metadata": {"annotations": {ANNOTATION: "a/v1," * 1000}}},
    ],
)
def test_another_lease_says_nothing(lease: dict[str, Any]) -> None:
    assert decode_state(lease) is None


@pytest.mark.parametrize(
    ("state", "seconds", "status", "reason"),
    [
        (None, 0, "Unknown", "NoRoundYet"),
        (STATE, 240, "True", "ReportsWritten"),
        (STATE, 241, "False", "ReportsStalled"),
        (ReportState(NOW, (), 240), 0, "False", "NoReportAPI"),
    ],
)
def test_the_condition_says_whether_what_runs_is_reported(
    state: ReportState | None, seconds: int, status: str, reason: str
) -> None:
    update = reporting_condition(state, NOW + timedelta(seconds=seconds))
    assert (update.type, update.status, update.reason) == ("Reported", status, reason)
