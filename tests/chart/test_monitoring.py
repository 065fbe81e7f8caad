"""Alerts and the dashboard ask only for metrics that there are."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import structlog

from sealgate_operator.metrics import Metrics as OperatorMetrics
from sealgate_webhook.metrics import Metrics
from tests.chart.rendering import CHART, ROOT, VALUE_SETS, find, render

if TYPE_CHECKING:
    from prometheus_client import Metric


@pytest.fixture(scope="module")
def samples() -> frozenset[str]:
    """The names that a scrape can have."""
    kinds = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}

    def names(metric: Metric) -> list[str]:
        return [metric.name + suffix for suffix in kinds[metric.type]]

    registries = (Metrics(structlog.get_logger()).registry, OperatorMetrics(lambda: True).registry)
    return frozenset(name for registry in registries for metric in registry.collect() for name in names(metric))


def _asked(expressions: list[str]) -> set[str]:
    return {name for expression in expressions for name in re.findall(r"sealgate_\w+(?=\{)", expression)}


def test_alerts_ask_for_metrics_that_there_are(samples: frozenset[str]) -> None:
    rule = find(render(VALUE_SETS["everything"]), "PrometheusRule")
    alerts = rule["spec"]["groups"][0]["rules"]
    asked = _asked([alert["expr"] for alert in alerts])
    assert len(asked) >= 10
    assert asked <= samples
    for alert in alerts:
        assert alert["alert"].startswith("Sealgate")
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"]["summary"].endswith(".")
        assert alert["expr"].count("(") == alert["expr"].count(")")


def test_the_dashboard_asks_for_metrics_that_there_are(samples: frozenset[str]) -> None:
    dashboard = json.loads((CHART / "dashboards" / "sealgate.json").read_text())
    asked = _asked([target["expr"] for panel in dashboard["panels"] for target in panel["targets"]])
    assert len(asked) >= 12
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


def test_the_dashboard_is_installed_as_it_is() -> None:
    data = find(render(VALUE_SETS["everything"]), "ConfigMap", "sealgate-dashboard")["data"]["sealgate.json"]
    assert json.loads(data) == json.loads((CHART / "dashboards" / "sealgate.json").read_text())


def test_prometheus_finds_both_services() -> None:
    manifests = render(VALUE_SETS["everything"])
    for component in ("webhook", "operator"):
        selector = find(manifests, "ServiceMonitor", f"sealgate-{component}")["spec"]["selector"]["matchLabels"]
        assert selector.items() <= find(manifests, "Service", f"sealgate-{component}")["metadata"]["labels"].items()
