"""`sealgate explain` answers from the log of the reports' process why a result of a report is not a pass."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.running import sealgate
from tests.webhook.reports.environment import ReportEnvironment

if TYPE_CHECKING:
    from pathlib import Path


def test_result_of_a_report_is_explained_by_its_id(tmp_path: Path) -> None:
    with ReportEnvironment() as reports:
        reports.put("Deployment", "web", reports.push("bad", None))
        reports.round()
        (result,) = reports.reports()["Deployment/web"]["results"]
    log = tmp_path / "reports.log"
    log.write_text(reports.output.getvalue())
    decision = result["properties"]["decisionId"]
    ran = sealgate("explain", decision, "--log", log)
    assert ran.exit_code == 0
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert lines[0] == [decision, "fail", "in", "the", "report"]
    assert ["object", "apps/Deployment", "web"] in lines
    assert ["policy", "production", "(Enforce)"] in lines
    assert [result["properties"]["digest"]] in lines
    assert result["message"] in ran.stdout
    found = sealgate("explain", "--image", "shop/bad", "--namespace", "shop", "--log", log, "-o", "json")
    assert [line["decision_id"] for line in json.loads(found.stdout)] == [decision]
