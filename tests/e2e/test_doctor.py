"""`sealgate doctor` of a real cluster, as a ServiceAccount that has only the rights of docs/doctor.md."""

from __future__ import annotations

import base64
import json
import re
import secrets
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.chart.rendering import NAMESPACE, ROOT
from tests.diagnosis.test_certificates import Issuer, pem
from tests.e2e import release
from tests.e2e.kube import Done, apply, eventually, kubectl, run, wait_for_right
from tests.e2e.objects import authenticator, authenticator_of, policy
from tests.e2e.release import NAME, REGISTRY
from tests.e2e.servers import ca_of, serve
from tests.e2e.servers import secrets as service_secrets
from tests.e2e.test_scan import binding
from tests.support.simulators.grafeas import GrafeasSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import SampleImages

ACCOUNT = "doctor"
#: The areas in which nothing depends on what other tests have left.
OWN_AREAS = {"cluster", "versions", "webhooks", "certificates", "clock"}
WORKLOADS = f"validatingwebhookconfiguration/{NAME}-workloads"


def documented_roles() -> list[str]:
    """Return what docs/doctor.md has as YAML: the Roles that all need, and the one for Secrets."""
    return re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/doctor.md").read_text(encoding="utf-8"), re.DOTALL)


class Doctor:
    """A ServiceAccount that examines.

    Args:
        folder: folder for its kubeconfig.
    """

    def __init__(self, folder: Path) -> None:
        block, _ = documented_roles()
        account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "default"}
        roles = (
            ("sealgate-doctor", NAMESPACE),
            ("sealgate-doctor-bundle", NAMESPACE),
            ("sealgate-doctor-bundle", "default"),
        )
        bound = [binding(name, name, account, namespace=namespace) for name, namespace in roles]
        for one in bound:
            one["roleRef"]["kind"] = "Role"
        apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": "default"}},
            *yaml.safe_load_all(block),
            binding("sealgate-doctor", "sealgate-doctor", account),
            *bound,
        ).checked()
        wait_for_right(f"system:serviceaccount:default:{ACCOUNT}", "list", "verificationpolicies")
        wait_for_right(f"system:serviceaccount:default:{ACCOUNT}", "list", "pods", "--namespace", NAMESPACE)
        token = kubectl("create", "token", ACCOUNT, "-n", "default").checked().out.strip()
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json").checked().out)
        config["users"][0]["user"] = {"token": token}
        self._kubeconfig = folder / "doctor.json"
        self._kubeconfig.write_text(json.dumps(config))

    def run(self, *arguments: object) -> Done:
        """Run `sealgate doctor`."""
        command = (str(Path(sys.executable).with_name("sealgate")), "doctor", *map(str, arguments))
        return run(*command, environment={"KUBECONFIG": str(self._kubeconfig)})

    def examine(self, *arguments: object) -> tuple[int, dict[str, Any]]:
        """Return the exit code, and each check by `area/name`."""
        done = self.run("--output", "json", *arguments)
        assert done.out, done.err
        found = json.loads(done.out)["checks"]
        return done.code, {f"{check['area']}/{check['name']}": check for check in found}


@pytest.fixture(scope="module")
def doctor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doctor]:
    """An account that may do what docs/doctor.md says."""
    yield Doctor(tmp_path_factory.mktemp("doctor"))
    kubectl("delete", "clusterrolebinding,clusterrole", "sealgate-doctor")
    kubectl("-n", NAMESPACE, "delete", "rolebinding,role", "sealgate-doctor", "sealgate-doctor-bundle")
    kubectl("-n", "default", "delete", "rolebinding,role", "sealgate-doctor-bundle")
    kubectl("-n", "default", "delete", "serviceaccount", ACCOUNT)


@pytest.fixture
def named(samples: SampleImages) -> Iterator[str]:
    """A policy in no namespace that names the registry, and one that does not respond; return its name."""
    name = f"doctor-{secrets.token_hex(4)}"
    apply(authenticator(name, samples.key.entry)).checked()
    obj = policy(name, [name], "nowhere")
    obj["spec"]["images"] = [{"repository": f"{REGISTRY}/**"}, {"repository": "10.85.0.1:5999/**"}]
    apply(obj).checked()
    kubectl("wait", "--for=condition=Ready", "--timeout=150s", f"vpol/{name}").checked()
    yield name
    kubectl("delete", "vpol,authn", name).checked()


def test_a_healthy_installation_has_no_problem(doctor: Doctor) -> None:
    _, found = doctor.examine()
    own = {name: check for name, check in found.items() if check["area"] in OWN_AREAS}
    assert {name: check for name, check in own.items() if check["result"] != "ok"} == {}
    assert {check["area"] for check in own.values()} == OWN_AREAS
    assert found["webhooks/self-test"]["result"] == "ok"


def test_a_registry_that_does_not_respond_is_named(doctor: Doctor, named: str) -> None:
    code, found = doctor.examine()
    assert found[f"registries/{REGISTRY}"]["result"] == "ok"
    assert found["registries/10.85.0.1:5999"]["result"] == "notChecked"
    code, found = doctor.examine("--private-registry", "10.85.0.1:5999")
    assert code in (1, 3)
    stopped = found["registries/10.85.0.1:5999"]
    assert stopped["result"] == "problem"
    assert f"refuses connections (named by VerificationPolicy {named})" in stopped["message"]


def test_secrets_are_not_read_without_the_right(doctor: Doctor) -> None:
    name = f"{NAMESPACE}/{NAME}-webhook-tls"
    code, found = doctor.examine("--service-secret", name)
    assert code == 3
    assert found[f"certificates/{NAME}-webhook.{NAMESPACE}.svc"]["result"] == "notChecked"


def test_an_administrator_sees_the_serving_certificate() -> None:
    command = (str(Path(sys.executable).with_name("sealgate")), "doctor", "--output", "json")
    done = run(*command, "--service-secret", f"{NAMESPACE}/{NAME}-webhook-tls")
    found = {f"{check['area']}/{check['name']}": check for check in json.loads(done.out)["checks"]}
    assert found[f"certificates/{NAME}-webhook.{NAMESPACE}.svc"]["result"] == "ok"


def test_the_bundle_has_objects_and_logs_and_no_secret(doctor: Doctor, named: str, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    assert doctor.run("--bundle", path).out
    with tarfile.open(path) as archive:
        found = {one.name: archive.extractfile(one).read() for one in archive.getmembers()}  # type: ignore[union-attr]  # all are files
    parts = {"/".join(name.split("/")[1:3]) for name in found}
    kinds = ("VerificationPolicy", "Authenticator", "ValidatingWebhookConfiguration", "ConfigMap", "Deployment", "Pod")
    assert {f"objects/{kind}" for kind in (*kinds, "CustomResourceDefinition")} <= parts
    assert f"sealgate-bundle/objects/VerificationPolicy/{named}.json" in found
    logs = [content for name, content in found.items() if name.endswith("/webhook.log")]
    assert len(logs) == 2
    assert all(b'"level": "info"' in content for content in logs)
    left_out = json.loads(found["sealgate-bundle/contents.json"])["leftOut"]
    # Metrics need a right that the documented Role does not give.
    assert [note for note in left_out if not note.startswith("metrics ")] == []
    secrets_of_release = json.loads(kubectl("-n", NAMESPACE, "get", "secrets", "-o", "json").checked().out)["items"]
    values = [
        value for one in secrets_of_release for key, value in (one.get("data") or {}).items() if key.endswith("key")
    ]
    everything = b"".join(found.values())
    assert values
    for value in values:
        assert value.encode() not in everything
        assert base64.b64decode(value) not in everything


@pytest.fixture
def in_pod(doctor: Doctor) -> Iterator[Callable[..., dict[str, Any]]]:  # noqa: ARG001 - its roles are there
    """Function that examines in a pod of the cluster with the rights of docs/doctor.md, and returns the checks."""
    account = {"kind": "ServiceAccount", "name": "sealgate-doctor", "namespace": NAMESPACE}
    bound = binding("sealgate-doctor-pod", "sealgate-doctor", account, namespace=NAMESPACE)
    bound["roleRef"]["kind"] = "Role"
    made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account["name"], "namespace": NAMESPACE}}
    apply(made, binding("sealgate-doctor-pod", "sealgate-doctor", account), bound).checked()
    image = release.values()["webhook"]["image"]

    def examine(*arguments: str) -> dict[str, Any]:
        # Not attached: what a container writes before kubectl is attached is lost.
        kubectl(
            *("-n", NAMESPACE, "run", "doctor", "--restart=Never"),
            *(f"--image={image['repository']}:{image['tag']}", f"--image-pull-policy={image['pullPolicy']}"),
            *("--overrides", json.dumps({"spec": {"serviceAccountName": "sealgate-doctor"}})),
            *("--command", "--", "sealgate", "doctor", "--output", "json", *arguments),
        ).checked()
        try:
            eventually(lambda: _phase("doctor") in {"Succeeded", "Failed"}, "it has examined")
            document = json.loads(kubectl("-n", NAMESPACE, "logs", "doctor").checked().out)
        finally:
            kubectl("-n", NAMESPACE, "delete", "pod", "doctor", "--now", "--ignore-not-found")
        return {f"{check['area']}/{check['name']}": check for check in document["checks"]}

    yield examine
    kubectl("delete", "clusterrolebinding", "sealgate-doctor-pod")
    kubectl("-n", NAMESPACE, "delete", "rolebinding/sealgate-doctor-pod", "serviceaccount/sealgate-doctor")


def test_it_runs_in_a_pod_of_the_cluster(in_pod: Callable[..., dict[str, Any]]) -> None:
    own = {name: check for name, check in in_pod().items() if check["area"] in OWN_AREAS}
    assert {name: check for name, check in own.items() if check["result"] != "ok"} == {}


def test_in_a_pod_its_rights_say_whose_credentials_are_tried(
    in_pod: Callable[..., dict[str, Any]], samples: SampleImages
) -> None:
    name = f"doctor-{secrets.token_hex(4)}"
    subject = {"kind": "ServiceAccount", "name": "sealgate-doctor", "namespace": NAMESPACE}
    role = yaml.safe_load(documented_roles()[1].replace("[dew, grafeas]", "[e2e-grafeas]"))
    bound = binding("sealgate-doctor-secrets", "sealgate-doctor-secrets", subject, namespace=NAMESPACE)
    bound["roleRef"]["kind"] = "Role"
    with serve(GrafeasSimulator, "grafeas.test") as server, service_secrets(e2e_grafeas={"token": b"right"}):
        server.token = "right"  # noqa: S105 - of a simulator
        private = ("--private-registry", server.host)
        grafeas = {"server": server.url, "ca": ca_of(server), "note": "projects/p/notes/n"}
        keys = [{"id": "key", "pem": samples.key.pem}]
        spec = {**grafeas, "keys": keys, "credentialsSecret": {"name": "e2e-grafeas"}}
        apply(authenticator_of(name, {"grafeas": spec})).checked()
        try:
            check = in_pod(*private)[f"stores/{server.host}"]
            assert (check["result"], "permitted, by name" in check["remedy"]) == ("notChecked", True), check
            apply(role, bound).checked()
            account = f"system:serviceaccount:{NAMESPACE}:{subject['name']}"
            wait_for_right(account, "get", "secrets/e2e-grafeas", "--namespace", NAMESPACE)
            assert "it accepts the credentials" in in_pod(*private)[f"stores/{server.host}"]["message"]
            server.token = "another"  # noqa: S105 - as above
            check = in_pod(*private)[f"stores/{server.host}"]
            assert (check["result"], "it refuses the credentials" in check["message"]) == ("problem", True), check
        finally:
            kubectl("delete", "authn", name).checked()
            kubectl("-n", NAMESPACE, "delete", "role,rolebinding", "sealgate-doctor-secrets", "--ignore-not-found")


def _phase(pod: str) -> str:
    return str(kubectl("-n", NAMESPACE, "get", "pod", pod, "-o", "jsonpath={.status.phase}").checked().out)


def test_a_broken_ca_bundle_is_named(doctor: Doctor) -> None:
    try:
        release.stop("operator")
        bundle = base64.b64encode(pem(Issuer("another").certificate)).decode()
        patch = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]
        kubectl("patch", WORKLOADS, "--type=json", "-p", json.dumps(patch)).checked()
        code, found = doctor.examine()
        assert code in (1, 3)
        assert "CABundleWrong" in found[f"webhooks/{NAME}-workloads"]["message"]
        assert found[f"webhooks/{NAME}-policies"]["result"] == "ok"
        assert found[f"cluster/{NAME}-operator"]["result"] == "warning"
        shown = doctor.run().out
        assert "problem" in shown
        assert "CABundleWrong" in shown
    finally:
        kubectl("-n", NAMESPACE, "scale", f"deployment/{NAME}-operator", "--replicas=2").checked()
        release.wait_until_ready()
    eventually(lambda: doctor.examine()[1][f"webhooks/{NAME}-workloads"]["result"] == "ok", "the bundle is restored")
