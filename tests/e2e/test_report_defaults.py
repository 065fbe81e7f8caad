"""With the chart's defaults, a change of policy and a revoked key are in the reports within two minutes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.chart.rendering import ROOT
from tests.e2e import release
from tests.e2e.kube import apply, eventually, get, kubectl
from tests.e2e.objects import authenticator, pod, policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

KIND = "policyreports.wgpolicyk8s.io"
#: Two minutes, and as much again for a machine that is busy; what it took is printed.
PATIENCE = 240.0


@pytest.fixture(scope="module")
def reporting() -> Iterator[None]:
    """Switch the reports on with the chart's own interval and caches, and off again."""
    crds = str(ROOT / "tests/data/policy_reports/wgpolicyk8s.io_policyreports.yaml")
    kubectl("apply", "-f", crds).checked()
    defaults = yaml.safe_load((ROOT / "charts/sealgate/values.yaml").read_text(encoding="utf-8"))
    release.upgrade({"reports": {**defaults["reports"], "enabled": True}, "cache": defaults["cache"]})
    yield
    release.upgrade({"reports": defaults["reports"], "cache": release.values()["cache"]})
    kubectl("delete", "-f", crds).checked()


def outcome(team: Team) -> str:
    """Return the result of the team's one image; empty while there is no report."""
    results = [result["result"] for report in get("-n", team.name, KIND)["items"] for result in report["results"]]
    return "".join(results)


def expect(team: Team, wanted: str, what: str) -> None:
    """Wait until a change is in the report, and print how long that took."""
    begin = time.monotonic()
    eventually(lambda: outcome(team) == wanted, f"{what} is in the report", PATIENCE)
    print(f"\n{what} was in the report after {time.monotonic() - begin:.0f} s")  # noqa: T201 - a figure for the log


@pytest.mark.usefixtures("reporting")
def test_changes_are_reported_within_two_minutes(new_team: Callable[[], Team], samples: SampleImages) -> None:
    team = new_team()
    team.create(pod("app", samples.signed.tagged)).checked()
    team.wait("condition=Ready", "pod/app")
    team.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    expect(team, "pass", "a new policy")
    apply(authenticator(team.name, samples.untrusted_key.entry)).checked()
    expect(team, "fail", "a revoked key")
    apply(policy(team.name, [team.name], team.name, "Audit")).checked()
    expect(team, "warn", "a changed policy")
