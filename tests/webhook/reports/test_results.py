from __future__ import annotations

from sealgate_webhook.reports.results import NO_POLICY, results_of
from sealgate_webhook.reports.workloads import Usage, Workload
from tests.support.clocks import FakeClock

WEB = Workload("apps/v1", "Deployment", "shop", "web", "u-1")


def test_a_workload_waits_for_all_of_its_images() -> None:
    assert results_of(WEB, Usage(images={"app:1": set()}), {}, FakeClock()) is None


def test_what_is_not_known_is_an_error() -> None:
    found = results_of(WEB, Usage(problems={"spec.containers is missing"}, cut=True), {}, FakeClock())
    assert found is not None
    assert [(one.policy, one.outcome) for one in found] == [(NO_POLICY, "error")] * 2
    assert "spec.containers is missing" in found[0].message
