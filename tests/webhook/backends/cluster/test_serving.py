"""The webhook as the chart starts it: `python -m sealgate_webhook` with a simulated API server."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sealgate_webhook.__main__ import main
from sealgate_webhook.backends.cluster.policies import AUTHENTICATORS, POLICIES
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key
from tests.support.simulators.kubernetes import Fault
from tests.support.simulators.registry import RegistrySimulator
from tests.webhook.objects import encode, pod, review
from tests.webhook.servers import Server, TLSFiles, eventually, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.simulators.kubernetes import KubernetesSimulator

KEY = new_key("ECDSA P-256")
BROKEN = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


def configuration(folder: Path, registry: RegistrySimulator, **members: Any) -> Path:
    """Write the configuration as the chart does."""
    content = {
        "listen": "127.0.0.1:0",
        "metricsListen": "127.0.0.1:0",
        "tlsDirectory": str(folder / "tls"),
        "registries": {"insecure": [registry.host], "dockerConfigSecret": "registries"},
        "unmatchedImages": "Deny",
        "logLevel": "info",
        **members,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def kubeconfig(folder: Path, cluster: KubernetesSimulator) -> Path:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def registry() -> Iterator[RegistrySimulator]:
    with RegistrySimulator() as registry:
        yield registry


@contextmanager
def serving(folder: Path, cluster: KubernetesSimulator, registry: RegistrySimulator) -> Iterator[Server]:
    tls = TLSFiles(folder / "tls")
    arguments = (
        *("sealgate_webhook", "--config", str(configuration(folder, registry))),
        *("--kubeconfig", str(kubeconfig(folder, cluster))),
    )
    with running({}, tls.trust, arguments) as server:
        yield server


def test_cluster_policies_decide_and_denials_become_events(
    tmp_path: Path, cluster: KubernetesSimulator, registry: RegistrySimulator
) -> None:
    cluster.put("/api/v1/namespaces", {"metadata": {"name": "default"}})
    cluster.put(AUTHENTICATORS, authenticator("release", KEY))
    cluster.put(POLICIES, policy("all", f"{registry.host}/**"))
    digest = registry.push_image("team/app", "signed")
    push_classic(registry, "team/app", Classic(digest, KEY))
    registry.push_image("team/app", "unsigned")
    with serving(tmp_path, cluster, registry) as server:
        server.wait_for_line("policies loaded")
        cluster.wait_for(lambda cluster: any("namespaces?" in request.path for request in cluster.requests))
        good = server.validate(review(pod(f"{registry.host}/team/app:signed")))
        bad = server.validate(review(pod(f"{registry.host}/team/app:unsigned")))
        other = server.validate(review(pod("registry.example.org/app:1")))
        assert good.allowed
        assert not bad.allowed
        assert not other.allowed
        cluster.wait_for(lambda cluster: len(cluster.find("events")) == 2)
        eventually(lambda: server.get("/readyz").status == 200)
    assert all(request.authorization in ("Bearer secret", "bearer secret") for request in cluster.requests)
    event = cluster.find("events")[0]
    assert event["involvedObject"]["name"] == "web"


def test_readiness_waits_for_every_list_and_names_missing_ones(
    tmp_path: Path, cluster: KubernetesSimulator, registry: RegistrySimulator
) -> None:
    cluster.faults.append(Fault("GET", "/namespaces[?]", 503))
    with serving(tmp_path, cluster, registry) as server:
        server.wait_for_line("policies loaded")
        answer = server.get("/readyz")
        assert answer.status == 503
        assert b"the namespaces have not been read" in answer.data
        assert server.get("/healthz").status == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"cosign": {"keys": [{"pem": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}]}},
            "keys[0].pem",
        ),
        ({"cosign": {"keys": []}}, "spec.cosign: has neither keys nor keyless"),
        ({"cosign": {"keys": [{"secretRef": {"name": "not-there", "key": "k"}}]}}, ""),
    ],
)
def test_policy_objects_are_checked_when_applied(
    tmp_path: Path, cluster: KubernetesSimulator, registry: RegistrySimulator, change: dict[str, Any], said: str
) -> None:
    obj = {**authenticator("release", KEY), "spec": change}
    with serving(tmp_path, cluster, registry) as server:
        document = review(obj, namespace="")
        document["request"]["kind"] = {"group": "sealgate.dev", "version": "v1alpha1", "kind": "Authenticator"}
        document["request"]["name"] = "release"
        answer = server.pool.request(
            "POST",
            f"{server.url}/validate-policies?timeout=30s",
            body=encode(document),
            headers={"Content-Type": "application/json"},
        )
        response = json.loads(answer.data)["response"]
        assert response["allowed"] is (said == "")
        if said:
            assert said in response["status"]["message"]
            assert "Authenticator release" in response["status"]["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "is not YAML"),
        ("listen: 1", "listen"),
        ("{}", "Field required"),
        ("listen: a\nmetricsListen: b\ntlsDirectory: c\nunknown: 1", "unknown"),
        ("listen: nowhere\nmetricsListen: 127.0.0.1:0\ntlsDirectory: /x", "not an address"),
    ],
)
def test_invalid_configuration_is_reported_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert main(["--config", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("Error: ")
    assert said in captured.err
    assert main(["--config", str(tmp_path / "absent")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_missing_cluster_access_is_reported(
    tmp_path: Path, registry: RegistrySimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configuration(tmp_path, registry)
    assert main(["--config", str(path), "--kubeconfig", str(tmp_path / "absent")]) == 2
    assert "the API server cannot be found" in capsys.readouterr().err
