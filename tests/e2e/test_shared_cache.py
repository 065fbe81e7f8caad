"""Three replicas share a cache; a replica and then the cache are killed while hundreds of Deployments are created."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.images import CONFIG, MANIFEST, PlainRegistry
from tests.e2e.kube import api, apply, eventually, kubectl
from tests.e2e.objects import secret, workload
from tests.e2e.servers import CACHE
from tests.support.real_tools.valkey import ValkeyServer
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.clusters import Machine
    from tests.e2e.kube import Object, Response
    from tests.e2e.teams import Team
    from tests.support.signers.private_keys import PrivateKey

REPLICAS = 3
#: Deployments of signed images, each of an image of its own, and of unsigned ones; requests at the same time.
SIGNED, UNSIGNED, PARALLEL = 200, 40, 50
SECRET, USER, PASSWORD = "e2e-shared-cache", "sealgate", "e2e-password"
#: The rights that docs/shared-cache.md gives to the user.
RIGHTS = f"on >{PASSWORD} resetchannels ~sealgate:* -@all +ping +get +getrange +set +del +eval +time"


@pytest.fixture
def shared_cache(tmp_path: Path, machine: Machine) -> Iterator[ValkeyServer]:
    """A server that three replicas of the webhook are connected to."""
    ca = trustme.CA()
    issued = ca.issue_cert(CACHE, machine.address)
    pair, key, bundle = tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.crt"
    issued.cert_chain_pems[0].write_to_path(pair)
    issued.private_key_pem.write_to_path(key)
    ca.cert_pem.write_to_path(bundle)
    login = {"username": USER.encode(), "password": PASSWORD.encode(), "ca.crt": bundle.read_bytes()}
    with ValkeyServer("--requirepass", PASSWORD, tls=(pair, key, bundle), address=machine.address) as server:
        server.admin.auth(PASSWORD)
        server.admin.execute_command("ACL", "SETUSER", USER, *RIGHTS.split())
        apply(secret(SECRET, login)).checked()
        settings = {"enabled": True, "host": CACHE, "port": server.port, "secret": SECRET}
        release.upgrade({"webhook": {"replicas": REPLICAS}, "sharedCache": settings}, webhooks=REPLICAS)
        eventually(lambda: _connected() == [True] * REPLICAS, "all replicas are connected")
        try:
            yield server
        finally:
            release.rollback()
            kubectl("-n", NAMESPACE, "delete", "secret", SECRET).checked()


class Creation:
    """Creates Deployments in a namespace, none of which has pods, and repeats what failed as controllers do.

    Args:
        namespace: name of the namespace.

    Attributes:
        done: names of the Deployments whose creation has ended.
        repeated: responses to requests that were repeated.
    """

    def __init__(self, namespace: str) -> None:
        self._path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self.done: list[str] = []
        self.repeated: list[str] = []

    def until_admitted(self, name: str, image: str) -> None:
        """Create one until it is admitted."""
        self._repeat(name, image, lambda response: response.ok)

    def until_denied(self, name: str, image: str) -> None:
        """Try to create one until it is denied because it is not signed; fail if it is admitted."""

        def denied(response: Response) -> bool:
            assert not response.ok, f"{image} was admitted"
            return response.denied and "holds no cosign signature" in response.document["message"]

        self._repeat(name, image, denied)

    def _repeat(self, name: str, image: str, expected: Callable[[Response], bool]) -> None:
        deployment = workload("Deployment", name, image)
        deployment["spec"]["replicas"] = 0

        def ended() -> bool:
            response = api().send("POST", self._path, deployment)
            if expected(response):
                return True
            self.repeated.append(response.document.get("message", ""))
            return False

        eventually(ended, f"the creation of {name} ends")
        self.done.append(name)


def test_killed_replica_and_killed_cache_lose_no_deployment_and_admit_nothing_unsigned(
    shared_cache: ValkeyServer, new_team: Callable[[], Team], repository: str
) -> None:
    key = new_key("ECDSA P-256", "shared-cache")
    images = {f"signed-{number}": _push(repository, f"signed-{number}", key) for number in range(SIGNED)}
    images |= {f"unsigned-{number}": _push(repository, f"unsigned-{number}", None) for number in range(UNSIGNED)}
    team = new_team()
    team.require_signature({"pem": public_pem(key)}, probe=images["unsigned-0"])
    creation = Creation(team.name)
    # The unsigned ones are spread among the others.
    names = sorted(images, key=lambda name: int(name.rpartition("-")[2]) * (1 if name.startswith("s") else 5))
    begin = time.monotonic()
    with ThreadPoolExecutor(PARALLEL) as pool:
        running = [
            pool.submit(creation.until_admitted if name.startswith("s") else creation.until_denied, name, images[name])
            for name in names
        ]
        eventually(lambda: len(creation.done) >= len(names) // 3, "a third of the Deployments")
        assert shared_cache.admin.dbsize() > 0
        kubectl("-n", NAMESPACE, "delete", "pod", _any_replica(), "--force", "--grace-period=0").checked()
        eventually(lambda: len(creation.done) >= 2 * len(names) // 3, "two thirds of the Deployments")
        shared_cache.kill()
        for one in running:
            one.result()
    seconds = time.monotonic() - begin
    print(f"\n{len(names)} Deployments in {seconds:.1f} s, {len(creation.repeated)} requests repeated")  # noqa: T201 - a figure for the log
    found = api().send("GET", f"/apis/apps/v1/namespaces/{team.name}/deployments").checked().document["items"]
    assert sorted(one["metadata"]["name"] for one in found) == sorted(name for name in names if name.startswith("s"))


def _push(repository: str, name: str, key: PrivateKey | None) -> str:
    """Push an image without layers, sign it if there is a key, and return its reference by tag."""
    host, _, prefix = repository.partition("/")
    registry, path = PlainRegistry(host), f"{prefix}/shared-cache"
    config = {"mediaType": CONFIG, "size": 2, "digest": registry.push_blob(path, b"{}")}
    manifest: Object = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
    digest = registry.push_manifest(path, name, json.dumps({**manifest, "annotations": {"name": name}}).encode())
    if key is not None:
        push_classic(registry, path, Classic(digest, key))
    return f"{repository}/shared-cache:{name}"


def _any_replica() -> str:
    return str(release.pods("webhook")[0]["metadata"]["name"])


def _connected() -> list[bool]:
    """Return for each replica whether it is connected to the shared cache."""
    return [samples.get("sealgate_shared_cache_connected") == 1.0 for samples in release.metrics("webhook")]
