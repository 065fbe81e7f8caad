"""Scans: a cluster that is made large, and objects that make a scan use the rights of the user who runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.clusters import Cluster, kubeconfig
from tests.cli.objects import pod
from tests.cli.shop import open_shop
from tests.support.builders.objects import api_object, policy
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PODS = 2_000


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with RegistrySimulator() as registry, KubernetesSimulator() as api:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, api.url)))
        yield Cluster(api, open_shop(registry, tmp_path))


def test_attack_97_thousands_of_pods_cost_one_verification(cluster: Cluster) -> None:
    """What is kept of an image does not grow with its Pods, and the registry is asked about it once."""
    image = cluster.shop.image("signed")
    one = pod("one", image, namespace="shop")
    cluster.put(one)
    assert cluster.scan("-o", "json").exit_code == 0
    for_one = len(cluster.shop.registry.requests)

    cluster.api.fill(f"{pods_path('shop')}", (pod(f"pod-{number}", image, namespace="shop") for number in range(PODS)))
    cluster.api.requests.clear()
    ran = cluster.scan("-o", "json")
    assert ran.exit_code == 0, ran.stderr
    (entry,) = json.loads(ran.stdout)["images"]
    assert (len(entry["objects"]), entry["furtherObjects"]) == (100, PODS + 1 - 100)
    assert len(cluster.shop.registry.requests) == 2 * for_one
    assert len([path for path in cluster.paths() if path == "/api/v1/pods"]) == PODS // 500 + 1
    assert len(cluster.paths()) < 50


def test_attack_97_an_image_in_many_namespaces_is_verified_once(cluster: Cluster) -> None:
    cluster.run_pod("web", cluster.shop.image("signed"))
    assert cluster.scan().exit_code == 0
    for_one = len(cluster.shop.registry.requests)
    for number in range(50):
        cluster.run_pod("web", cluster.shop.image("signed"), within=f"team-{number}")
    assert cluster.scan("--namespace", "shop").exit_code == 0
    assert cluster.scan().exit_code == 0
    assert len(cluster.shop.registry.requests) == 3 * for_one


def test_attack_98_policy_author_has_no_secret_sent_to_a_server(cluster: Cluster) -> None:
    """The author of an Authenticator names a Secret, and the server that its content is sent to."""
    server = cluster.shop.registry
    keys = [{"id": "key", "pem": public_pem(new_key("ECDSA P-256", "release"))}]
    spec: dict[str, Any] = {"server": f"http://{server.host}", "note": "projects/p/notes/n", "keys": keys}
    spec["credentialsSecret"] = {"name": "bait"}
    cluster.put_policy(api_object("Authenticator", "thief", {"grafeas": spec}))
    cluster.put_policy(policy("thief", f"{server.host}/**", authenticators=["thief"], action="Audit"))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bait"}, "data": {"token": "c3RvbGVu"}}
    for namespace in ("default", "shop", "sealgate"):
        cluster.api.put(f"/api/v1/namespaces/{namespace}/secrets", secret)
    cluster.run_pod("web", cluster.shop.image("signed"))
    ran = cluster.scan("-o", "json")
    assert not any("/secrets/" in path for path in cluster.paths())
    assert "--service-secret NAMESPACE/bait" in ran.stdout
    assert "stolen" not in ran.output


def test_attack_98_tenant_has_no_secret_of_another_namespace_used(cluster: Cluster) -> None:
    cluster.shop.registry.auth.mode = "basic"
    cluster.run_pod("web", cluster.shop.image("signed"), imagePullSecrets=[{"name": "../../team/secrets/pull"}])
    assert cluster.scan().exit_code == 3
    secrets = {path for path in cluster.paths() if "secrets" in path}
    assert secrets == {"/api/v1/namespaces/shop/secrets/..%2F..%2Fteam%2Fsecrets%2Fpull"}


def pods_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"
