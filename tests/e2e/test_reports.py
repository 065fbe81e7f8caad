"""Reports of a real cluster: what runs shows up, what was fixed turns to pass, and switched off nothing is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.chart.rendering import NAMESPACE, ROOT
from tests.cli.running import SEALGATE
from tests.e2e import release
from tests.e2e.documentation import Page
from tests.e2e.kube import api, condition, eventually, get, kubectl
from tests.e2e.objects import authenticator, later, pod, workload
from tests.e2e.private_registry import give_secret, private
from tests.e2e.servers import serve
from tests.support.builders.objects import exception
from tests.support.signers.cosign import Classic, push_classic, signature_tag
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import SampleImages
    from tests.e2e.images import Image
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team
    from tests.support.signers.private_keys import PrivateKey

__all__ = ["private"]

CRDS = ROOT / "tests/data/policy_reports"
KINDS = ("policyreports.wgpolicyk8s.io", "reports.openreports.io")
INTERVAL = 10
#: Seconds in which a change is in the reports: several intervals, and the time of the caches.
PATIENCE = 240.0
#: TTL of what was verified, in seconds: short, so that a deleted signature shows up soon.
VERIFIED_TTL = 20
#: Repository and tag of an image whose registry can be stopped.
PATH, TAG = "team/app", "v1"


@pytest.fixture(scope="module", autouse=True)
def reporting() -> Iterator[None]:
    """Switch the reports on, and off again."""
    defaults = yaml.safe_load((ROOT / "charts/sealgate/values.yaml").read_text(encoding="utf-8"))
    reports = {"enabled": True, "intervalSeconds": INTERVAL}
    release.upgrade({"reports": reports, "cache": {"verifiedSeconds": VERIFIED_TTL}})
    yield
    cache = {"verifiedSeconds": defaults["cache"]["verifiedSeconds"]}
    release.upgrade({"reports": defaults["reports"], "cache": cache})
    kubectl("delete", "crd", *KINDS, "--ignore-not-found").checked()


@pytest.fixture(scope="module")
def apis(reporting: None) -> None:  # noqa: ARG001 - the process runs before the CRDs are there
    """Install the report APIs, after the process has said that there are none."""
    eventually(lambda: "no report API is installed" in logs(), "the process says that no API is installed")
    kubectl("apply", "-f", str(CRDS / "wgpolicyk8s.io_policyreports.yaml")).checked()
    kubectl("apply", "-f", str(CRDS / "openreports.io_reports.yaml")).checked()


@pytest.fixture(scope="module")
def busy(
    new_module_team: Callable[[], Team],
    samples: SampleImages,
    apis: None,  # noqa: ARG001 - the CRDs exist
) -> Iterator[Team]:
    """A namespace in which a signed and an unsigned workload, and one with an exception, ran before its policy."""
    team = new_module_team()
    team.create(pod("good", samples.signed.tagged)).checked()
    team.create(pod("bad", samples.unsigned.tagged)).checked()
    team.create(pod("excepted", samples.untrusted.tagged)).checked()
    team.create(workload("Deployment", "web", samples.unsigned.tagged)).checked()
    team.wait("condition=Ready", "pod/good", "pod/bad", "pod/excepted")
    team.wait("condition=Available", "deployment/web")
    team.require_signature(samples.key.entry, probe=samples.untrusted.tagged)
    lifted = exception(team.name, samples.untrusted.name, namespaces=[team.name], expires_at=later())
    kubectl("create", "-f", "-", text=json.dumps(lifted)).checked()
    yield team
    kubectl("delete", "vexc", team.name, "--ignore-not-found").checked()


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistrySimulator]:
    """A registry that can be stopped, reached by plain HTTP; no pods of its images run."""
    name, _, port = release.OPENSHIFT.partition(":")
    with serve(RegistrySimulator, name, int(port)) as registry:
        yield registry


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    """The key of the image in the registry that can be stopped."""
    return new_key("ECDSA P-256", "reports")


@pytest.fixture(scope="module")
def declared(
    new_module_team: Callable[[], Team],
    samples: SampleImages,
    registry: RegistrySimulator,
    key: PrivateKey,
) -> Team:
    """A namespace that requires a signature, which the image of its CronJob has; the registry is down."""
    push_classic(registry, PATH, Classic(registry.push_image(PATH, TAG), key))
    team = new_module_team()
    team.create(workload("CronJob", "app", f"{release.OPENSHIFT}/{PATH}:{TAG}")).checked()
    registry.faults.drop("/")
    team.require_signature({"pem": public_pem(key)}, probe=samples.unsigned.tagged)
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


def expect_condition(team: Team, status: str, reason: str) -> None:
    """Wait until the condition `Reported` of a team's policy says this."""

    def said() -> bool:
        found = condition("verificationpolicy", team.name, "Reported")
        return bool(found) and (found["status"], found["reason"]) == (status, reason)

    eventually(said, f"the condition Reported says {reason}", PATIENCE)


# The other namespace is made before the first round, which then is about both.
@pytest.mark.usefixtures("declared")
def test_what_ran_before_its_policy_shows_up(busy: Team, samples: SampleImages) -> None:
    expect(busy, "Pod/good", "pass")
    expect(busy, "Pod/bad", "fail")
    expect(busy, "Deployment/web", "fail")
    expect(busy, "Pod/excepted", "skip")
    assert set(reports(busy)) == {"Pod/good", "Pod/bad", "Pod/excepted", "Deployment/web"}
    (result,) = reports(busy)["Pod/good"]["results"]
    assert result["properties"]["digest"] == samples.signed.digest
    assert result["properties"]["running"] == "match"
    assert busy.get("pod", "bad")["status"]["phase"] == "Running"


def test_commands_of_the_runbook_work(busy: Team) -> None:
    expect(busy, "Pod/bad", "fail")
    runbook = Page(ROOT / "docs" / "runbook.md")
    section = "SealgateReportsStalled"
    assert "1/1" in runbook.run(section, "kubectl -n sealgate-system get deployment").checked().out
    runbook.run(section, "kubectl -n sealgate-system logs").checked()
    failing = runbook.run("SealgateRunningImageFails", "kubectl get policyreports").checked().out
    assert f"{busy.name}\tPod\tbad\n" in failing


def test_policies_say_that_what_runs_is_reported(busy: Team) -> None:
    expect_condition(busy, "True", "ReportsWritten")


def test_what_an_exception_lifts_is_skipped(busy: Team) -> None:
    expect(busy, "Pod/excepted", "skip")
    (result,) = reports(busy)["Pod/excepted"]["results"]
    assert result["properties"]["reason"] == "Exception"
    assert busy.name in result["message"]


def test_an_unavailable_registry_is_an_error_until_it_is_back(declared: Team, registry: RegistrySimulator) -> None:
    expect(declared, "CronJob/app", "error")
    registry.faults.clear()
    expect(declared, "CronJob/app", "pass")


def test_a_forged_report_is_replaced(busy: Team) -> None:
    expect(busy, "Pod/bad", "fail")
    name = reports(busy)["Pod/bad"]["metadata"]["name"]
    forged = json.dumps({"results": [{"policy": busy.name, "result": "pass"}], "summary": {"pass": 1, "fail": 0}})
    busy.kubectl("patch", KINDS[0], name, "--type=merge", "-p", forged).checked()
    expect(busy, "Pod/bad", "fail")


def test_a_workload_that_was_fixed_turns_to_pass(busy: Team, samples: SampleImages) -> None:
    busy.kubectl("set", "image", "deployment/web", f"main={samples.signed.tagged}").checked()
    busy.kubectl("rollout", "status", "deployment/web", "--timeout=150s").checked()
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


def test_a_deleted_signature_shows_up_without_a_restart(declared: Team, registry: RegistrySimulator) -> None:
    expect(declared, "CronJob/app", "pass")
    (process,) = release.pods("reports")
    registry.delete(PATH, signature_tag(registry.repositories[PATH].tags[TAG]))
    expect(declared, "CronJob/app", "fail")
    (same,) = release.pods("reports")
    assert same["metadata"]["uid"] == process["metadata"]["uid"]
    assert same["status"]["containerStatuses"][0]["restartCount"] == 0


def test_the_log_explains_a_result_by_its_id(declared: Team, tmp_path: Path) -> None:
    expect(declared, "CronJob/app", "fail")
    (result,) = reports(declared)["CronJob/app"]["results"]
    page, log = Page(ROOT / "docs" / "reports.md"), {"reports.log": str(tmp_path / "reports.log")}
    page.run("What a report says", "$ kubectl -n sealgate-system logs", log | {"$ kubectl": "kubectl"}).checked()
    decision = {"u7ryfqg2-3kzbn5ol": result["properties"]["decisionId"], "$ sealgate": str(SEALGATE)}
    shown = page.run("What a report says", "$ sealgate explain", log | decision).checked().out
    assert "fail in the report" in shown
    assert result["message"] in shown


def test_stalled_reports_recover_and_are_not_written_again(
    declared: Team, busy: Team, key: PrivateKey, registry: RegistrySimulator
) -> None:
    expect(declared, "CronJob/app", "fail")
    expect(busy, "Pod/good", "pass")
    written = {kind: reports(busy, kind)["Pod/good"]["metadata"]["resourceVersion"] for kind in KINDS}
    try:
        release.stop("reports")
        push_classic(registry, PATH, Classic(registry.repositories[PATH].tags[TAG], key))
        expect_condition(declared, "False", "ReportsStalled")
        # The reports stay as they were.
        assert outcomes(declared, "CronJob/app") == {"fail"}
    finally:
        kubectl("-n", NAMESPACE, "scale", "deployment/sealgate-reports", "--replicas=1").checked()
    expect(declared, "CronJob/app", "pass")
    expect_condition(declared, "True", "ReportsWritten")
    # The new process has compared what it did not need to write.
    assert {kind: reports(busy, kind)["Pod/good"]["metadata"]["resourceVersion"] for kind in KINDS} == written


def test_a_private_image_is_verified_with_its_pull_secret(
    new_team: Callable[[], Team], samples: SampleImages, private: Image
) -> None:
    # An image is verified once for each namespace, with the pull secrets of all its workloads there.
    team, without = new_team(), new_team()
    give_secret(team)
    team.create(pod("app", private.tagged, imagePullSecrets=[{"name": "pull"}])).checked()
    without.create(workload("CronJob", "app", private.tagged)).checked()
    team.wait("condition=Ready", "pod/app")
    for each in (team, without):
        each.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    expect(team, "Pod/app", "pass")
    expect(without, "CronJob/app", "error")


def test_rights_are_those_of_the_webhook_and_reports(busy: Team) -> None:
    for account in ("sealgate-webhook", "sealgate-reports"):
        assert release.may(account, "get", "secrets", busy.name)
        assert not release.may(account, "list", "secrets", busy.name)
    assert not release.may("sealgate-operator", "get", "secrets", busy.name)
    assert release.may("sealgate-reports", "update", KINDS[0], busy.name)
    for verb, resource in (("delete", "pods"), ("create", "pods"), ("update", "deployments"), ("get", "pods/log")):
        assert not release.may("sealgate-reports", verb, resource, busy.name)


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
