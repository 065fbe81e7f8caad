"""A cluster with a registry, policies and workloads, and the process that reports about them."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kubernetes.client.configuration import Configuration

from sealgate.kubernetes.client import KubernetesAPI
from sealgate.process.logs import configure_logs
from sealgate_webhook.reports.application import Reports
from sealgate_webhook.reports.config import ReportsConfig
from tests.support.builders.objects import authenticator, policy
from tests.support.clocks import FakeClock
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator
from tests.support.simulators.registry import RegistrySimulator, digest_of
from tests.support.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from sealgate.references import Digest
    from tests.support.signers.private_keys import PrivateKey

KEY = new_key("ECDSA P-256", "release")
OTHER_KEY = new_key("ECDSA P-256", "stranger")
API = "/apis/sealgate.dev/v1alpha1"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/sealgate/leases"
REPORTS = ("policyreports", "reports")
_PATHS = {
    "Pod": "/api/v1/namespaces/{}/pods",
    "PodTemplate": "/api/v1/namespaces/{}/podtemplates",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
}


@dataclass
class ReportEnvironment:
    """One cluster, one registry, one process; a context manager.

    Attributes:
        settings: of the settings file, besides those that every test has.
        cluster: the API server.
        registry: the registry.
        clock: the time of the process.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    cluster: KubernetesSimulator = field(default_factory=KubernetesSimulator)
    registry: RegistrySimulator = field(default_factory=RegistrySimulator)
    clock: FakeClock = field(default_factory=FakeClock)
    output: io.StringIO = field(default_factory=io.StringIO)

    def __enter__(self) -> Self:
        self.registry.__enter__()
        self.cluster.put("/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "sealgate-reports"}})
        self.cluster.put(LEASES, {"metadata": {"name": "sealgate-reports"}})
        for name in ("shop", "team"):
            self.cluster.put("/api/v1/namespaces", {"metadata": {"name": name, "labels": {"team": name}}})
        self.put_policy(authenticator("release", public_pem(KEY)))
        self.put_policy(policy("production", f"{self.registry.host}/**"))
        self.stop = threading.Event()
        self._processes: list[Reports] = []
        self._threads: list[threading.Thread] = []
        self.restart()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop.set()
        self.registry.__exit__(kind, error, traceback)
        self.cluster.close()
        for thread in self._threads:
            thread.join(150)
        for process in self._processes:
            process.close()

    def new_process(self) -> Reports:
        """Return a process as it starts."""
        settings = {
            "metricsListen": "127.0.0.1:0",
            "lease": "sealgate-reports",
            "owner": "sealgate-reports",
            "registries": {"insecure": [self.registry.host]},
            **self.settings,
        }
        api = KubernetesAPI(Configuration(host=self.cluster.url))
        log = configure_logs("json", self.output)
        return Reports(ReportsConfig.model_validate(settings), api, "sealgate", log, self.clock)

    @contextmanager
    def running(self) -> Iterator[Reports]:
        """Run another process, and stop it at the end, which ends the cluster too."""
        process = self.new_process()
        with in_thread(process.run, before_join=self.cluster.close):
            yield process

    def restart(self) -> None:
        """Go on with a new process, which knows nothing of the former one."""
        self.process = self.new_process()
        self._processes.append(self.process)
        self._threads += self.process.watch(self.stop)

    def round(self) -> None:
        """Make a round."""
        self.process.rounds.make_round(self.stop)

    def push(self, name: str, key: PrivateKey | None = KEY, repository: str = "shop") -> str:
        """Push an image, signed unless the key is None, and return its reference by tag."""
        digest = self.registry.push_image(f"{repository}/{name}", "1", content=name.encode())
        if key is not None:
            self.sign(name, digest, key, repository)
        return f"{self.registry.host}/{repository}/{name}:1"

    def sign(self, name: str, digest: Digest, key: PrivateKey = KEY, repository: str = "shop") -> None:
        """Sign an image."""
        push_classic(self.registry, f"{repository}/{name}", Classic(digest, key))

    def digest(self, image: str) -> Digest:
        """Return the digest that the tag of an image names."""
        repository, _, tag = image.removeprefix(f"{self.registry.host}/").rpartition(":")
        return digest_of(self.registry.manifest(repository, tag)[1])

    def put_policy(self, obj: dict[str, Any]) -> None:
        """Create or replace an object of sealgate."""
        plural = {
            "Authenticator": "authenticators",
            "VerificationPolicy": "verificationpolicies",
            "VerificationException": "verificationexceptions",
        }[obj["kind"]]
        self.cluster.put(f"{API}/{plural}", obj)

    def put(self, kind: str, name: str, *images: str, namespace: str = "shop", **members: Any) -> dict[str, Any]:
        """Create or replace a Pod, or an object with a pod template, with a container for each image.

        Args:
            kind: its kind.
            name: its name.
            images: the images.
            namespace: its namespace.
            members: `owner` (an object), `ids` (the `imageID`s), `phase`, and members of the pod spec.
        """
        owner, ids, phase = (members.pop(member, None) for member in ("owner", "ids", "phase"))
        spec = {"containers": [{"name": f"c{at}", "image": image} for at, image in enumerate(images)], **members}
        metadata: dict[str, Any] = {"name": name, "namespace": namespace}
        if owner is not None:
            reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
            metadata["ownerReferences"] = [
                {**reference, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
            ]
        obj: dict[str, Any] = {"metadata": metadata, "spec": {"template": {"spec": spec}}}
        if kind == "Pod":
            statuses = [{"name": f"c{at}", "imageID": one} for at, one in enumerate(ids or ())]
            obj = {
                "metadata": metadata,
                "spec": spec,
                "status": {"phase": phase or "Running", "containerStatuses": statuses},
            }
        elif kind == "PodTemplate":
            obj = {"metadata": metadata, "template": {"spec": spec}}
        elif kind == "CronJob":
            obj["spec"] = {"jobTemplate": {"spec": {"template": {"spec": spec}}}}
        return self.cluster.put(_PATHS[kind].format(namespace), obj)

    def run_pod(self, name: str, image: str, **members: Any) -> dict[str, Any]:
        """Create a Pod that runs an image by its digest."""
        repository = image.rpartition(":")[0]
        return self.put("Pod", name, image, **{"ids": [f"{repository}@{self.digest(image)}"], **members})

    def uninstall(self, *groups: str) -> None:
        """Remove report APIs from the cluster until `install`."""
        self.cluster.faults.extend(Fault("", f"/apis/{group}/", 404) for group in groups)

    def install(self) -> None:
        """Put back the report APIs."""
        self.cluster.faults.clear()

    def reports(self, plural: str = "policyreports") -> dict[str, dict[str, Any]]:
        """Return the reports of sealgate in an API, by kind and name of the workload."""
        found = self.cluster.find(plural)
        return {f"{one['scope']['kind']}/{one['scope']['name']}": one for one in found if "scope" in one}

    def outcomes(self, workload: str) -> dict[str, str]:
        """Return the result of each image of a workload, by the last part of the image's name."""
        results = self.reports()[workload]["results"]
        return {one["properties"]["image"].rpartition("/")[2]: one["result"] for one in results}

    def sample(self, name: str, **labels: str) -> float | None:
        """Return the value of a metric of the reports."""
        return self.process.metrics.registry.get_sample_value(f"sealgate_report_{name}", labels)

    def writes(self) -> list[str]:
        """Return the methods and paths of all requests so far that write."""
        return [f"{one.method} {one.path}" for one in self.cluster.requests if one.method in {"POST", "PUT", "DELETE"}]
