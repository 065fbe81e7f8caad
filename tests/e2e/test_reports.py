"""Reports of a real cluster: what runs shows up, what was fixed turns to pass, and switched off nothing is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import NAMESPACE, ROOT
from tests.e2e import release
from tests.e2e.kube import api, condition, eventually, get, kubectl
from tests.e2e.objects import authenticator, pod, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

CRDS = ROOT / "tests/data/policy_reports"
KINDS = ("policyreports.wgpolicyk8s.io", "reports.openreports.io")
INTERVAL = 10
#: Seconds in which a change is in the reports: several intervals, and the time of the caches.
PATIENCE = 120.0


@pytest.fixture(scope="module", autouse=True)
def reporting() -> Iterator[None]:
    """Switch the reports on, and off again."""
    release.upgrade({"reports": {"enabled": True, "intervalSeconds": INTERVAL}})
    yield
    release.upgrade({"reports": {"enabled": False}})
    kubectl("delete", "crd", *KINDS, "--ignore-not-found").checked()


@pytest.fixture(scope="module")
def apis(reporting: None) -> None:  # noqa: ARG001 - the process runs before the CRDs are there
    """Install the report APIs, after the process has said that there are none."""
    eventually(lambda: "no report API is installed" in logs(), "the process says that no API is installed")
    kubectl("apply", "-f", str(CRDS / "wgpolicyk8s.io_policyreports.yaml")).checked()
    kubectl("apply", "-f", str(CRDS / "openreports.io_reports.yaml")).checked()


@pytest.fixture(scope="module")
def busy(new_module_team: Callable[[], Team], samples: SampleImages, apis: None) -> Team:  # noqa: ARG001 - CRDs exist
    """A namespace in which a signed and an unsigned workload ran before its policy."""
    team = new_module_team()
    team.create(pod("good", samples.signed.tagged)).checked()
    team.create(pod("bad", samples.unsigned.tagged)).checked()
    team.create(workload("Deployment", "web", samples.unsigned.tagged)).checked()
    team.wait("condition=Ready", "pod/good", "pod/bad")
    team.wait("condition=Available", "deployment/web")
    team.require_signature(samples.key.entry, probe=samples.untrusted.tagged)
    return team


def logs() -> str:
    return kubectl("-n", NAMESPACE, "logs", "deployment/sealgate-reports").checked().out


def reports(team: Team, kind: str = KINDS[0]) -> dict[str, Object]:
    """Return the reports of a team by kind and name of the workload."""
    found = team.get(kind)["items"]
    return {f"{one['scope']['kind']}/{one['scope']['name']}": one for one in found}


def outcomes(team: Team, name: str, kind: str = KINDS[0]) -> set[str]:
    """Return the different results of a workload; empty while it has no report."""
    return {one["result"] for one in reports(team, kind).get(name, {"results": []})["results"]}


def expect(team: Team, name: str, *wanted: str) -> None:
    """Wait until a workload has exactly these results, in both APIs."""

    def reported() -> bool:
        return all(outcomes(team, name, kind) == set(wanted) for kind in KINDS)

    eventually(reported, f"the reports of {name} say {wanted}", PATIENCE)


def may(account: str, verb: str, resource: str, namespace: str) -> bool:
    user = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
    return kubectl("auth", "can-i", verb, resource, "-n", namespace, user).out.strip() == "yes"


def test_what_ran_before_its_policy_shows_up(busy: Team, samples: SampleImages) -> None:
    expect(busy, "Pod/good", "pass")
    expect(busy, "Pod/bad", "fail")
    expect(busy, "Deployment/web", "fail")
    assert set(reports(busy)) == {"Pod/good", "Pod/bad", "Deployment/web"}
    (result,) = reports(busy)["Pod/good"]["results"]
    assert result["properties"]["digest"] == samples.signed.digest
    assert result["properties"]["running"] == "match"
    assert busy.get("pod", "bad")["status"]["phase"] == "Running"


def test_policies_say_that_what_runs_is_reported(busy: Team) -> None:
    def reported() -> bool:
        found = condition("verificationpolicy", busy.name, "Reported")
        return bool(found) and (found["status"], found["reason"]) == ("True", "ReportsWritten")

    eventually(reported, "the condition Reported")


def test_a_forged_report_is_replaced(busy: Team) -> None:
    expect(busy, "Pod/bad", "fail")
    name = reports(busy)["Pod/bad"]["metadata"]["name"]
    forged = json.dumps({"results": [{"policy": busy.name, "result": "pass"}], "summary": {"pass": 1, "fail": 0}})
    busy.kubectl("patch", KINDS[0], name, "--type=merge", "-p", forged).checked()
    expect(busy, "Pod/bad", "fail")


def test_a_workload_that_was_fixed_turns_to_pass(busy: Team, samples: SampleImages) -> None:
    busy.kubectl("set", "image", "deployment/web", f"main={samples.signed.tagged}").checked()
    busy.kubectl("rollout", "status", "deployment/web", "--timeout=60s").checked()
    expect(busy, "Deployment/web", "pass")


def test_a_revoked_key_shows_up(busy: Team, samples: SampleImages) -> None:
    kubectl("apply", "-f", "-", text=json.dumps(authenticator(busy.name, samples.untrusted_key.entry))).checked()
    expect(busy, "Pod/good", "fail")
    kubectl("apply", "-f", "-", text=json.dumps(authenticator(busy.name, samples.key.entry))).checked()
    expect(busy, "Pod/good", "pass")


def test_a_report_goes_with_its_workload(busy: Team) -> None:
    expect(busy, "Pod/bad", "fail")
    busy.kubectl("delete", "pod", "bad", "--now").checked()
    expect(busy, "Pod/bad")


def test_rights_are_those_of_the_webhook_and_reports(busy: Team) -> None:
    for account in ("sealgate-webhook", "sealgate-reports"):
        assert may(account, "get", "secrets", busy.name)
        assert not may(account, "list", "secrets", busy.name)
    assert not may("sealgate-operator", "get", "secrets", busy.name)
    assert may("sealgate-reports", "update", KINDS[0], busy.name)
    for verb, resource in (("delete", "pods"), ("create", "pods"), ("update", "deployments"), ("get", "pods/log")):
        assert not may("sealgate-reports", verb, resource, busy.name)


def test_a_tenant_sees_reports_with_view(busy: Team) -> None:
    busy.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", "--user=tenant").checked()

    def sees() -> bool:
        return busy.kubectl("get", KINDS[0], "--as=tenant").ok

    eventually(sees, "the role is aggregated")
    assert not busy.kubectl("delete", KINDS[0], "--all", "--as=tenant").ok


def test_switched_off_nothing_is_left_behind(busy: Team) -> None:
    expect(busy, "Pod/good", "pass")
    release.upgrade({"reports": {"enabled": False}})

    def left() -> list[Object]:
        return [item for kind in KINDS for item in get("-A", kind)["items"]]

    eventually(lambda: not left(), "Kubernetes deletes the reports", PATIENCE)
    found = api().send("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/sealgate-reports")
    assert not found.ok
