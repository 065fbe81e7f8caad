"""The process: it serves metrics and probes, makes rounds until it is stopped, and refuses invalid settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import urllib3
import yaml

from sealgate_webhook.reports.__main__ import main
from sealgate_webhook.reports.config import ReportsConfig
from tests.operator.environment import eventually
from tests.support.simulators.kubernetes import Fault

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.webhook.reports.environment import ReportEnvironment


def test_it_reports_until_it_is_stopped(environment: ReportEnvironment) -> None:
    environment.run_pod("web", environment.push("signed"))
    with environment.running() as process:
        host, port = process.address

        def get(path: str) -> tuple[int, str]:
            answer = urllib3.request("GET", f"http://{host}:{port}{path}")
            return answer.status, answer.data.decode()

        environment.cluster.wait_for(lambda cluster: cluster.find("reports"))
        # A round counts its end last.
        ended = "sealgate_report_last_round_timestamp_seconds"
        eventually(lambda: process.metrics.registry.get_sample_value(ended) != 0.0)
        assert 'sealgate_report_results{policy="production",result="pass"} 1.0' in get("/metrics")[1]
        assert get("/readyz") == get("/healthz") == (200, "ok\n")
        environment.clock.advance(300)
        status, text = get("/readyz")
        assert (status, "no round of reports was completed" in text) == (503, True)


def test_a_round_that_fails_is_counted_and_not_complete(environment: ReportEnvironment) -> None:
    environment.cluster.faults.append(Fault("GET", "/clusterroles/", 500))
    environment.run_pod("web", environment.push("signed"))
    with environment.running() as process:

        def sample(name: str) -> float | None:
            return process.metrics.registry.get_sample_value(f"sealgate_report_{name}")

        eventually(lambda: sample("failed_rounds_total") == 1.0)
        assert sample("last_round_timestamp_seconds") == 0.0
        eventually(lambda: "round of reports failed; will retry" in environment.output.getvalue())


def test_invalid_settings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"owner": "x", "lease": "x", "intervalSeconds": 1}))
    assert main(["--config", str(tmp_path / "config.yaml")]) == 2
    assert "intervalSeconds" in capsys.readouterr().err


def test_the_budget_is_far_below_that_of_admission() -> None:
    def rate(per_minute: float) -> float:
        registries = {"verificationsPerMinute": per_minute}
        return (
            ReportsConfig.model_validate({"owner": "x", "lease": "x", "registries": registries})
            .verifier_settings()
            .verifications_per_minute
        )

    assert [rate(one) for one in (300, 10_000, 50)] == [60, 60, 10]
