"""A cluster with signing by policy, a registry, and workers on it."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.signing_request import RequestedPolicy, request_name
from sealgate.clocks import SystemClock
from sealgate.keys.generation import write_private_key
from sealgate_operator.worker.application import Worker
from sealgate_operator.worker.config import WorkerConfig
from tests.operator.environment import PATIENT, api_of, log
from tests.operator.objects import secret
from tests.support.signers.private_keys import new_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.kubernetes.lease import Timing
    from tests.support.simulators.kubernetes import KubernetesSimulator
    from tests.support.simulators.registry import RegistrySimulator

POLICIES = "/apis/sealgate.dev/v1alpha1/signingpolicies"
REQUESTS = "/apis/sealgate.dev/v1alpha1/namespaces/sealgate/signingrequests"
BASELINES = "/apis/sealgate.dev/v1alpha1/namespaces/sealgate/signingbaselines"
SECRETS = "/api/v1/namespaces/sealgate-signing/secrets"
AUTHENTICATORS = "/apis/sealgate.dev/v1alpha1/authenticators"
KEY = new_key("ECDSA P-256", "release")
KEY_PEM = write_private_key(KEY, None)


def settings(*insecure: str, **members: Any) -> dict[str, Any]:
    """Return the worker's settings as the chart writes them."""
    return {
        "metricsListen": "127.0.0.1:0",
        "lease": "sealgate-signing",
        "secretsNamespace": "sealgate-signing",
        "secrets": [{"name": "release-key", "hosts": []}],
        "resyncSeconds": 600,
        "requestRetentionSeconds": 3600,
        "registries": {"insecure": list(insecure), "mirrors": {}, "ca": {}, "dockerConfigSecret": "", "burst": 100},
        "logLevel": "info",
        **members,
    }


class Shop:
    """A cluster, a registry, and the policy `release` for the repositories `shop/*`.

    Attributes:
        cluster: the API server.
        registry: the registry.
    """

    def __init__(self, cluster: KubernetesSimulator, registry: RegistrySimulator) -> None:
        self.cluster = cluster
        self.registry = registry
        cluster.put(SECRETS, secret("release-key", key_pem=KEY_PEM))

    @property
    def host(self) -> str:
        """Host of the registry."""
        return self.registry.host

    def put_policy(self, name: str = "release", **spec: Any) -> dict[str, Any]:
        """Create or change a policy, and return it as stored."""
        images = [{"repository": f"{self.host}/shop/*", "tags": ["v*"]}]
        key = {"secretRef": {"name": "release-key", "key": "key.pem"}}
        document = {"metadata": {"name": name}, "spec": {"images": images, "cosign": {}, "key": key, **spec}}
        before = [obj for obj in self.cluster.find("signingpolicies") if obj["metadata"]["name"] == name]
        if before:
            document = {**before[0], "spec": {**before[0]["spec"], **spec}}
        return self.cluster.put(POLICIES, document)

    def annotate(self, run: str, name: str = "release") -> None:
        """Ask for a manual run."""
        obj = self.cluster.get(f"{POLICIES}/{name}")
        obj["metadata"]["annotations"] = {"sealgate.dev/run": run} if run else {}
        self.cluster.put(POLICIES, obj)

    def request(  # noqa: PLR0913 - the parts of a request
        self,
        repository: str,
        tag: str,
        digest: str,
        *,
        policy: str = "release",
        accepted: str = "",
        generation: int | None = None,
        host: str = "",
    ) -> str:
        """Accept a push as the endpoint does; return the name of the SigningRequest."""
        metadata = self.cluster.get(f"{POLICIES}/{policy}")["metadata"]
        wanted = {"name": policy, "uid": metadata["uid"], "generation": generation or metadata["generation"]}
        named = f"{host or self.host}/{repository}"
        spec = {"policy": wanted, "repository": named, "tag": tag, "digest": digest, "acceptedAt": accepted or now()}
        name = request_name(RequestedPolicy.model_validate(wanted), named, tag, digest)
        self.cluster.put(REQUESTS, {"metadata": {"name": name}, "spec": spec})
        return name

    def state(self, request: str) -> str:
        """Return the state of a request; empty without a status."""
        return str((self.cluster.get(f"{REQUESTS}/{request}").get("status") or {}).get("state", ""))

    def message(self, request: str) -> str:
        """Return the message of a request."""
        return str(self.cluster.get(f"{REQUESTS}/{request}")["status"]["message"])

    def wait_for(self, request: str, state: str) -> None:
        """Return when a request has a state."""
        self.cluster.wait_for(lambda _: self.state(request) == state)

    def wait_until_signed(self, request: str) -> None:
        """Return when the image of a request is signed: for the request, or by a resync that found it first."""
        self.cluster.wait_for(lambda _: self.state(request) in {"Signed", "AlreadySigned"})

    def ended(self, request: str) -> str:
        """Return the time of the push that the status of a request is about; empty while it has not ended."""
        return str((self.cluster.get(f"{REQUESTS}/{request}").get("status") or {}).get("acceptedAt", ""))

    def status(self, name: str = "release") -> dict[str, Any]:
        """Return the status of a policy."""
        return dict(self.cluster.get(f"{POLICIES}/{name}").get("status") or {})

    def wait_for_baseline(self, state: str = "Recorded", name: str = "release") -> None:
        """Return when the baseline of a policy has a state."""
        self.cluster.wait_for(lambda _: (self.status(name).get("baseline") or {}).get("state") == state)

    def wait_for_reason(self, reason: str, name: str = "release") -> None:
        """Return when the condition Ready of a policy has a reason."""
        self.cluster.wait_for(lambda _: self.ready(name).get("reason") == reason)

    def ready(self, name: str = "release") -> dict[str, Any]:
        """Return the condition Ready of a policy."""
        conditions = self.status(name).get("conditions") or []
        return next((each for each in conditions if each["type"] == "Ready"), {})

    def signatures(self, repository: str, digest: str) -> int:
        """Return how many signatures of an image are stored under its tag."""
        stored = self.registry.repositories[repository]
        tag = f"{digest.replace(':', '-')}.sig"
        if tag not in stored.tags:
            return 0
        return len(json.loads(self.registry.manifest(repository, stored.tags[tag])[1])["layers"])


def now() -> str:
    """Return the time as the endpoint writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def later() -> str:
    """Return a time after any baseline that was recorded until now."""
    return "2099-01-01T00:00:00Z"


class Running:
    """A worker in a thread of this process."""

    def __init__(self, shop: Shop, identity: str, timing: Timing, **options: Any) -> None:
        self.worker = Worker(
            WorkerConfig.model_validate(settings(shop.host, *options.pop("insecure", ()), **options)),
            namespace="sealgate",
            identity=identity,
            api=api_of(shop.cluster),
            clock=SystemClock(),
            log=log(),
            timing=timing,
        )
        self.stop = threading.Event()
        self.status: int | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.status = self.worker.run(self.stop)

    def join(self, seconds: float = 150.0) -> int | None:
        """Wait for its end and return its exit status."""
        self._thread.join(seconds)
        return self.status


@contextmanager
def running(shop: Shop, identity: str = "one", timing: Timing = PATIENT, **options: Any) -> Iterator[Running]:
    """Run a worker, and stop it at the end."""
    worker = Running(shop, identity, timing, **options)
    try:
        yield worker
    finally:
        worker.stop.set()
        assert worker.join() is not None
