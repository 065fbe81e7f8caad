"""`sealgate scan` of a cluster and of manifests."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from sealgate.clocks import timestamp
from tests.cli.clusters import Cluster, kubeconfig
from tests.cli.objects import deployment, dump, pod, write
from tests.cli.running import sealgate
from tests.cli.shop import QA, RELEASE_FINGERPRINT
from tests.support.builders.objects import authenticator, exception, policy
from tests.support.reports import read_junit, read_sarif
from tests.support.signers.private_keys import fingerprint, new_key, public_pem
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator
from tests.webhook.excepted import stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

    from tests.cli.shop import Shop

ROOT = Path(__file__).parents[2]
OTHER = "sha256:" + "0" * 64


@pytest.fixture
def cluster(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with KubernetesSimulator() as api:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, api.url)))
        yield Cluster(api, shop)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sealgate("scan", "--schema").stdout)
    return document


def document_of(ran: Result, schema: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ran.stdout)
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def verdicts(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {
        (each["namespace"], each["image"].rpartition("/")[2].partition(":")[0]): each["verdict"]
        for each in document["images"]
    }


def test_the_schema_is_the_published_one(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads((ROOT / "docs/scan.schema.json").read_text()) == schema


def test_what_runs_and_what_is_declared_is_verified(cluster: Cluster, schema: dict[str, Any]) -> None:
    shop = cluster.shop
    cluster.run_pod("web", shop.image("signed"), f"{shop.registry.host}/shop/signed@{shop.digests['signed']}")
    cluster.deploy("worker", shop.image("unsigned"), within="team")
    ran = cluster.scan("-o", "json")
    assert ran.exit_code == 1, ran.stderr
    document = document_of(ran, schema)
    assert verdicts(document) == {("shop", "signed"): "admit", ("team", "unsigned"): "deny"}
    signed, unsigned = document["images"]
    assert [entry["result"] for entry in signed["running"]] == ["match"]
    field = "spec.template.spec.containers[0].image"
    used = {"kind": "Deployment", "name": "worker", "field": field, "file": None, "document": None}
    assert (unsigned["objects"], unsigned["running"]) == ([used], [])


def test_text_has_a_table_by_namespace_and_policy(cluster: Cluster) -> None:
    shop = cluster.shop
    cluster.run_pod("web", shop.image("signed"), f"docker-pullable://{shop.registry.host}/x@{shop.digests['signed']}")
    cluster.run_pod("old", shop.image("both"), f"{shop.registry.host}/shop/both@{OTHER}")
    cluster.run_pod("bad", shop.image("unsigned"), within="team")
    cluster.run_pod("free", "elsewhere.example.org/app:1", within="team")
    shown = " ".join(cluster.scan().stdout.split())
    assert "shop │ shop │ Enforce │ 2 │ 2 │ - │ -" in shown
    assert "team │ shop │ Enforce │ 1 │ - │ 1 │ -" in shown
    assert "team │ (none) │ unmatched │ 1 │ - │ - │ -" in shown
    assert "NoSignature (shop) 1 not admitted" in shown
    assert f"{shop.digests['both']} │ 1 │ {shop.registry.host}/shop/both@{OTHER} 1 that may run another image" in shown
    assert shown.endswith(
        "4 images in 2 namespaces: 3 admitted, 1 denied; containers: 1 run what was verified, 1 may run another image"
    )


def test_namespace_limits_what_is_listed(cluster: Cluster, schema: dict[str, Any]) -> None:
    cluster.deploy("worker", cluster.shop.image("unsigned"), within="team")
    cluster.deploy("web", cluster.shop.image("signed"))
    ran = cluster.scan("--namespace", "shop", "-o", "json")
    assert verdicts(document_of(ran, schema)) == {("shop", "signed"): "admit"}
    assert ran.exit_code == 0
    lists = {path for path in cluster.paths() if "/namespaces/shop/" not in path}
    policies = {"/apis/sealgate.dev/v1alpha1/authenticators", "/apis/sealgate.dev/v1alpha1/verificationpolicies"}
    policies |= {"/apis/sealgate.dev/v1alpha1/verificationexceptions"}
    assert lists == policies | {"/api/v1/namespaces/shop"}


def test_excluded_namespaces_are_left_out(cluster: Cluster, schema: dict[str, Any]) -> None:
    cluster.deploy("worker", cluster.shop.image("unsigned"), within="team")
    ran = cluster.scan("--exclude-namespace", "team", "-o", "json")
    assert (ran.exit_code, document_of(ran, schema)["images"]) == (0, [])


def test_a_kind_that_cannot_be_listed_stops_no_other(cluster: Cluster, schema: dict[str, Any]) -> None:
    cluster.run_pod("web", cluster.shop.image("unsigned"))
    cluster.api.faults.append(Fault("GET", "/apis/batch/v1/cronjobs", 403))
    ran = cluster.scan("-o", "json")
    assert ran.exit_code == 3
    document = document_of(ran, schema)
    assert verdicts(document) == {("shop", "unsigned"): "deny"}
    (problem,) = document["problems"]
    assert problem == "batch/CronJob objects cannot be listed: the API server answered 403 for /apis/batch/v1/cronjobs"
    assert f"Error: {problem}" in ran.stderr
    assert read_sarif(cluster.scan("-o", "sarif").stdout)["invocations"][0]["executionSuccessful"] is False
    assert read_junit(cluster.scan("-o", "junit").stdout).get("errors") == "1"


def test_what_an_exception_admits_is_shown_with_it(cluster: Cluster, schema: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    obj = exception("urgent", namespaces=["shop"], expires_at=timestamp(now + timedelta(hours=1)))
    cluster.put_policy(stored(obj, now))
    ended = exception("ended", namespaces=["team"], expires_at=timestamp(now - timedelta(minutes=1)))
    cluster.put_policy(stored(ended, now - timedelta(hours=1)))
    cluster.run_pod("web", cluster.shop.image("unsigned"))
    cluster.deploy("worker", cluster.shop.image("unsigned"), within="team")
    ran = cluster.scan("-o", "json")
    document = document_of(ran, schema)
    assert verdicts(document) == {("shop", "unsigned"): "warn", ("team", "unsigned"): "deny"}
    assert [image["exception"] for image in document["images"]] == ["urgent", None]
    assert "admitted by exception urgent of alice" in document["images"][0]["message"]
    assert cluster.scan("--namespace", "shop").exit_code == 0


def test_exceptions_that_may_not_be_read_count_as_none(cluster: Cluster, schema: dict[str, Any]) -> None:
    cluster.run_pod("web", cluster.shop.image("unsigned"))
    cluster.api.faults.append(Fault("GET", "/verificationexceptions", 403))
    ran = cluster.scan("-o", "json")
    assert ran.exit_code == 1
    assert verdicts(document_of(ran, schema)) == {("shop", "unsigned"): "deny"}
    assert "exceptions may not be read, so what they admit is shown as denied" in ran.stderr
    cluster.api.faults[-1].status = 404
    assert "exceptions" not in cluster.scan("-o", "json").stderr


def test_policies_that_cannot_be_read_end_the_scan(cluster: Cluster) -> None:
    cluster.api.faults.append(Fault("GET", "/verificationpolicies", 403))
    ran = cluster.scan()
    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "the policies cannot be read" in ran.stderr


def test_unknown_labels_are_never_to_the_advantage_of_an_image(cluster: Cluster, schema: dict[str, Any]) -> None:
    host = cluster.shop.registry.host
    only_qa = {"matchLabels": {"team": "qa"}}
    cluster.put_policy(policy("qa", f"{host}/**", authenticators=["qa-key"], namespaceSelector=only_qa))
    cluster.run_pod("web", cluster.shop.image("signed"))
    assert cluster.scan().exit_code == 0
    cluster.api.faults.append(Fault("GET", "/api/v1/namespaces(/shop)?(\\?|$)", 403))
    ran = cluster.scan("-o", "json")
    assert ran.exit_code == 3
    assert verdicts(document_of(ran, schema)) == {("shop", "signed"): "deny"}
    assert "the labels of namespace shop are not known" in ran.stderr


def test_what_runs_nothing_is_left_out(cluster: Cluster, schema: dict[str, Any]) -> None:
    ended = pod("ended", cluster.shop.image("unsigned"), namespace="shop")
    cluster.put({**ended, "status": {"phase": "Succeeded"}})
    former = deployment("web-1", cluster.shop.image("unsigned"), namespace="shop")
    former["kind"] = "ReplicaSet"
    former["metadata"]["ownerReferences"] = [{"kind": "Deployment", "name": "web"}]
    former["spec"]["replicas"] = 0
    cluster.put(former)
    ran = cluster.scan("-o", "json")
    assert (ran.exit_code, document_of(ran, schema)["images"]) == (0, [])
    assert "2 Pods and Jobs that ended, and former revisions of Deployments were left out" in ran.stderr


def test_other_policies_decide_instead(cluster: Cluster, tmp_path: Path, schema: dict[str, Any]) -> None:
    host = cluster.shop.registry.host
    stricter = write(
        tmp_path / "stricter.yaml",
        authenticator("qa-key", public_pem(QA)),
        policy("qa", f"{host}/**", authenticators=["qa-key"]),
    )
    cluster.deploy("web", cluster.shop.image("signed"), cluster.shop.image("both"))
    assert cluster.scan().exit_code == 0
    ran = cluster.scan("--policies", stricter, "-o", "json")
    assert ran.exit_code == 1
    assert verdicts(document_of(ran, schema)) == {("shop", "both"): "admit", ("shop", "signed"): "deny"}


def test_policies_of_the_environment_do_not_count(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set for `sealgate verify` must not turn a scan into a question about other policies."""
    monkeypatch.setenv("SEALGATE_POLICIES", "/nowhere")
    cluster.deploy("web", cluster.shop.image("signed"))
    assert cluster.scan().exit_code == 0


class TestWithoutKey:
    def test_only_differences_are_shown(self, cluster: Cluster, schema: dict[str, Any]) -> None:
        cluster.deploy("web", cluster.shop.image("signed"), cluster.shop.image("unsigned"))
        ran = cluster.scan("--without-key", RELEASE_FINGERPRINT, "-o", "json")
        assert ran.exit_code == 1
        document = document_of(ran, schema)
        (entry,) = document["images"]
        assert (entry["verdictWithKey"], entry["verdict"]) == ("admit", "deny")
        assert entry["policies"][0]["findings"][0]["reason"] == "Revoked"
        assert (document["summary"]["images"], document["summary"]["changed"]) == (2, 1)

    def test_text_ends_with_a_summary(self, cluster: Cluster) -> None:
        cluster.deploy("web", cluster.shop.image("signed"), cluster.shop.image("unsigned"))
        shown = cluster.scan("--without-key", RELEASE_FINGERPRINT).stdout
        assert cluster.shop.image("unsigned") not in shown
        assert shown.endswith(f"2 images in 1 namespace: 1 would stop passing without {RELEASE_FINGERPRINT}\n")

    def test_image_with_enough_other_signers_passes(self, cluster: Cluster) -> None:
        host = cluster.shop.registry.host
        both = policy("shop", f"{host}/shop/**", authenticators=["release-key", "qa-key"], count=1)
        cluster.put_policy(both)
        cluster.deploy("web", cluster.shop.image("both"))
        ran = cluster.scan("--without-key", RELEASE_FINGERPRINT)
        assert ran.exit_code == 0
        assert "none would stop passing" in ran.stdout

    def test_sarif_and_junit_have_the_differences(self, cluster: Cluster) -> None:
        cluster.deploy("web", cluster.shop.image("signed"), cluster.shop.image("unsigned"))
        (result,) = read_sarif(cluster.scan("--without-key", RELEASE_FINGERPRINT, "-o", "sarif").stdout)["results"]
        assert result["ruleId"] == "Revoked"
        root = read_junit(cluster.scan("--without-key", RELEASE_FINGERPRINT, "-o", "junit").stdout)
        assert (root.get("tests"), root.get("failures")) == ("1", "1")

    def test_a_key_that_no_authenticator_accepts_is_an_error(self, cluster: Cluster) -> None:
        cluster.deploy("web", cluster.shop.image("signed"))
        unknown = fingerprint(new_key("ECDSA P-256", "lost"))
        ran = cluster.scan("--without-key", unknown)
        assert ran.exit_code == 2
        assert f"no Authenticator accepts a key with the fingerprint {unknown} (accepted: " in ran.stderr

    def test_what_could_not_be_verified_is_not_determined(self, cluster: Cluster) -> None:
        cluster.deploy("web", cluster.shop.image("gone"))
        ran = cluster.scan("--without-key", RELEASE_FINGERPRINT)
        assert ran.exit_code == 3
        assert "1 could not be determined" in ran.stdout


class TestPullSecrets:
    @pytest.fixture
    def private(self, cluster: Cluster) -> Cluster:
        cluster.shop.registry.auth.mode = "basic"
        cluster.shop.registry.auth.users["robot"] = "robot-password"
        cluster.run_pod("web", cluster.shop.image("signed"), imagePullSecrets=[{"name": "pull"}])
        return cluster

    def put_secret(self, cluster: Cluster, namespace: str) -> None:
        auth = base64.b64encode(b"robot:robot-password").decode()
        config = json.dumps({"auths": {cluster.shop.registry.host: {"auth": auth}}})
        data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}, "data": data}
        cluster.api.put(f"/api/v1/namespaces/{namespace}/secrets", secret)

    def test_pull_secrets_are_used(self, private: Cluster) -> None:
        self.put_secret(private, "shop")
        ran = private.scan()
        assert ran.exit_code == 0, ran.output
        assert "robot-password" not in ran.output

    def test_only_named_secrets_of_the_own_namespace_are_read(self, private: Cluster) -> None:
        self.put_secret(private, "team")
        assert private.scan().exit_code == 3
        secrets = [path for path in private.paths() if "secrets" in path]
        assert set(secrets) == {"/api/v1/namespaces/shop/secrets/pull"}

    def test_local_credentials_are_used_where_secrets_may_not_be_read(self, private: Cluster, tmp_path: Path) -> None:
        private.api.faults.append(Fault("GET", "/secrets/", 403))
        assert private.scan().exit_code == 3
        auth = base64.b64encode(b"robot:robot-password").decode()
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"auths": {private.shop.registry.host: {"auth": auth}}}))
        ran = private.scan("--docker-config", config, "-o", "json")
        assert ran.exit_code == 0, ran.output
        assert json.loads(ran.stdout)["localCredentials"] == ["shop"]
        assert "pull secrets may not be read, so your own credentials were used, in: shop" in ran.stderr

    def test_public_images_need_no_secret(self, cluster: Cluster) -> None:
        cluster.run_pod("web", cluster.shop.image("signed"), imagePullSecrets=[{"name": "pull"}])
        assert cluster.scan().exit_code == 0
        assert not any("secrets" in path or "serviceaccounts" in path for path in cluster.paths())


class TestManifests:
    def test_manifests_are_judged_by_the_policies_of_the_cluster(self, cluster: Cluster) -> None:
        text = dump(deployment("new", cluster.shop.image("unsigned"), namespace="shop"))
        ran = cluster.scan("-", "-o", "sarif", stdin=text)
        assert ran.exit_code == 1
        (result,) = read_sarif(ran.stdout)["results"]
        assert result["properties"]["namespace"] == "shop"
        assert not any("/pods" in path for path in cluster.paths())

    def test_namespace_that_the_cluster_does_not_have_is_not_known(self, cluster: Cluster) -> None:
        host, only_qa = cluster.shop.registry.host, {"matchLabels": {"team": "qa"}}
        cluster.put_policy(policy("qa", f"{host}/**", authenticators=["qa-key"], namespaceSelector=only_qa))
        text = dump(deployment("new", cluster.shop.image("signed"), namespace="future"))
        assert cluster.scan("-", stdin=text).exit_code == 1

    def test_files_alone_need_no_cluster(self, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", "/nowhere")
        image_id = f"{shop.registry.host}/shop/signed@{shop.digests['signed']}"
        running = pod("web", shop.image("signed"), namespace="shop")
        running["status"] = {"containerStatuses": [{"name": "c0", "imageID": image_id}]}
        manifest = write(tmp_path / "pods.yaml", running)
        options = ("--policies", shop.policies, "--insecure-registry", shop.registry.host)
        ran = sealgate("scan", manifest, *options, "-o", "json")
        assert ran.exit_code == 0, ran.output
        assert json.loads(ran.stdout)["summary"]["running"] == {"match": 1, "differs": 0, "unknown": 0}

    def test_no_cluster_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", "/nowhere")
        ran = sealgate("scan")
        assert ran.exit_code == 2
        assert "check the kubeconfig and its context" in ran.stderr


class TestCustomKinds:
    def test_custom_kind_is_found_by_discovery(self, cluster: Cluster, schema: dict[str, Any]) -> None:
        rollout = deployment("web", cluster.shop.image("unsigned"), namespace="shop")
        rollout.update(apiVersion="argoproj.io/v1alpha1", kind="Rollout")
        cluster.api.put("/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts", rollout)
        assert cluster.scan().exit_code == 0
        ran = cluster.scan("--custom-kind", "Rollout", "-o", "json")
        assert ran.exit_code == 1, ran.output
        assert verdicts(document_of(ran, schema)) == {("shop", "unsigned"): "deny"}

    def test_custom_kind_that_the_cluster_does_not_have_is_named(self, cluster: Cluster) -> None:
        ran = cluster.scan("--custom-kind", "TaskRun")
        assert ran.exit_code == 3
        assert "the cluster has no tekton.dev/TaskRun; check --custom-kind" in ran.stderr


def test_service_secret_is_read_only_if_it_is_named(cluster: Cluster) -> None:
    ran = cluster.scan("--service-secret", "dew")
    assert ran.exit_code == 2
    assert "a Secret must have the form NAMESPACE/NAME" in ran.stderr
