"""The endpoint with its environment: an API server, Secrets of sources in folders, a client of the Flask app.

Everything is real but the API server (`KubernetesSimulator`) and, where a test wants to move it, the clock.
"""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubernetes.client.configuration import Configuration

from sealgate.clocks import SystemClock
from sealgate.http.client import HTTPClient
from sealgate.http.dns import SystemResolver
from sealgate.http.settings import HostSettings
from sealgate.kubernetes.client import KubernetesAPI
from sealgate.process.logs import configure_logs
from sealgate_webhook.events.app import EventsApp
from sealgate_webhook.events.authentication import SourceSecrets
from sealgate_webhook.events.config import EventsConfig
from sealgate_webhook.events.confirmations import Confirmations
from sealgate_webhook.events.intake import Intake
from sealgate_webhook.events.metrics import EventMetrics
from sealgate_webhook.events.policies import PATH as POLICIES
from sealgate_webhook.events.policies import SigningPolicies
from sealgate_webhook.events.requests import SigningRequests
from tests.kubernetes.conftest import running
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.webhook.events.bodies import REGISTRY, docker_body
from tests.webhook.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from sealgate.clocks import Clock
    from sealgate.http.dns import Resolver

NAMESPACE = "sealgate"
REQUESTS = f"/apis/sealgate.dev/v1alpha1/namespaces/{NAMESPACE}/signingrequests"
TOKEN = "a-token-of-a-registry"  # noqa: S105 - of a test
PASSWORD = "a-password-of-a-registry"  # noqa: S105 - of a test


def signing_policy(name: str = "shop", *repositories: str, **spec: Any) -> dict[str, Any]:
    """Return a SigningPolicy for repositories, `REGISTRY/shop/*` by default."""
    images = [{"repository": repository} for repository in repositories or (f"{REGISTRY}/shop/*",)]
    return {
        "apiVersion": "sealgate.dev/v1alpha1",
        "kind": "SigningPolicy",
        "metadata": {"name": name},
        "spec": {"images": images, "cosign": {}, "key": {"secretRef": {"name": "key", "key": "key.pem"}}, **spec},
    }


def source(folder: Path, name: str = "shop", auth: str = "bearer", **fields: Any) -> dict[str, Any]:
    """Return the settings of a source, and write its Secret below a folder."""
    secret = folder / name
    secret.mkdir(parents=True, exist_ok=True)
    for key, content in (("token", TOKEN), ("username", "registry"), ("password", PASSWORD)):
        (secret / key).write_text(content)
    return {
        "name": name,
        "kind": "docker",
        "registry": REGISTRY,
        "auth": auth,
        "secretDirectory": str(secret),
        **fields,
    }


@dataclass
class EventsEnvironment:
    """A running endpoint.

    Attributes:
        cluster: the API server.
        client: of the application.
        metrics: the endpoint's.
        output: the log.
        secrets: of the sources.
        requests: the SigningRequests, as the endpoint sees them.
    """

    cluster: KubernetesSimulator
    client: FlaskClient
    metrics: EventMetrics
    output: io.StringIO
    secrets: SourceSecrets
    requests: SigningRequests

    def send(
        self,
        body: bytes | None = None,
        path: str = "/events/shop",
        token: str = TOKEN,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """Send a body, by default one push that the default policy covers."""
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        return self.client.post(path, data=docker_body() if body is None else body, headers=sent)

    def stored(self) -> list[dict[str, Any]]:
        """Return all SigningRequests."""
        return self.cluster.find("signingrequests")

    def end(self, request: dict[str, Any], state: str = "Signed") -> None:
        """End a request as the worker does, and wait until the endpoint has seen it."""
        before = self.requests.waiting()
        status = {"state": state, "acceptedAt": request["spec"]["acceptedAt"]}
        self.cluster.put(REQUESTS, {**request, "status": status})
        eventually(lambda: self.requests.waiting() < before)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the log about an event."""
        lines = [json.loads(line) for line in self.output.getvalue().splitlines()]
        return [line for line in lines if line["msg"] == event]

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a metric; 0 if it has none yet."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def open_environment(
    sources: Sequence[dict[str, Any]],
    policies: Sequence[dict[str, Any]] = (),
    *,
    max_waiting: int = 1000,
    clock: Clock | None = None,
    resolver: Resolver | None = None,
    needs_certificate: bool = False,
    store_seconds: float = 30.0,
    start: bool = True,
) -> Iterator[EventsEnvironment]:
    """Start an endpoint that has read all policies and requests, or, without `start`, none."""
    clock, output, metrics = clock or SystemClock(), io.StringIO(), EventMetrics()
    log = configure_logs("json", output)
    config = EventsConfig.model_validate({"sources": list(sources), "maxWaiting": max_waiting})
    secrets = SourceSecrets(config.sources, log)
    with KubernetesSimulator() as cluster:
        for policy in policies:
            cluster.put(POLICIES, policy)
        api = KubernetesAPI(Configuration(host=cluster.url))
        watched = SigningPolicies(api, clock, metrics, log)
        requests = SigningRequests(api, NAMESPACE, config.max_waiting, clock, log)
        metrics.count_waiting(requests.waiting)
        http = HTTPClient(HostSettings(), clock, resolver or SystemResolver(clock), None)
        confirmations = Confirmations(http, clock)
        intake = Intake(watched, requests, confirmations, clock, metrics, log, store_seconds=store_seconds)
        app = EventsApp(secrets, intake, clock, metrics, log, needs_certificate=needs_certificate).flask()
        with running((watched.run, requests.run) if start else (), cluster):
            if start:
                cluster.wait_for(lambda simulator: simulator.watches_begun >= 2)
            yield EventsEnvironment(cluster, app.test_client(), metrics, output, secrets, requests)
