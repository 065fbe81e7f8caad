"""`sealgate doctor` of a simulated cluster: what is well, what is wrong, and what may not be read."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from sealgate.api.crds import SIGNING_KINDS, custom_resource_definition
from tests.cli.clusters import API, kubeconfig
from tests.cli.installed import DEFINITIONS, DEPLOYMENTS, NAMESPACE, OPERATOR, Installed
from tests.cli.running import sealgate
from tests.diagnosis.test_certificates import Issuer, bundle
from tests.operator.environment import ENDPOINT_SLICES, SELF_TEST, WORKLOADS, endpoint_slice
from tests.support.builders.objects import api_object, authenticator, policy
from tests.support.environments.signing_policies import signing_policy
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.shop import Shop

ROOT = Path(__file__).parents[2]
TLS = f"{NAMESPACE}/sealgate-webhook-tls"


@pytest.fixture
def installed(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with KubernetesSimulator() as api:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, api.url)))
        yield Installed(api, shop, datetime.now(UTC))


def secrets_read(installed: Installed) -> set[str]:
    return {path for path in installed.paths() if "/secrets" in path}


def test_the_schema_is_the_published_one() -> None:
    schema = json.loads(sealgate("doctor", "--schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads((ROOT / "docs/doctor.schema.json").read_text()) == schema


def test_a_healthy_installation_is_all_ok(installed: Installed) -> None:
    ran = installed.doctor("--output", "json")
    document = json.loads(ran.stdout)
    jsonschema.Draft202012Validator(json.loads(sealgate("doctor", "--schema").stdout)).validate(document)
    assert {check["result"] for check in document["checks"]} == {"ok"}, ran.stdout
    assert ran.exit_code == 0
    areas = [check["area"] for check in document["checks"]]
    assert sorted(set(areas), key=areas.index) == [
        *("cluster", "versions", "webhooks", "certificates", "objects", "registries", "clock")
    ]
    assert secrets_read(installed) == set()
    written = [request for request in installed.api.requests if request.method != "GET"]
    assert [(one.method, one.path.rpartition("?")[2]) for one in written] == [("POST", "dryRun=All")]


def test_text_is_a_table_with_what_to_do(installed: Installed) -> None:
    installed.put_deployment("webhook", ready=0)
    ran = installed.doctor()
    shown = " ".join(ran.stdout.split())
    assert "problem │ cluster │ sealgate-webhook │ 0 of 2 replicas ready -> kubectl -n sealgate describe pods" in shown
    assert shown.endswith("1 problem")
    assert "\x1b" not in ran.stdout


def test_a_ca_bundle_that_another_client_changed_is_named(installed: Installed) -> None:
    def forge(found: dict[str, Any]) -> None:
        found["webhooks"][0]["clientConfig"]["caBundle"] = bundle(Issuer("another").certificate)

    installed.alter(WORKLOADS, forge)
    code, checks = installed.examine()
    assert code == 1
    assert checks["webhooks/sealgate-workloads"]["result"] == "problem"
    assert "CABundleWrong" in checks["webhooks/sealgate-workloads"]["message"]
    assert checks["webhooks/sealgate-policies"]["result"] == "ok"

    installed.alter(SELF_TEST, forge)
    _, checks = installed.examine()
    assert "unknown authority" in checks["webhooks/self-test"]["message"]
    _, checks = installed.examine("--service-secret", TLS)
    assert "no CA of caBundle" in checks["certificates/sealgate-webhook.sealgate.svc"]["message"]


def test_missing_configuration_and_endpoint_are_named(installed: Installed) -> None:
    installed.api.delete(WORKLOADS)
    installed.api.put(ENDPOINT_SLICES, endpoint_slice(ready=False))
    code, checks = installed.examine()
    assert code == 1
    assert "is missing" in checks["webhooks/sealgate-workloads"]["message"]
    assert "has no endpoint" in checks["webhooks/NoEndpoint"]["message"]


def test_the_serving_certificate_is_read_only_if_its_secret_is_named(installed: Installed) -> None:
    _, checks = installed.examine("--service-secret", TLS)
    check = checks["certificates/sealgate-webhook.sealgate.svc"]
    assert (check["result"], "issued by a CA of caBundle" in check["message"]) == ("ok", True)
    assert secrets_read(installed) == {f"/api/v1/namespaces/{NAMESPACE}/secrets/sealgate-webhook-tls"}
    # A Secret of that name in another namespace is another one.
    assert not [name for name in installed.examine("--service-secret", "shop/sealgate-webhook-tls")[1] if "svc" in name]


def test_certificates_that_have_ended_are_a_problem(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KubernetesSimulator() as api:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, api.url)))
        old = Installed(api, shop, datetime(2020, 1, 1, tzinfo=UTC))
        code, checks = old.examine("--service-secret", TLS)
    assert code == 1
    assert "is valid now (from 20" in checks["certificates/caBundle"]["message"]
    assert "not valid now (from 20" in checks["certificates/sealgate-webhook.sealgate.svc"]["message"]


def test_versions_that_differ_are_named(installed: Installed) -> None:
    installed.put_deployment("operator", release="9.9.9")
    code, checks = installed.examine()
    assert (code, checks["versions/components"]["result"]) == (1, "problem")
    assert "operator 9.9.9, webhook " in checks["versions/components"]["message"]
    installed.put_deployment("webhook", release="9.9.9")
    code, checks = installed.examine()
    assert (code, checks["versions/components"]["result"]) == (0, "warning")


@pytest.mark.parametrize(
    ("ready", "result", "code"), [(0, "problem", 1), (1, "warning", 0)], ids=["none ready", "one ready"]
)
def test_replicas_that_are_not_ready_are_counted(installed: Installed, ready: int, result: str, code: int) -> None:
    installed.put_deployment("webhook", ready=ready)
    found, checks = installed.examine()
    assert (found, checks["cluster/sealgate-webhook"]["result"]) == (code, result)
    assert checks["cluster/sealgate-webhook"]["message"] == f"{ready} of 2 replicas ready"


def test_a_deployment_that_is_missing_is_named(installed: Installed) -> None:
    installed.api.delete(f"{DEPLOYMENTS}/sealgate-operator")
    code, checks = installed.examine()
    assert (code, checks["cluster/operator"]["result"]) == (1, "problem")
    assert "its Deployment is missing" in checks["cluster/operator"]["message"]
    installed.api.faults.append(Fault("GET", "/deployments", 403))
    code, checks = installed.examine()
    assert (code, checks["cluster/deployments"]["result"]) == (3, "notChecked")
    assert "cluster/operator" not in checks


def test_crds_of_another_version_and_missing_ones_are_named(installed: Installed) -> None:
    crd = f"{DEFINITIONS}/authenticators.sealgate.dev"
    installed.alter(crd, lambda found: found["metadata"]["annotations"].update({"sealgate.dev/schema": "other"}))
    code, checks = installed.examine()
    assert (code, checks["versions/authenticators.sealgate.dev"]["result"]) == (0, "warning")
    installed.api.delete(crd)
    code, checks = installed.examine()
    assert (code, checks["versions/authenticators.sealgate.dev"]["result"]) == (1, "problem")
    assert "sealgate crd | kubectl apply" in checks["versions/authenticators.sealgate.dev"]["remedy"]


def test_objects_that_are_not_ready_are_named_with_the_reason(installed: Installed) -> None:
    path = f"{API}/authenticators/release-key"
    installed.put_ready("authenticators", installed.api.get(path), "False", "its Secret is missing")
    installed.put_policy(policy("new", "registry.invalid/**", authenticators=["qa-key"]))
    code, checks = installed.examine()
    assert code == 1
    assert checks["objects/Authenticator/release-key"]["message"] == "Reconciled: its Secret is missing"
    assert checks["objects/VerificationPolicy/new"]["result"] == "warning"
    assert checks["objects/Authenticator"]["message"] == "1 object ready"


def test_trusted_root_that_is_not_fetched_any_more_is_named(installed: Installed) -> None:
    stale = {"type": "TrustedRootCurrent", "status": "False", "reason": "FetchFailed", "message": "it has expired"}
    path = f"{API}/authenticators/release-key"
    installed.alter(path, lambda found: found["status"]["conditions"].append(stale))
    code, checks = installed.examine()
    assert (code, checks["objects/Authenticator/release-key"]["result"]) == (0, "warning")
    assert checks["objects/Authenticator/release-key"]["message"] == "FetchFailed: it has expired"


def test_a_registry_that_is_stopped_is_named_with_its_policy(installed: Installed) -> None:
    host = installed.shop.registry.host
    installed.shop.registry.close()
    code, checks = installed.examine()
    assert code == 1
    check = checks[f"registries/{host}"]
    assert check["message"] == f"{host} refuses connections (named by VerificationPolicy shop)"
    assert check["result"] == "problem"


def test_a_registry_that_fails_is_a_problem(installed: Installed) -> None:
    installed.shop.registry.faults.status("/v2/", 500)
    code, checks = installed.examine()
    assert code == 1
    assert "status 500" in checks[f"registries/{installed.shop.registry.host}"]["message"]


@pytest.mark.parametrize(
    ("password", "result", "words"),
    [("secret", "ok", "accepts your credentials"), ("old", "warning", "credentials")],
    ids=["accepted", "refused"],
)
@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_own_registry_credentials_are_tried(
    installed: Installed, tmp_path: Path, mode: str, password: str, result: str, words: str
) -> None:
    registry = installed.shop.registry
    registry.auth.mode, registry.auth.users = mode, {"ann": "secret"}
    config = tmp_path / "docker.json"
    config.write_text(json.dumps({"auths": {registry.host: {"username": "ann", "password": password}}}))
    own = ("--docker-config", config, "--insecure-registry", registry.host)
    code, checks = installed.examine(*own)
    check = checks[f"registries/{registry.host}"]
    assert (code, check["result"]) == (0, result), check
    assert words in check["message"]
    assert password not in json.dumps(checks)


def test_a_registry_that_asks_for_credentials_responds(installed: Installed) -> None:
    installed.shop.registry.auth.mode = "basic"
    code, checks = installed.examine()
    check = checks[f"registries/{installed.shop.registry.host}"]
    assert (code, check["result"]) == (0, "ok")
    assert "asks for credentials" in check["message"]


def test_mirrors_are_asked_too(installed: Installed) -> None:
    host = installed.shop.registry.host
    installed.set_registries(insecure=[host], mirrors={host: "localhost:1"})
    code, checks = installed.examine()
    assert code == 1
    assert f"a mirror of {host}" in checks["registries/localhost:1"]["message"]


@pytest.fixture
def dew() -> Iterator[DEWSimulator]:
    with DEWSimulator() as simulator:
        simulator.add("b1c2", "EC_P256")
        yield simulator


@pytest.fixture
def with_kms(installed: Installed, dew: DEWSimulator) -> Installed:
    kms = {"region": "cn-north-4", "projectId": PROJECT, "keyId": "b1c2", "endpoint": dew.url}
    spec = {"cosign": {"keys": [{"kms": {"huawei": {**kms, "credentialsSecret": {"name": "dew"}}}}]}}
    put_ready(installed, authenticator("kms-key", spec=spec))
    installed.set_registries(insecure=[installed.shop.registry.host, dew.host])
    data = {name: base64.b64encode(value).decode() for name, value in dew.secret.items()}
    installed.api.put(f"/api/v1/namespaces/{NAMESPACE}/secrets", {"metadata": {"name": "dew"}, "data": data})
    return installed


def put_ready(installed: Installed, obj: dict[str, Any]) -> None:
    plural = "authenticators" if obj["kind"] == "Authenticator" else "verificationpolicies"
    installed.put_ready(plural, installed.api.put(f"{API}/{plural}", obj))


def test_a_kms_is_asked_and_its_secret_read_only_if_it_is_named(with_kms: Installed, dew: DEWSimulator) -> None:
    code, checks = with_kms.examine()
    check = checks[f"kms/{dew.host}"]
    assert (code, check["result"]) == (0, "ok"), check
    assert "its credentials were not tried" in check["message"]
    assert check["remedy"] == "to try them: --service-secret NAMESPACE/dew"
    assert secrets_read(with_kms) == set()
    assert [request.path for request in dew.requests] == ["/"]

    code, checks = with_kms.examine("--service-secret", f"{NAMESPACE}/dew")
    assert (code, checks[f"kms/{dew.host}"]["result"]) == (0, "ok")
    assert "1 version of its key can be used" in checks[f"kms/{dew.host}"]["message"]


def test_servers_of_signing_policies_are_asked_where_the_kind_is_installed(
    installed: Installed, dew: DEWSimulator
) -> None:
    kms = {"region": "cn-north-4", "projectId": PROJECT, "keyId": "b1c2", "endpoint": dew.url}
    key = {"kms": {"huawei": {**kms, "credentialsSecret": {"name": "dew-sign"}}}}
    obj = signing_policy(key=key, images=[{"repository": "localhost:1/shop/*"}])
    installed.put_ready("signingpolicies", installed.api.put(f"{API}/signingpolicies", obj))
    installed.set_registries(insecure=[installed.shop.registry.host, dew.host])
    assert "objects/SigningPolicy" not in installed.examine()[1]
    for kind in SIGNING_KINDS:
        installed.api.put(DEFINITIONS, custom_resource_definition(kind))
    code, checks = installed.examine()
    assert code == 1
    assert checks["objects/SigningPolicy"]["message"] == "1 object ready"
    assert "named by SigningPolicy release" in checks["registries/localhost:1"]["message"]
    assert "to try them" in checks[f"kms/{dew.host}"]["remedy"]
    _, checks = installed.examine("--service-secret", f"{NAMESPACE}/dew-sign")
    assert "only signing" in checks[f"kms/{dew.host}"]["message"]
    assert secrets_read(installed) == set()


def test_open_exceptions_are_named(installed: Installed) -> None:
    spec = {"images": [{"repository": "a/**"}], "namespaces": ["shop"], "reason": "outage", "requestedBy": "ann"}
    later = "2999-01-01T00:00:00Z"
    for name, end, by in (("over", "2020-01-01T00:00:00Z", "ann"), ("urgent", later, "ann"), ("unasked", later, None)):
        obj = api_object("VerificationException", name, {**spec, "expiresAt": end, "requestedBy": by})
        installed.api.put(f"{API}/verificationexceptions", obj)
    deleted = api_object("VerificationException", "deleted", {**spec, "expiresAt": later})
    deleted["metadata"]["deletionTimestamp"] = later
    installed.api.put(f"{API}/verificationexceptions", deleted)
    installed.api.put(f"{API}/verificationexceptions", {"metadata": {"name": "broken"}, "spec": {}})
    code, checks = installed.examine()
    check = checks["objects/VerificationException"]
    assert (code, check["result"]) == (0, "warning")
    assert check["message"] == "open, so images run unverified: urgent until 2999-01-01T00:00:00Z"


def test_credentials_that_a_kms_refuses_are_a_problem(with_kms: Installed, dew: DEWSimulator) -> None:
    dew.secret_key = "another"
    code, checks = with_kms.examine("--service-secret", f"{NAMESPACE}/dew")
    assert (code, checks[f"kms/{dew.host}"]["result"]) == (1, "problem")
    assert "Authenticator kms-key" in checks[f"kms/{dew.host}"]["message"]


def test_a_store_with_a_private_ca_is_asked_with_it(installed: Installed) -> None:
    with DEWSimulator(tls=True) as server:
        installed.set_registries(insecure=[installed.shop.registry.host, server.host])
        keys = [{"id": "key", "pem": public_pem(new_key("ECDSA P-256", "release"))}]
        spec: dict[str, Any] = {"server": server.url, "note": "projects/p/notes/n", "keys": keys}
        put_ready(installed, api_object("Authenticator", "notes", {"grafeas": spec}))
        code, checks = installed.examine()
        assert code == 1
        assert "does not verify" in checks[f"stores/{server.host}"]["message"]
        put_ready(installed, api_object("Authenticator", "notes", {"grafeas": {**spec, "ca": {"pem": server.ca_pem}}}))
        code, checks = installed.examine()
        assert (code, checks[f"stores/{server.host}"]["result"]) == (0, "ok")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/configmaps", "cluster/settings"),
        ("/deployments", "cluster/deployments"),
        ("/customresourcedefinitions/auth", "versions/authenticators.sealgate.dev"),
        ("/validatingwebhookconfigurations", "webhooks/configurations"),
        ("/authenticators$|/authenticators\\?limit=500", "objects/Authenticator"),
        ("/endpointslices", "webhooks/endpoints"),
    ],
)
def test_what_may_not_be_read_is_named_and_stops_nothing_else(installed: Installed, path: str, name: str) -> None:
    installed.api.faults.append(Fault("GET", path, 403))
    code, checks = installed.examine()
    assert (code, checks[name]["result"]) == (3, "notChecked")
    assert "docs/doctor.md" in checks[name]["remedy"]
    others = {check["result"] for other, check in checks.items() if other != name}
    assert others >= {"ok"}
    if path != "/configmaps":  # without it, plain HTTP is not permitted
        assert checks[f"registries/{installed.shop.registry.host}"]["result"] == "ok"


def test_a_self_test_that_is_not_permitted_is_not_checked(installed: Installed) -> None:
    message = 'leases.coordination.k8s.io is forbidden: User "ann" cannot create resource "leases"'
    document = {"kind": "Status", "code": 403, "message": message}
    installed.api.faults.append(Fault("POST", "/leases", 403, document=document))
    code, checks = installed.examine()
    assert (code, checks["webhooks/self-test"]["result"]) == (3, "notChecked")


def test_a_namespace_without_sealgate_is_a_problem(installed: Installed) -> None:
    installed.api.delete(OPERATOR)
    code, checks = installed.examine()
    assert code in (1, 3)
    assert checks["cluster/settings"]["message"] == "the namespace sealgate has no sealgate"
    assert "--namespace" in checks["cluster/settings"]["remedy"]


def test_a_release_without_deployments_is_a_problem(installed: Installed) -> None:
    for component in ("webhook", "operator"):
        installed.api.delete(f"{DEPLOYMENTS}/sealgate-{component}")
    code, checks = installed.examine()
    assert (code, checks["cluster/deployments"]["result"]) == (1, "problem")


def test_a_component_without_replicas_is_named(installed: Installed) -> None:
    path = f"{DEPLOYMENTS}/sealgate-operator"
    installed.alter(path, lambda found: found.update(spec={"replicas": 0}, status={}))
    code, checks = installed.examine()
    assert (code, checks["cluster/sealgate-operator"]["result"]) == (0, "warning")
    assert checks["cluster/sealgate-operator"]["message"] == "it is scaled to 0 replicas"


def test_of_several_releases_one_is_examined(installed: Installed) -> None:
    found = installed.api.get(OPERATOR)
    installed.api.put(OPERATOR.rpartition("/")[0], {**found, "metadata": {**found["metadata"], "name": "zweite"}})
    code, checks = installed.examine()
    assert (code, checks["cluster/settings"]["result"]) == (0, "warning")


def test_a_key_that_a_kms_refuses_is_a_problem(with_kms: Installed, dew: DEWSimulator) -> None:
    dew.keys.clear()
    code, checks = with_kms.examine("--service-secret", f"{NAMESPACE}/dew")
    assert (code, checks[f"kms/{dew.host}"]["result"]) == (1, "problem")
    assert "no version of its key can be used" in checks[f"kms/{dew.host}"]["message"]


def test_a_registry_that_is_something_else_is_named(installed: Installed) -> None:
    installed.shop.registry.faults.status("/v2/", 404)
    code, checks = installed.examine()
    check = checks[f"registries/{installed.shop.registry.host}"]
    assert (code, check["result"]) == (0, "warning")
    assert "check the registry's name" in check["remedy"]


def test_settings_that_cannot_be_read_are_named(installed: Installed) -> None:
    installed.alter(OPERATOR, lambda found: found["data"].update({"config.yaml": "registries: {insecure: ['/']}"}))
    _, checks = installed.examine()
    assert checks["cluster/sealgate-operator"]["result"] == "warning"


def test_an_api_server_that_does_not_respond_is_a_problem(installed: Installed) -> None:
    installed.api.pause()
    code, checks = installed.examine()
    assert (code, list(checks)) == (1, ["cluster/API server"])
    assert sealgate("doctor", "--context", "none").exit_code == 2


def test_proxies_of_the_environment_are_named(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:password@127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    code, checks = installed.examine()
    assert (code, checks["cluster/proxy"]["result"]) == (0, "warning")
    assert "password" not in json.dumps(checks)


def test_no_more_servers_are_asked_than_the_limit(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sealgate.cli.examinations.MAX_ENDPOINTS", 1)
    put_ready(installed, policy("more", "localhost:1/**", authenticators=["qa-key"]))
    code, checks = installed.examine()
    assert (code, checks["registries/servers"]["result"]) == (3, "notChecked")
    assert len([name for name in checks if name.startswith("registries/")]) == 2
