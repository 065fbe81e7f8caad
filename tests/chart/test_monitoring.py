"""Alerts and the dashboard ask only for metrics that there are."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import structlog
from prometheus_client import CollectorRegistry

from sealgate_operator.canary.metrics import CanaryMetrics
from sealgate_operator.metrics import Metrics as OperatorMetrics
from sealgate_operator.worker.metrics import WorkerMetrics
from sealgate_webhook.events.metrics import EventMetrics
from sealgate_webhook.metrics import Metrics
from sealgate_webhook.reports.metrics import ReportMetrics
from tests.chart.rendering import CHART, NAMESPACE, ROOT, VALUE_SETS, find, render
from tests.examples.test_readme import anchors
from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client import Metric

    from tests.chart.rendering import Manifest


@pytest.fixture(scope="module")
def samples() -> frozenset[str]:
    """The names that a scrape can have."""
    kinds = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}

    def names(metric: Metric) -> list[str]:
        return [metric.name + suffix for suffix in kinds[metric.type]]

    reports = CollectorRegistry()
    ReportMetrics(reports)
    registries = (
        Metrics(structlog.get_logger()).registry,
        OperatorMetrics(lambda: True).registry,
        WorkerMetrics(lambda: True).registry,
        EventMetrics().registry,
        CanaryMetrics().registry,
        reports,
    )
    return frozenset(name for registry in registries for metric in registry.collect() for name in names(metric))


def _alerts(rule: Manifest) -> list[Manifest]:
    return [one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one]


def _rules(values: Manifest) -> list[Manifest]:
    return [obj for obj in render(values) if obj["kind"] == "PrometheusRule"]


def _asked(expressions: list[str]) -> set[str]:
    return {name for expression in expressions for name in re.findall(r"sealgate_\w+(?=\{)", expression)}


@pytest.mark.parametrize(
    ("values", "name", "least"), [("everything", "sealgate", 10), ("signing", "sealgate-signing", 6)]
)
def test_alerts_ask_for_metrics_that_there_are(samples: frozenset[str], values: str, name: str, least: int) -> None:
    rule = find(render(VALUE_SETS[values]), "PrometheusRule", name)
    alerts = _alerts(rule)
    asked = _asked([alert["expr"] for alert in alerts])
    assert len(asked) >= least
    assert asked <= samples
    for alert in alerts:
        assert alert["alert"].startswith("Sealgate")
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"]["summary"].endswith(".")
        assert alert["expr"].count("(") == alert["expr"].count(")")


@pytest.mark.parametrize("name", VALUE_SETS)
def test_every_alert_leads_to_a_section_of_the_runbook(name: str) -> None:
    sections = anchors((ROOT / "docs" / "runbook.md").read_text(encoding="utf-8"))
    for alert in (alert for rule in _rules(VALUE_SETS[name]) for alert in _alerts(rule)):
        page, _, section = alert["annotations"]["runbook_url"].partition("#")
        assert page == "https://github.com/sealgate/sealgate/blob/main/docs/runbook.md"
        assert section in sections, alert["alert"]


def test_alerts_lead_to_another_copy_of_the_runbook() -> None:
    rule = {"enabled": True, "runbook": "https://wiki.test/sealgate"}
    (found,) = _rules({"metrics": {"prometheusRule": rule}})
    assert {alert["annotations"]["runbook_url"].partition("#")[0] for alert in _alerts(found)} == {rule["runbook"]}


def test_recording_rules_ask_for_metrics_that_there_are(samples: frozenset[str]) -> None:
    rules = [
        one for rule in _rules(VALUE_SETS["everything"]) for group in rule["spec"]["groups"] for one in group["rules"]
    ]
    recorded = {one["record"]: one["expr"] for one in rules if "record" in one}
    assert _asked(list(recorded.values())) <= samples
    used = {name for one in rules if "alert" in one for name in re.findall(r"sealgate:\w+:\w+", one["expr"])}
    assert used == recorded.keys()


@pytest.mark.real
@pytest.mark.parametrize("name", ["everything", "signing"])
def test_prometheus_accepts_all_rules(name: str, tmp_path: Path) -> None:
    for rule in _rules(VALUE_SETS[name]):
        path = tmp_path / f"{rule['metadata']['name']}.yaml"
        path.write_text(json.dumps(rule["spec"]))
        _promtool("check", "rules", str(path))


#: Minutes of a day and a bit.
DAY = 1500


def _job(component: str) -> dict[str, str]:
    """Return the labels that Prometheus adds to the metrics of a component."""
    return {"job": f"sealgate-{component}", "namespace": NAMESPACE}


@dataclass(frozen=True, slots=True)
class Observed:
    """What is scraped, and what is alerted about.

    Attributes:
        alert: name of the alert.
        series: series of a scrape every minute; `JOB` stands for the job of the component.
        fires: labels of each alert that fires, besides the rule's own.
        component: whose metrics they are.
        minute: when the alerts are compared.
    """

    alert: str
    series: dict[str, str]
    fires: tuple[dict[str, str], ...] = ()
    component: str = "webhook"
    minute: int = 119


_PROBLEM = 'sealgate_enforcement_problems{JOB,problem="FailurePolicyChanged"}'
_OTHER_PROBLEM = 'sealgate_enforcement_problems{JOB,problem="NoEndpoint"}'
_DENIED = "sealgate_canary_denied{JOB}"
_LAST_DENIED = "sealgate_canary_last_denied_timestamp_seconds{JOB}"
_FETCHED = 'sealgate_operator_trusted_root_timestamp_seconds{JOB,event="fetched"}'
_LAST_ROUND = "sealgate_report_last_round_timestamp_seconds{JOB}"
_FAIL = 'sealgate_report_results{JOB,policy="shop",result="fail"}'
_PASS = 'sealgate_report_results{JOB,policy="shop",result="pass"}'
_OPEN = "sealgate_exceptions_open{JOB}"

OBSERVED = {
    "registry down": Observed(
        "SealgateAdmissionUnavailable",
        {
            'sealgate_registry_verdicts_total{JOB,host="registry.test",verdict="unavailable"}': "0+10x120",
            'sealgate_registry_verdicts_total{JOB,host="registry.test",verdict="admit"}': "0+10x120",
            'sealgate_registry_verdicts_total{JOB,host="other.test",verdict="unavailable"}': "0x120",
            'sealgate_registry_verdicts_total{JOB,host="other.test",verdict="admit"}': "0+10x120",
        },
        ({"host": "registry.test", **_job("webhook")},),
    ),
    "registry back": Observed(
        "SealgateAdmissionUnavailable",
        {
            'sealgate_registry_verdicts_total{JOB,host="registry.test",verdict="unavailable"}': "0+10x60 600x60",
            'sealgate_registry_verdicts_total{JOB,host="registry.test",verdict="admit"}': "0+10x120",
        },
    ),
    "slow reviews": Observed(
        "SealgateAdmissionSlow",
        {
            'sealgate_admission_review_duration_seconds_bucket{JOB,endpoint="validate",le="1.0"}': "0+5x120",
            'sealgate_admission_review_duration_seconds_count{JOB,endpoint="validate"}': "0+10x120",
        },
        (_job("webhook"),),
    ),
    "connections run out": Observed(
        "SealgateConnectionsClosed",
        {
            'sealgate_closed_connections_total{JOB,limit="connections"}': "0+1x120",
            'sealgate_closed_connections_total{JOB,limit="handshakes"}': "7x120",
        },
        ({"limit": "connections"},),
    ),
    "no thread for reviews": Observed(
        "SealgateReviewsRefused",
        {
            'sealgate_refused_reviews_total{JOB,limit="threads"}': "0+1x120",
            'sealgate_refused_reviews_total{JOB,limit="bodies"}': "7x120",
        },
        ({"limit": "threads"},),
    ),
    "denials after a quiet day": Observed(
        "SealgateDenialSpike",
        {'sealgate_image_verdicts_total{JOB,reason="NoSignature",verdict="deny"}': f"0x{DAY - 20} 0+10x20"},
        ({},),
        minute=DAY - 1,
    ),
    "as many denials as always": Observed(
        "SealgateDenialSpike",
        {'sealgate_image_verdicts_total{JOB,reason="NoSignature",verdict="deny"}': f"0+10x{DAY}"},
        minute=DAY - 1,
    ),
    "failure policy changed": Observed(
        "SealgateNotEnforcing",
        {_PROBLEM: "0x60 1x60", _OTHER_PROBLEM: "0x120"},
        ({"problem": "FailurePolicyChanged"},),
        component="operator",
    ),
    "failure policy repaired": Observed(
        "SealgateNotEnforcing", {_PROBLEM: "0x30 1x60 0x30", _OTHER_PROBLEM: "0x120"}, component="operator"
    ),
    "canary admitted": Observed("SealgateCanaryAdmitted", {_DENIED: "1x60 0x60"}, ({},), component="canary"),
    "canary denied": Observed("SealgateCanaryAdmitted", {_DENIED: "1x30 0x30 1x60"}, component="canary"),
    "canary without a finding": Observed("SealgateCanaryAdmitted", {_DENIED: "NaN " * 120}, component="canary"),
    "canary last denied an hour ago": Observed(
        "SealgateCanaryNotDenied", {_LAST_DENIED: "0+60x60 3600x60"}, ({},), component="canary"
    ),
    "canary away": Observed("SealgateCanaryNotDenied", {_DENIED: "1x60"}, (_job("canary"),), component="canary"),
    "canary denied a minute ago": Observed("SealgateCanaryNotDenied", {_LAST_DENIED: "0+60x120"}, component="canary"),
    "last round an hour ago": Observed(
        "SealgateReportsStalled", {_LAST_ROUND: "0+60x60 3600x60"}, ({},), component="reports"
    ),
    "reports away": Observed("SealgateReportsStalled", {_PASS: "1x60"}, (_job("reports"),), component="reports"),
    "rounds of reports": Observed("SealgateReportsStalled", {_LAST_ROUND: "0+60x120"}, component="reports"),
    "running images fail": Observed(
        "SealgateRunningImageFails",
        {_FAIL: "0x60 2x60", _PASS: "3x120", _PASS.replace("shop", "other"): "3x120"},
        ({"policy": "shop"},),
        component="reports",
    ),
    "running images pass": Observed(
        "SealgateRunningImageFails", {_FAIL: "2x60 0x60", _PASS: "3x120"}, component="reports"
    ),
    "trusted root fetched a day ago": Observed(
        "SealgateTrustedRootStale",
        {_FETCHED: f"0x{DAY + 60}"},
        ({},),
        minute=DAY + 30,
        component="operator",
    ),
    "trusted root fetched by the leader": Observed(
        "SealgateTrustedRootStale",
        {_FETCHED: f"0x{DAY + 60}", _FETCHED.replace("JOB", 'JOB,pod="leader"'): f"0+60x{DAY + 60}"},
        minute=DAY + 30,
        component="operator",
    ),
    "open exceptions": Observed("SealgateExceptionOpen", {_OPEN: "0x60 2x60"}, ({},)),
    "exceptions have ended": Observed("SealgateExceptionOpen", {_OPEN: "2x60 0x60"}),
}


def _reduce_to(alert: str, rule: Manifest) -> Manifest:
    """Leave in a rule only an alert and what it is computed from, and return the alert.

    Prometheus evaluates all that is left again and again, which takes far longer than to start it.
    """
    (found,) = (one for one in _alerts(rule) if one["alert"] == alert)
    for group in rule["spec"]["groups"]:
        group["rules"] = [one for one in group["rules"] if one is found or one.get("record", "-") in found["expr"]]
    return found


@pytest.mark.long
@pytest.mark.real
def test_alerts_fire_for_what_they_name(tmp_path: Path) -> None:
    paths = []
    for name, observed in OBSERVED.items():
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        paths.append(_write_test(observed, folder))
    # promtool names the file of each test that fails.
    _promtool("test", "rules", *map(str, paths))


def _write_test(observed: Observed, folder: Path) -> Path:
    """Write a test of promtool, with the rules that it needs, into a folder, and return its path."""
    job = ",".join(f'{label}="{value}"' for label, value in _job(observed.component).items())
    rule = find(render(VALUE_SETS["everything"]), "PrometheusRule", "sealgate")
    template = _reduce_to(observed.alert, rule)
    # What an annotation says depends on the value; here only which alerts there are counts.
    template["annotations"] = {}
    (folder / "rules.yaml").write_text(json.dumps(rule["spec"]))
    test = {
        "interval": "1m",
        "input_series": [{"series": one.replace("JOB", job), "values": text} for one, text in observed.series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{observed.minute}m",
                "alertname": observed.alert,
                "exp_alerts": [{"exp_labels": {**template["labels"], **labels}} for labels in observed.fires],
            }
        ],
    }
    # promtool takes milliseconds for each evaluation, a thousand in a day.
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "5m", "tests": [test]}
    path = folder / "test.yaml"
    path.write_text(json.dumps(document))
    return path


def _promtool(*arguments: str) -> None:
    # A third of its CPU time would be threads that collect garbage.
    done = subprocess.run(
        [require_tool("promtool"), *arguments],
        env={**os.environ, "GOMAXPROCS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "least"), [("sealgate", 12), ("signing", 3)])
def test_the_dashboards_ask_for_metrics_that_there_are(samples: frozenset[str], name: str, least: int) -> None:
    dashboard = json.loads((CHART / "dashboards" / f"{name}.json").read_text())
    asked = _asked([target["expr"] for panel in dashboard["panels"] for target in panel["targets"]])
    assert len(asked) >= least
    assert asked <= samples


def test_pages_name_only_metrics_that_exist(samples: frozenset[str]) -> None:
    # The page on upgrades also names those of earlier releases.
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.name != "upgrade.md"]
    named = {
        name for page in pages for name in re.findall(r"`(sealgate_\w+)(?=[`{])", page.read_text(encoding="utf-8"))
    }
    packages = {"sealgate_webhook", "sealgate_operator"}
    assert len(named) >= 4
    assert named - packages <= samples


def test_the_dashboards_are_installed_as_they_are() -> None:
    values = {"metrics": {"dashboard": {"enabled": True}}}
    alone = find(render(values), "ConfigMap", "sealgate-dashboard")["data"]
    beside = find(render({**VALUE_SETS["signing"], **values}), "ConfigMap", "sealgate-dashboard")["data"]
    files = {"sealgate.json": "sealgate.json", "sealgate-signing.json": "signing.json"}
    written = {key: json.loads((CHART / "dashboards" / file).read_text()) for key, file in files.items()}
    assert {key: json.loads(text) for key, text in beside.items()} == written
    assert alone.keys() == {"sealgate.json"}


def test_alerts_ask_for_jobs_that_there_are() -> None:
    manifests = render(VALUE_SETS["signing"])
    services = {obj["metadata"]["name"] for obj in manifests if obj["kind"] == "Service"}
    alerts = _alerts(find(manifests, "PrometheusRule", "sealgate-signing"))
    jobs = {job for alert in alerts for job in re.findall(r'job="([^"]+)"', alert["expr"])}
    assert jobs <= services


def test_the_runbook_has_every_alert_about_signing() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    alerts = _alerts(find(render(VALUE_SETS["signing"]), "PrometheusRule", "sealgate-signing"))
    assert [alert["alert"] for alert in alerts if f"`{alert['alert']}`" not in page] == []


def test_prometheus_finds_all_services() -> None:
    manifests = render(VALUE_SETS["signing"])
    for component in ("webhook", "operator", "signing-worker", "signing-events"):
        selector = find(manifests, "ServiceMonitor", f"sealgate-{component}")["spec"]["selector"]["matchLabels"]
        service = f"sealgate-{component}-metrics" if component == "signing-events" else f"sealgate-{component}"
        found = find(manifests, "Service", service)
        assert selector.items() <= found["metadata"]["labels"].items()
        assert "metrics" in {port["name"] for port in found["spec"]["ports"]}
