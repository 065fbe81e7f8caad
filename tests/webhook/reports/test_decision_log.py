"""Results of reports that are not a pass are part of the decision log, with the id that the report has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

from tests.support.builders.objects import policy
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    import pytest

    from tests.webhook.reports.environment import ReportEnvironment

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/decision-log.schema.json").read_text())


def decisions(environment: ReportEnvironment) -> list[dict[str, Any]]:
    """Return the decisions in the log, each checked against the schema."""
    lines = [json.loads(line) for line in environment.output.getvalue().splitlines()]
    found = [line for line in lines if "decision_id" in line]
    for line in found:
        jsonschema.Draft202012Validator(SCHEMA).validate(line)
    return found


def reported(environment: ReportEnvironment) -> dict[str, tuple[str, str]]:
    """Return id -> result and policy of each result of all reports that has a decision id."""
    return {
        result["properties"]["decisionId"]: (result["result"], result["policy"])
        for report in environment.reports().values()
        for result in report["results"]
        if "decisionId" in result["properties"]
    }


def test_each_result_that_is_not_a_pass_is_logged_with_its_id(environment: ReportEnvironment) -> None:
    with RegistrySimulator() as away:
        host = away.host
    environment.put_policy(policy("soft", f"{environment.registry.host}/**", action="Audit"))
    environment.put_policy(policy("free", f"{environment.registry.host}/shop/exempt", action="Exempt"))
    environment.put_policy(policy("elsewhere", f"{host}/**"))
    environment.restart()
    environment.put("Deployment", "bad", environment.push("bad", None))
    environment.run_pod("good", environment.push("good"))
    environment.put("Pod", "away", f"{host}/shop/app:1")
    environment.run_pod("exempt", environment.push("exempt", None))
    environment.round()
    lines = decisions(environment)
    assert {line["decision_id"]: (line["outcome"], line["policy"]) for line in lines} == reported(environment)
    assert {outcome for outcome, _ in reported(environment).values()} == {"fail", "warn", "error", "skip"}
    failed = next(
        line for line in lines if (line["name"], line["outcome"], line["policy"]) == ("bad", "fail", "production")
    )
    assert (failed["kind"], failed["namespace"], failed["reason"]) == ("apps/Deployment", "shop", "NoSignature")
    assert failed["digest"] == environment.digest(failed["image"])


def test_a_result_is_logged_once_while_it_stays(environment: ReportEnvironment) -> None:
    environment.run_pod("web", environment.push("unsigned", None))
    environment.round()
    environment.round()
    assert len(decisions(environment)) == 1
    environment.cluster.delete("/api/v1/namespaces/shop/pods/web")
    environment.round()
    environment.run_pod("web", environment.push("unsigned", None))
    environment.round()
    assert len(decisions(environment)) == 2


def test_results_that_had_to_wait_are_logged_in_the_rounds_that_follow(
    environment: ReportEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sealgate_webhook.reports.decision_log.MAX_SHARE", 2)
    for number in range(5):
        environment.run_pod(f"web-{number}", environment.push("unsigned", None))
    for logged in (2, 4, 5, 5):
        environment.round()
        assert len(decisions(environment)) == logged
    assert {line["decision_id"] for line in decisions(environment)} == set(reported(environment))
