"""A cluster for the command line: the simulated API server with what the shop runs, and a kubeconfig for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from tests.cli.objects import deployment, namespace, pod
from tests.cli.running import sealgate

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.cli.shop import Shop
    from tests.support.simulators.kubernetes import KubernetesSimulator

API = "/apis/sealgate.dev/v1alpha1"
_COLLECTIONS = {"Pod": "/api/v1", "Deployment": "/apis/apps/v1", "ReplicaSet": "/apis/apps/v1"}


@dataclass
class Cluster:
    """A cluster with the policies of the shop, and the namespaces `shop` and `team`.

    Attributes:
        api: the API server.
        shop: the registry and the policies.
        options: of every scan.
    """

    api: KubernetesSimulator
    shop: Shop
    options: tuple[object, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Put the policies and namespaces into the cluster."""
        self.options = ("--insecure-registry", self.shop.registry.host, "--context", "production")
        for file in sorted(self.shop.policies.iterdir()):
            for obj in yaml.safe_load_all(file.read_text()):
                self.put_policy(obj)
        for name in ("shop", "team"):
            self.api.put("/api/v1/namespaces", namespace(name, team=name))

    def put_policy(self, obj: dict[str, Any]) -> None:
        """Create or replace an object of sealgate."""
        plural = {
            "Authenticator": "authenticators",
            "VerificationPolicy": "verificationpolicies",
            "VerificationException": "verificationexceptions",
        }[obj["kind"]]
        self.api.put(f"{API}/{plural}", obj)

    def put(self, obj: dict[str, Any]) -> None:
        """Create or replace an object in its namespace."""
        path = f"{_COLLECTIONS[obj['kind']]}/namespaces/{obj['metadata']['namespace']}/{obj['kind'].lower()}s"
        self.api.put(path, obj)

    def run_pod(self, name: str, image: str, image_id: str = "", *, within: str = "shop", **spec: Any) -> None:
        """Create a Pod of one container, with the `imageID` that its node reports."""
        made = pod(name, image, namespace=within)
        made["spec"].update(spec)
        made["status"] = {"phase": "Running", "containerStatuses": [{"name": "c0", "imageID": image_id}]}
        self.put(made)

    def deploy(self, name: str, *images: str, within: str = "shop") -> None:
        """Create a Deployment."""
        self.put(deployment(name, *images, namespace=within))

    def scan(self, *args: object, stdin: str | None = None) -> Result:
        """Run `sealgate scan`."""
        return sealgate("scan", *args, *self.options, stdin=stdin)

    def paths(self) -> list[str]:
        """Return the paths of all requests so far, without queries."""
        return [request.path.partition("?")[0] for request in self.api.requests]


def kubeconfig(folder: Path, url: str, current: str = "other") -> Path:
    """Write a kubeconfig with the contexts `production`, the cluster at a URL, and `other`, which is nowhere."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "contexts": [
            {"name": "other", "context": {"cluster": "nowhere", "user": "admin"}},
            {"name": "production", "context": {"cluster": "production", "user": "admin"}},
        ],
        "clusters": [
            {"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}},
            {"name": "production", "cluster": {"server": url}},
        ],
        "users": [{"name": "admin", "user": {"token": "a-token"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path
