"""What is reported about a cluster, round after round."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import timestamp
from sealgate.errors import UnavailableError
from sealgate.policies.report_state import ReportState, decode_state
from sealgate_webhook.reports.documents import APIS
from sealgate_webhook.reports.store import REFRESH_SECONDS
from tests.operator.environment import eventually
from tests.support.builders.objects import authenticator, exception, policy
from tests.support.clocks import NOW, FakeClock
from tests.support.signers.private_keys import public_pem
from tests.support.simulators.kubernetes import Fault
from tests.support.simulators.registry import RegistrySimulator
from tests.webhook.excepted import stored
from tests.webhook.reports.environment import LEASES, OTHER_KEY, REPORTS, ReportEnvironment

if TYPE_CHECKING:
    from tests.support.simulators.http_messages import Answer, RecordedRequest

OTHER = "sha256:" + "0" * 64


def _eventually(environment: ReportEnvironment, workload: str, outcome: str | None) -> None:
    """Make rounds until a changed policy, which is noticed by a watch, is in the report."""

    def reported() -> bool:
        environment.round()
        found = environment.reports().get(workload)
        return (None if found is None else found["results"][0]["result"]) == outcome

    eventually(reported)


def test_each_workload_gets_a_report_in_each_installed_api(environment: ReportEnvironment) -> None:
    signed, unsigned = environment.push("signed"), environment.push("unsigned", None)
    environment.run_pod("good", signed)
    environment.put("Deployment", "bad", unsigned, namespace="team")
    environment.round()
    for plural in REPORTS:
        found = environment.reports(plural)
        assert set(found) == {"Pod/good", "Deployment/bad"}
        assert found["Deployment/bad"]["metadata"]["namespace"] == "team"
    assert environment.outcomes("Pod/good") == {"signed:1": "pass"}
    assert environment.outcomes("Deployment/bad") == {"unsigned:1": "fail"}
    summary = environment.reports()["Deployment/bad"]["summary"]
    assert summary == {"pass": 0, "fail": 1, "warn": 0, "error": 0, "skip": 0}


def test_an_exception_is_a_line_in_the_report_until_it_ends(environment: ReportEnvironment) -> None:
    environment.run_pod("bad", environment.push("unsigned", None))
    environment.round()
    assert environment.outcomes("Pod/bad") == {"unsigned:1": "fail"}
    end = timestamp(environment.clock.now() + timedelta(hours=1))
    made = exception("urgent", namespaces=["shop"], expires_at=end)
    environment.put_policy(stored(made, environment.clock.now()))
    _eventually(environment, "Pod/bad", "skip")
    (result,) = environment.reports()["Pod/bad"]["results"]
    assert "admitted by exception urgent of alice" in result["message"]
    assert result["properties"]["reason"] == "Exception"
    environment.cluster.delete("/apis/sealgate.dev/v1alpha1/verificationexceptions/urgent")
    _eventually(environment, "Pod/bad", "fail")


def test_an_exception_ends_also_for_an_image_whose_turn_has_not_come(
    environment: ReportEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.run_pod("bad", environment.push("unsigned", None))
    end = timestamp(environment.clock.now() + timedelta(hours=1))
    made = exception("urgent", namespaces=["shop"], expires_at=end)
    environment.put_policy(stored(made, environment.clock.now()))
    _eventually(environment, "Pod/bad", "skip")
    monkeypatch.setattr("sealgate_webhook.reports.rounds.VERIFYING", 0)
    environment.clock.advance(3600)
    environment.round()
    assert environment.outcomes("Pod/bad") == {"unsigned:1": "fail"}


def test_pods_count_for_the_topmost_object_that_made_them(environment: ReportEnvironment) -> None:
    old, new = environment.push("old", None), environment.push("new")
    web = environment.put("Deployment", "web", new)
    former = environment.put("ReplicaSet", "web-1", old, owner=web)
    environment.run_pod("web-1-a", old, owner=former)
    nightly = environment.put("CronJob", "nightly", new)
    environment.run_pod("nightly-1-a", new, owner=environment.put("Job", "nightly-1", new, owner=nightly))
    environment.put("PodTemplate", "stored", new)
    environment.round()
    assert set(environment.reports()) == {"Deployment/web", "CronJob/nightly", "PodTemplate/stored"}
    assert environment.outcomes("Deployment/web") == {"old:1": "fail", "new:1": "pass"}


def test_an_owner_of_a_kind_that_is_not_listed_hides_nothing(environment: ReportEnvironment) -> None:
    image = environment.push("unsigned", None)
    owner = {"apiVersion": "kafka.example.org/v1", "kind": "Kafka", "metadata": {"name": "x", "uid": "u"}}
    environment.put("Deployment", "broker", image, owner=owner)
    gone = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "x", "uid": "forged"}}
    environment.run_pod("lone", image, owner=gone)
    environment.round()
    assert set(environment.reports()) == {"Deployment/broker", "Pod/lone"}


def test_what_runs_nothing_and_excluded_namespaces_are_left_out() -> None:
    with ReportEnvironment({"excludedNamespaces": ["team"]}) as environment:
        image = environment.push("unsigned", None)
        environment.put("Pod", "ended", image, phase="Succeeded")
        job = environment.put("Job", "done", image)
        job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        environment.cluster.put("/apis/batch/v1/namespaces/shop/jobs", job)
        environment.put("Deployment", "elsewhere", image, namespace="team")
        environment.round()
        assert environment.reports() == {}


def test_templates_are_left_out_where_admission_ignores_them() -> None:
    with ReportEnvironment({"workloads": "Ignore"}) as environment:
        signed, unsigned = environment.push("signed"), environment.push("unsigned", None)
        web = environment.put("Deployment", "web", unsigned)
        environment.put("Deployment", "idle", unsigned)
        environment.run_pod("web-a", signed, owner=web)
        environment.round()
        assert set(environment.reports()) == {"Deployment/web"}
        assert environment.outcomes("Deployment/web") == {"signed:1": "pass"}


def test_an_image_that_ran_before_its_policy_shows_up(environment: ReportEnvironment) -> None:
    environment.cluster.delete("/apis/sealgate.dev/v1alpha1/verificationpolicies/production")
    environment.run_pod("old", environment.push("unsigned", None))
    _eventually(environment, "Pod/old", None)
    environment.put_policy(policy("late", f"{environment.registry.host}/**"))
    _eventually(environment, "Pod/old", "fail")
    environment.cluster.delete("/apis/sealgate.dev/v1alpha1/verificationpolicies/late")
    _eventually(environment, "Pod/old", None)


def test_a_revoked_key_shows_up(environment: ReportEnvironment) -> None:
    environment.run_pod("web", environment.push("signed"))
    environment.round()
    assert environment.outcomes("Pod/web") == {"signed:1": "pass"}
    environment.put_policy(authenticator("release", public_pem(OTHER_KEY)))
    _eventually(environment, "Pod/web", "fail")


def test_a_deleted_signature_shows_up_after_the_time_of_the_cache(environment: ReportEnvironment) -> None:
    image = environment.push("signed")
    environment.run_pod("web", image)
    environment.round()
    environment.registry.delete("shop/signed", environment.digest(image).replace(":", "-") + ".sig")
    environment.clock.advance(601)
    environment.round()
    assert environment.outcomes("Pod/web") == {"signed:1": "fail"}


def test_a_workload_that_was_fixed_turns_to_pass(environment: ReportEnvironment) -> None:
    image = environment.push("late", None)
    environment.run_pod("web", image)
    environment.round()
    assert environment.outcomes("Pod/web") == {"late:1": "fail"}
    environment.sign("late", environment.digest(image))
    environment.clock.advance(31)
    environment.round()
    assert environment.outcomes("Pod/web") == {"late:1": "pass"}


def test_warn_and_audit_are_warnings_and_exempt_is_skipped(environment: ReportEnvironment) -> None:
    host = environment.registry.host
    environment.put_policy(policy("production", f"{host}/**", action="Audit"))
    environment.put_policy(policy("free", f"{host}/**", action="Exempt"))
    environment.restart()
    environment.run_pod("web", environment.push("unsigned", None))
    environment.round()
    by_policy = {one["policy"]: one for one in environment.reports()["Pod/web"]["results"]}
    assert {name: one["result"] for name, one in by_policy.items()} == {"production": "warn", "free": "skip"}
    assert by_policy["production"]["scored"] is False
    assert by_policy["production"]["properties"]["action"] == "Audit"


@pytest.mark.parametrize(("unmatched", "expected"), [("Admit", None), ("Warn", "warn"), ("Deny", "fail")])
def test_images_that_no_policy_covers(unmatched: str, expected: str | None) -> None:
    with ReportEnvironment({"unmatchedImages": unmatched}) as environment:
        environment.put("Pod", "web", "elsewhere.example.org/app:1")
        environment.round()
        assert environment.outcomes("Pod/web") == {"app:1": expected} if expected else not environment.reports()


def test_what_cannot_be_parsed_fails(environment: ReportEnvironment) -> None:
    environment.put("Pod", "web", "not an image\n")
    environment.round()
    (result,) = environment.reports()["Pod/web"]["results"]
    assert (result["result"], result["properties"]["reason"]) == ("fail", "InvalidReference")
    assert "\n" not in result["message"]


class TestRunning:
    def test_an_unknown_image_id_is_never_a_failure(self, environment: ReportEnvironment) -> None:
        for name, key in (("signed", None), ("unsigned", None)):
            image = environment.push(name, key)
            environment.put("Pod", name, image, ids=[f"{environment.registry.host}/shop/{name}@{OTHER}"])
        environment.round()
        for name in ("signed", "unsigned"):
            (result,) = environment.reports()[f"Pod/{name}"]["results"]
            assert (result["result"], result["properties"]["running"]) == ("error", "unknown")
            assert result["properties"]["reason"] == "RunningImageUnknown"
            assert OTHER in result["message"]

    @pytest.mark.parametrize("reported", ["platform", "config"])
    def test_a_digest_within_an_index_is_recognised(self, environment: ReportEnvironment, reported: str) -> None:
        registry = environment.registry
        platform = registry.push_image("shop/many", None, platform={"architecture": "arm64"})
        index = registry.push_index("shop/many", "1", (registry.push_image("shop/many", "amd64"), platform))
        environment.sign("many", index)
        config = json.loads(registry.manifest("shop/many", platform)[1])["config"]["digest"]
        image_id = {"platform": f"elsewhere.example.org/many@{platform}", "config": config}[reported]
        image = f"{registry.host}/shop/many:1"
        environment.put("Pod", "web", image, ids=[image_id])
        environment.put("Pod", "other", image, ids=[f"elsewhere.example.org/many@{OTHER}"])
        environment.round()
        assert environment.outcomes("Pod/web") == {"many:1": "pass"}
        assert environment.outcomes("Pod/other") == {"many:1": "error"}
        before = len(registry.paths)
        environment.round()
        assert environment.outcomes("Pod/web") == {"many:1": "pass"}
        assert len(registry.paths) == before

    def test_the_contents_of_an_image_are_read_once(self, environment: ReportEnvironment) -> None:
        image = environment.push("signed")
        environment.put("Pod", "web", image, ids=[OTHER])
        environment.round()
        before = len(environment.registry.paths)
        environment.put("Pod", "web", image, ids=[f"app@{OTHER}"])
        environment.round()
        assert environment.outcomes("Pod/web") == {"signed:1": "error"}
        assert len(environment.registry.paths) == before

    def test_what_was_verified_runs(self, environment: ReportEnvironment) -> None:
        environment.run_pod("web", environment.push("signed"))
        environment.round()
        (result,) = environment.reports()["Pod/web"]["results"]
        assert (result["result"], result["properties"]["running"]) == ("pass", "match")

    def test_one_of_many_pods_that_runs_another_image_shows(self, environment: ReportEnvironment) -> None:
        image = environment.push("signed")
        web = environment.put("Deployment", "web", image)
        for number in range(20):
            environment.run_pod(f"web-{number}", image, owner=web)
        environment.put("Pod", "web-x", image, owner=web, ids=[f"app@{OTHER}"])
        environment.round()
        assert environment.outcomes("Deployment/web") == {"signed:1": "error"}


class TestUnavailable:
    @pytest.mark.parametrize("action", ["Enforce", "Warn", "Audit"])
    def test_it_is_an_error_and_is_repeated(self, environment: ReportEnvironment, action: str) -> None:
        environment.put_policy(policy(action=action))
        environment.restart()
        environment.run_pod("web", environment.push("signed"))
        environment.registry.faults.status("/manifests/", 503)
        environment.round()
        assert environment.outcomes("Pod/web") == {"signed:1": "error"}
        environment.registry.faults.clear()
        environment.process.rounds.repeat_unavailable(environment.stop)
        assert environment.outcomes("Pod/web") == {"signed:1": "pass"}

    def test_other_registries_are_not_delayed(self, environment: ReportEnvironment) -> None:
        environment.put("Pod", "dead", "127.0.0.1:9/app:1")
        environment.run_pod("web", environment.push("signed"))
        environment.put_policy(policy("all", "**"))
        environment.restart()
        environment.round()
        assert environment.outcomes("Pod/dead") == {"app:1": "error"}
        assert environment.outcomes("Pod/web") == {"signed:1": "pass"}


class _SlowRegistry(RegistrySimulator):
    """A registry that takes two seconds for each response."""

    clock: FakeClock

    def respond(self, request: RecordedRequest) -> Answer:
        self.clock.advance(2)
        return super().respond(request)


def test_a_namespace_with_many_images_does_not_delay_others() -> None:
    with ReportEnvironment(registry=_SlowRegistry()) as environment:
        assert isinstance(environment.registry, _SlowRegistry)
        environment.registry.clock = environment.clock
        for number in range(40):
            environment.put("Pod", f"many-{number}", environment.push(f"app-{number}"))
        environment.put("Pod", "lone", environment.push("lone"), namespace="team")
        environment.round()
        found = environment.reports()
        assert found["Pod/lone"]["summary"]["pass"] == 1
        assert 0 < environment.sample("waiting_images") == 41 - len(found)  # type: ignore[operator]
        # What has no result yet has no report, and comes first in the next rounds.
        for _ in range(10):
            environment.round()
        assert environment.sample("waiting_images") == 0.0
        assert len(environment.reports()) == 41
        assert all(report["summary"]["pass"] == 1 for report in environment.reports().values())


class TestKinds:
    def test_a_kind_that_cannot_be_listed_stops_no_other(self, environment: ReportEnvironment) -> None:
        image = environment.push("signed")
        environment.put("Deployment", "web", image)
        environment.put("CronJob", "nightly", image)
        environment.round()
        environment.cluster.delete("/apis/apps/v1/namespaces/shop/deployments/web")
        environment.cluster.delete("/apis/batch/v1/namespaces/shop/cronjobs/nightly")
        environment.put("PodTemplate", "stored", image)
        environment.cluster.faults.append(Fault("GET", "/cronjobs", 403))
        environment.round()
        assert set(environment.reports()) == {"CronJob/nightly", "PodTemplate/stored"}
        assert environment.sample("unread_kinds") == 1.0
        assert "kind cannot be listed" in environment.output.getvalue()
        environment.cluster.faults.clear()
        environment.round()
        assert set(environment.reports()) == {"PodTemplate/stored"}

    def test_pods_that_cannot_be_listed_are_an_error_of_each_workload(self, environment: ReportEnvironment) -> None:
        environment.put("Deployment", "web", environment.push("signed"))
        environment.cluster.faults.append(Fault("GET", "/api/v1/pods", 500))
        environment.round()
        results = {one["result"] for one in environment.reports()["Deployment/web"]["results"]}
        assert results == {"pass", "error"}

    def test_custom_kinds_are_reported(self) -> None:
        rollout = {
            "group": "argoproj.io",
            "versions": ["v1alpha1"],
            "resource": "rollouts",
            "kind": "Rollout",
            "podSpec": "spec.template.spec",
        }
        absent = {**rollout, "group": "absent.example.org"}
        with ReportEnvironment({"customKinds": [rollout, absent]}) as environment:
            spec = {"template": {"spec": {"containers": [{"name": "c", "image": environment.push("unsigned", None)}]}}}
            path = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts"
            environment.cluster.put(path, {"metadata": {"name": "web"}, "spec": spec})
            environment.round()
            assert environment.outcomes("Rollout/web") == {"unsigned:1": "fail"}
            assert environment.sample("unread_kinds") == 0.0


class TestWrites:
    def test_nothing_is_written_while_nothing_changes(self, environment: ReportEnvironment) -> None:
        environment.run_pod("web", environment.push("signed"))
        environment.round()
        before = environment.writes()
        environment.clock.advance(120)
        environment.round()
        assert environment.writes() == before
        environment.clock.advance(REFRESH_SECONDS)
        environment.round()
        assert len(environment.writes()) == len(before) + len(REPORTS)

    def test_the_report_of_a_deleted_workload_is_deleted(self, environment: ReportEnvironment) -> None:
        environment.run_pod("web", environment.push("signed"))
        environment.round()
        environment.cluster.delete("/api/v1/namespaces/shop/pods/web")
        environment.round()
        assert [environment.reports(plural) for plural in REPORTS] == [{}, {}]

    def test_a_new_process_takes_the_reports_over(self, environment: ReportEnvironment) -> None:
        environment.run_pod("web", environment.push("signed"))
        environment.round()
        environment.cluster.delete("/api/v1/namespaces/shop/pods/web")
        environment.run_pod("other", environment.push("unsigned", None))
        environment.restart()
        environment.round()
        assert set(environment.reports()) == {"Pod/other"}

    def test_a_new_process_writes_only_what_differs(self, environment: ReportEnvironment) -> None:
        environment.run_pod("web", environment.push("signed"))
        environment.put("Deployment", "many", environment.push("other"), environment.push("unsigned", None))
        environment.round()
        before = environment.writes()
        environment.restart()
        environment.clock.advance(120)
        environment.round()
        environment.round()
        assert environment.writes() == before
        environment.clock.advance(REFRESH_SECONDS)
        environment.restart()
        environment.round()
        assert len(environment.writes()) == len(before) + 2 * len(REPORTS)

    @pytest.mark.parametrize(
        "forged",
        [
            {"results": []},
            {"results": None},
            {"summary": {"pass": 1, "fail": 0, "warn": 0, "error": 0, "skip": 0}},
            {"results": [{"policy": "production", "result": "pass", "timestamp": {"seconds": 1 << 40, "nanos": 0}}]},
        ],
    )
    def test_a_new_process_replaces_what_another_client_wrote(
        self, environment: ReportEnvironment, forged: dict[str, Any]
    ) -> None:
        environment.run_pod("web", environment.push("unsigned", None))
        environment.round()
        for plural, api in zip(REPORTS, APIS, strict=True):
            path = f"/apis/{api.group}/{api.version}/namespaces/shop/{plural}"
            environment.cluster.put(path, {**environment.reports(plural)["Pod/web"], **forged})
        environment.restart()
        environment.round()
        for plural in REPORTS:
            found = environment.reports(plural)["Pod/web"]
            assert [result["result"] for result in found["results"]] == ["fail"]
            assert found["summary"]["fail"] == 1

    def test_reports_are_owned_by_the_cluster_role(self, environment: ReportEnvironment) -> None:
        environment.run_pod("web", environment.push("signed"))
        environment.round()
        role = environment.cluster.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/sealgate-reports")
        (owner,) = environment.reports()["Pod/web"]["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("ClusterRole", "sealgate-reports")
        assert owner["uid"] == role["metadata"]["uid"]

    def test_without_its_owner_nothing_is_written(self, environment: ReportEnvironment) -> None:
        environment.run_pod("web", environment.push("signed"))
        environment.cluster.delete("/apis/rbac.authorization.k8s.io/v1/clusterroles/sealgate-reports")
        with pytest.raises(UnavailableError):
            environment.round()
        assert environment.reports() == {}

    def test_one_namespace_that_takes_no_reports_stops_no_other(self, environment: ReportEnvironment) -> None:
        image = environment.push("signed")
        for number in range(5):
            environment.run_pod(f"web-{number}", image)
        environment.run_pod("web", image, namespace="team")
        environment.cluster.faults.append(Fault("POST", "/namespaces/shop/", 403))
        environment.round()
        assert set(environment.reports()) == {"Pod/web"}
        assert len([one for one in environment.writes() if "/shop/policyreports" in one]) == 3
        assert environment.sample("write_failures_total") == 6.0


class TestAPIs:
    def test_without_a_report_api_the_metrics_say_so(self, environment: ReportEnvironment) -> None:
        environment.uninstall("wgpolicyk8s.io", "openreports.io")
        environment.run_pod("web", environment.push("unsigned", None))
        environment.round()
        environment.round()
        assert environment.writes() == []
        assert environment.sample("api_installed", group="wgpolicyk8s.io") == 0.0
        assert environment.sample("results", policy="production", result="fail") == 1.0
        assert environment.output.getvalue().count("no report API is installed") == 1

    def test_crds_that_are_installed_later_are_found(self, environment: ReportEnvironment) -> None:
        environment.uninstall("wgpolicyk8s.io", "openreports.io")
        environment.run_pod("web", environment.push("signed"))
        environment.round()
        environment.install()
        environment.uninstall("openreports.io")
        environment.round()
        assert [set(environment.reports(plural)) for plural in REPORTS] == [{"Pod/web"}, set()]
        assert environment.sample("api_installed", group="wgpolicyk8s.io") == 1.0


class TestPullSecrets:
    def test_pull_secrets_of_the_workload_are_used(self, environment: ReportEnvironment) -> None:
        image = environment.push("signed")
        environment.registry.auth.mode = "basic"
        environment.registry.auth.users["robot"] = "robot-password"
        auth = base64.b64encode(b"robot:robot-password").decode()
        config = base64.b64encode(json.dumps({"auths": {environment.registry.host: {"auth": auth}}}).encode()).decode()
        secret = {"metadata": {"name": "pull"}, "data": {".dockerconfigjson": config}}
        environment.cluster.put("/api/v1/namespaces/shop/secrets", secret)
        environment.put("Deployment", "web", image, imagePullSecrets=[{"name": "pull"}])
        environment.round()
        assert environment.outcomes("Deployment/web") == {"signed:1": "pass"}
        assert "robot-password" not in json.dumps(environment.reports()) + environment.output.getvalue()


def test_its_lease_says_when_the_last_round_ended(environment: ReportEnvironment) -> None:
    environment.uninstall("openreports.io")
    environment.round()
    environment.clock.advance(60)
    environment.process.rounds.repeat_unavailable(environment.stop)
    state = decode_state(environment.cluster.get(f"{LEASES}/sealgate-reports"))
    assert state == ReportState(NOW, ("wgpolicyk8s.io/v1alpha2",), 240)


def test_a_stalled_process_is_not_ready(environment: ReportEnvironment) -> None:
    environment.round()
    assert environment.process.rounds.problem() == ""
    assert environment.sample("last_round_timestamp_seconds") == environment.clock.now().timestamp()
    environment.clock.advance(241)
    assert "no round of reports was completed for 241 s" in environment.process.rounds.problem()
    environment.round()
    assert environment.process.rounds.problem() == ""
