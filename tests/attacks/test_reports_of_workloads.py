"""Attacks on the reports about workloads: hostile names, floods, forged reports, and Secrets of others."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client.configuration import Configuration
from prometheus_client import CollectorRegistry

from sealgate.decision_ids import PATTERN
from sealgate.kubernetes.client import KubernetesAPI
from sealgate.process.logs import configure_logs
from sealgate_webhook.reports import checks, decision_log, inventory, store
from sealgate_webhook.reports.documents import APIS, MAX_BYTES, Owner, Report, kind_of_report, report_of
from sealgate_webhook.reports.metrics import ReportMetrics
from sealgate_webhook.reports.results import results_of
from sealgate_webhook.reports.workloads import Usage, Workload
from tests.support.builders.objects import policy
from tests.support.simulators.http_faults import Fault as NetworkFault
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.registry import RegistrySimulator
from tests.webhook.reports.environment import KEY, REPORTS, ReportEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/apis/wgpolicyk8s.io/v1alpha2/namespaces/{}/policyreports"


@pytest.fixture
def environment() -> Iterator[ReportEnvironment]:
    with ReportEnvironment() as environment:
        yield environment


@pytest.mark.parametrize(
    "hostile",
    [
        "app\n2026-11-21 level=info msg=admitted",
        "<script>alert(1)</script>",
        "[click](https://evil.example.org)",
        "\x1b[31mapp",
        "a" * 100_000,
        "registry.example.org/\u202eapp",
        '{"result": "pass"}',
    ],
)
def test_attack_92_names_stay_bounded_text(environment: ReportEnvironment, hostile: str) -> None:
    environment.put("Pod", "web", hostile, ids=[hostile])
    environment.round()
    (report,) = environment.cluster.find("policyreports")
    (result,) = report["results"]
    assert result["result"] == "fail"
    texts = [result["message"], *result["properties"].values()]
    assert all(text.isascii() and text.isprintable() and len(text) <= 1024 for text in texts)
    assert PATTERN.fullmatch(result["properties"]["decisionId"])
    for line in environment.output.getvalue().splitlines():
        assert json.loads(line)["msg"] != "admitted"


def test_attack_92_a_pod_of_many_images_has_a_bounded_report(environment: ReportEnvironment) -> None:
    environment.put("Pod", "web", *(f"UPPER/{'a' * 900}{number}" for number in range(1000)))
    environment.round()
    (report,) = environment.cluster.find("policyreports")
    assert len(json.dumps({key: report[key] for key in ("results", "scope", "summary")})) <= MAX_BYTES
    assert report["summary"]["fail"] == 1000


class TestFloods:
    def test_attack_93_a_namespace_takes_no_more_than_its_part(
        self, environment: ReportEnvironment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "MAX_NAMESPACE_WORKLOADS", 5)
        monkeypatch.setattr(inventory, "MAX_NAMESPACE_IMAGES", 7)
        for number in range(20):
            environment.put("Pod", f"flood-{number}", "not an image", "nor this", namespace="team")
        environment.run_pod("web", environment.push("signed"))
        environment.round()
        found = environment.reports()
        assert len([name for name in found if name.startswith("Pod/flood")]) == 5
        assert environment.outcomes("Pod/web") == {"signed:1": "pass"}
        assert environment.sample("left_out_workloads") == 15.0

    def test_attack_119_failing_workloads_of_one_namespace_leave_others_their_lines_in_the_log(
        self, environment: ReportEnvironment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(decision_log, "MAX_SHARE", 3)
        for number in range(20):
            environment.put("Deployment", f"flood-{number}", "not an image", namespace="shop")
        environment.put("Deployment", "web", "not an image", namespace="team")
        environment.round()
        lines = [json.loads(line) for line in environment.output.getvalue().splitlines()]
        logged = [line["namespace"] for line in lines if "decision_id" in line]
        assert logged == ["shop"] * 3 + ["team"]

    def test_attack_93_owners_are_bounded(
        self, environment: ReportEnvironment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "MAX_NAMESPACE_OWNERS", 5)
        image = environment.push("signed")
        for number in range(20):
            environment.put("Deployment", f"flood-{number}", image, namespace="team")
        environment.put("Deployment", "web", image)
        environment.round()
        assert len(environment.reports()) == 6
        assert "Deployment/web" in environment.reports()

    def test_attack_93_huge_objects_do_not_hide_others(
        self, environment: ReportEnvironment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "PAGE_BYTES", 64 << 10)
        image = environment.push("signed")
        for number in range(20):
            obj = environment.put("Pod", f"huge-{number}", image, namespace="team")
            obj["metadata"]["annotations"] = {"x": "y" * 50_000}
            environment.cluster.put("/api/v1/namespaces/team/pods", obj)
        environment.run_pod("web", image)
        environment.round()
        assert len(environment.reports()) == 21
        assert environment.sample("unread_kinds") == 0.0

    def test_attack_93_an_owner_chain_that_goes_round_ends(self, environment: ReportEnvironment) -> None:
        image = environment.push("signed")
        first = environment.put("ReplicaSet", "first", image)
        second = environment.put("ReplicaSet", "second", image, owner=first)
        environment.put("ReplicaSet", "first", image, owner=second)
        environment.run_pod("web", image, owner=second)
        environment.round()
        assert sum(one["summary"]["pass"] for one in environment.cluster.find("reports")) == 1

    def test_attack_93_registries_of_one_namespace_do_not_push_back_those_of_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each registry that never answers costs the time of an image, and they are all new in the first round."""
        monkeypatch.setattr(checks, "LANES", 1)
        with RegistrySimulator() as first, RegistrySimulator() as second, ReportEnvironment() as environment:
            environment.settings = {
                "registries": {"insecure": [environment.registry.host, first.host, second.host]},
                "unmatchedImages": "Deny",
            }
            environment.restart()

            def wait(_: Answer) -> Answer:
                environment.clock.advance(50)
                return Answer(503, {}, b"")

            for number, dead in enumerate((first, second)):
                environment.put_policy(policy(f"dead-{number}", f"{dead.host}/**"))
                dead.faults.add(NetworkFault("", change=wait))
                environment.put("Pod", f"a-{number}", f"{dead.host}/app:1")
            image = environment.push("signed")
            environment.put("Pod", "web", image, namespace="team")
            environment.restart()
            environment.round()
            assert environment.outcomes("Pod/web") == {"signed:1": "pass"}

    def test_attack_93_names_of_pull_secrets_are_bounded(
        self, environment: ReportEnvironment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each object may name 8 KiB of them, all different."""
        monkeypatch.setattr(inventory, "MAX_NAMESPACE_SECRET_NAMES", 2000)
        image = environment.push("signed")
        environment.registry.auth.mode = "basic"
        for number in range(20):
            named = [{"name": f"{number}-{at}-{'x' * 200}"} for at in range(10)]
            environment.put("Deployment", f"flood-{number}", f"{image}-{number}", imagePullSecrets=named)
        environment.put("Pod", "web", image, namespace="team", imagePullSecrets=[{"name": "pull"}])
        environment.cluster.requests.clear()
        environment.round()
        read = {one.path for one in environment.cluster.requests if "/secrets/" in one.path}
        assert len([path for path in read if "/shop/" in path]) == 0
        assert "/api/v1/namespaces/team/secrets/pull" in read

    def test_attack_93_one_report_at_a_time_is_in_memory(self, environment: ReportEnvironment) -> None:
        def reports() -> Iterator[Report]:
            for number in range(3):
                assert len(environment.cluster.find("policyreports")) == number
                pod = Workload("v1", "Pod", "shop", f"web-{number}", f"uid-{number}")
                results = results_of(pod, Usage(cut=True), {}, environment.clock)
                assert results
                yield report_of(pod, results, Owner("sealgate-reports", "uid"))

        log = configure_logs("json", environment.output)
        metrics = ReportMetrics(CollectorRegistry())
        api = KubernetesAPI(Configuration(host=environment.cluster.url))
        store.ReportStore(api, environment.clock, metrics, log).write(APIS, reports(), store.Kept((), ()))
        assert [len(environment.cluster.find(plural)) for plural in REPORTS] == [3, 3]

    def test_attack_93_forged_reports_do_not_hide_those_of_others(
        self, environment: ReportEnvironment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, limit in (("MAX_LISTED", 30), ("MAX_NAMESPACE_LISTED", 20), ("MAX_NAMESPACE_DELETED", 5)):
            monkeypatch.setattr(store, name, limit, raising=False)
        environment.run_pod("web", environment.push("signed"), namespace="team")
        environment.round()
        environment.cluster.delete("/api/v1/namespaces/team/pods/web")
        label = {"app.kubernetes.io/managed-by": "sealgate"}
        for number in range(40):
            name = f"sealgate-pod-a-{number:016x}"
            environment.cluster.put(PATH.format("shop"), {"metadata": {"name": name, "labels": label}})
        environment.round()
        found = [one["metadata"]["namespace"] for one in environment.cluster.find("policyreports")]
        assert (found.count("team"), found.count("shop")) == (0, 35)

    def test_attack_93_a_registry_that_never_answers_costs_no_lists(self, environment: ReportEnvironment) -> None:
        environment.run_pod("web", environment.push("signed"))
        environment.registry.faults.status("/manifests/", 503)
        environment.round()
        environment.cluster.requests.clear()
        environment.process.rounds.repeat_unavailable(environment.stop)
        assert [one.path for one in environment.cluster.requests if "report" in one.path] == []
        environment.registry.faults.clear()
        environment.process.rounds.repeat_unavailable(environment.stop)
        assert environment.outcomes("Pod/web") == {"signed:1": "pass"}

    def test_attack_93_an_object_of_unusual_form_stops_no_round(self) -> None:
        kind: dict[str, Any] = {
            "group": "argoproj.io",
            "versions": ["v1alpha1"],
            "resource": "rollouts",
            "kind": "Rollout",
        }
        kind |= {"images": ["image"]}
        with ReportEnvironment({"customKinds": [kind]}) as environment:
            image = environment.push("signed")
            path = "/apis/argoproj.io/v1alpha1/namespaces/team/rollouts"
            for number, spec in enumerate(("text", ["list"], 7)):
                environment.cluster.put(path, {"metadata": {"name": f"t-{number}"}, "spec": spec, "image": image})
            environment.run_pod("web", image)
            environment.round()
            assert environment.outcomes("Pod/web") == {"signed:1": "pass"}
            assert environment.outcomes("Rollout/t-0") == {"signed:1": "pass"}


def test_attack_94_an_image_id_hides_no_failure_of_a_pinned_image(environment: ReportEnvironment) -> None:
    """Whose nodes name images in another way must see failures all the same, also while manifests cannot be read."""
    for name, key in (("signed", KEY), ("unsigned", None)):
        image = environment.push(name, key)
        environment.put("Pod", name, f"{image}@{environment.digest(image)}", ids=[f"app@sha256:{'0' * 64}"])
    environment.round()
    results = [environment.reports()[f"Pod/{name}"]["results"][0] for name in ("signed", "unsigned")]
    assert [one["result"] for one in results] == ["pass", "fail"]
    assert {one["properties"]["running"] for one in results} == {"unknown"}


def test_attack_95_contents_that_one_namespace_may_not_read_stay_readable_for_others(
    environment: ReportEnvironment,
) -> None:
    registry = environment.registry
    platform = registry.push_image("shop/many", None, platform={"architecture": "arm64"})
    index = registry.push_index("shop/many", "1", (registry.push_image("shop/many", "amd64"), platform))
    environment.sign("many", index)
    image, image_id = f"{registry.host}/shop/many:1", f"many@{platform}"
    for namespace in ("shop", "team"):
        environment.put("Pod", "web", image, namespace=namespace, ids=[image_id], imagePullSecrets=[{"name": "pull"}])
    registry.faults.status(f"/manifests/{platform}", 403, times=1)
    environment.round()
    environment.round()
    found = [one["results"][0]["result"] for one in environment.cluster.find("policyreports")]
    assert found == ["pass", "pass"]


class TestForgery:
    def test_attack_94_a_changed_or_deleted_report_is_put_back(self, environment: ReportEnvironment) -> None:
        environment.run_pod("web", environment.push("unsigned", None))
        environment.round()
        (report,) = environment.cluster.find("policyreports")
        forged = {**report, "results": [{"policy": "production", "result": "pass"}]}
        forged["metadata"] = {**report["metadata"], "ownerReferences": []}
        environment.cluster.put(PATH.format("shop"), forged)
        environment.cluster.delete(
            f"/apis/openreports.io/v1alpha1/namespaces/shop/reports/{report['metadata']['name']}"
        )
        environment.round()
        assert environment.outcomes("Pod/web") == {"unsigned:1": "fail"}
        assert environment.reports()["Pod/web"]["metadata"]["ownerReferences"]
        assert set(environment.reports("reports")) == {"Pod/web"}

    def test_attack_94_a_report_made_in_advance_is_replaced(self, environment: ReportEnvironment) -> None:
        environment.run_pod("web", environment.push("unsigned", None))
        environment.round()
        (report,) = environment.cluster.find("policyreports")
        squatted = {"metadata": {"name": report["metadata"]["name"]}, "results": []}
        environment.cluster.delete(f"{PATH.format('shop')}/{report['metadata']['name']}")
        environment.cluster.put(PATH.format("shop"), squatted)
        environment.round()
        assert environment.outcomes("Pod/web") == {"unsigned:1": "fail"}

    def test_attack_94_only_what_has_the_name_of_a_report_is_deleted(self, environment: ReportEnvironment) -> None:
        label = {"app.kubernetes.io/managed-by": "sealgate"}
        kept = ("kyverno", "sealgate-web", "sealgate-pod-web-short")
        for name in kept:
            environment.cluster.put(PATH.format("shop"), {"metadata": {"name": name, "labels": label}})
        forged = "sealgate-pod-gone-0123456789abcdef"
        assert kind_of_report(forged) == "pod"
        environment.cluster.put(PATH.format("shop"), {"metadata": {"name": forged, "labels": label}})
        environment.round()
        assert {one["metadata"]["name"] for one in environment.cluster.find("policyreports")} == set(kept)

    def test_attack_94_a_claimed_owner_of_another_namespace_gets_no_results(
        self, environment: ReportEnvironment
    ) -> None:
        victim = environment.put("Deployment", "web", environment.push("signed"))
        environment.put("Pod", "bad", environment.push("unsigned", None), owner=victim, namespace="team")
        environment.round()
        assert environment.outcomes("Deployment/web") == {"signed:1": "pass"}
        assert environment.outcomes("Pod/bad") == {"unsigned:1": "fail"}


def test_attack_95_pull_secrets_of_another_namespace_are_not_read(environment: ReportEnvironment) -> None:
    image = environment.push("signed")
    environment.registry.auth.mode = "basic"
    environment.registry.auth.users["robot"] = "robot-password"
    auth = base64.b64encode(b"robot:robot-password").decode()
    config = base64.b64encode(json.dumps({"auths": {environment.registry.host: {"auth": auth}}}).encode()).decode()
    secret = {"metadata": {"name": "pull"}, "data": {".dockerconfigjson": config}}
    environment.cluster.put("/api/v1/namespaces/shop/secrets", secret)
    for name in ("pull", "../../shop/secrets/pull"):
        environment.put("Pod", f"thief-{len(name)}", image, namespace="team", imagePullSecrets=[{"name": name}])
    environment.put("Pod", "web", image, imagePullSecrets=[{"name": "pull"}])
    environment.round()
    assert environment.outcomes("Pod/web") == {"signed:1": "pass"}
    for length in (4, 23):
        assert environment.outcomes(f"Pod/thief-{length}") == {"signed:1": "error"}
    read = {one.path for one in environment.cluster.requests if "/secrets/" in one.path}
    assert "/api/v1/namespaces/shop/secrets/pull" in read
    assert all(path.startswith("/api/v1/namespaces/team/secrets/") for path in read if "shop/secrets/pull" not in path)
    assert "robot-password" not in json.dumps([environment.cluster.find(plural) for plural in REPORTS])
