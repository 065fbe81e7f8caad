"""The counts of the webhook's replicas, read by the operator: real counters behind real sockets."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from sealgate.api.v1alpha1.status import PolicyActivity
from sealgate.policies.policy_counts import MAX_BYTES
from sealgate.process.metrics_server import MetricsServer, metrics_app
from sealgate.process.serving.asgi import respond
from sealgate_operator.controller import replicas
from sealgate_operator.controller.replica_counts import MAX_WRITES, READ_SECONDS, WRITE_SECONDS, ReplicaReader
from sealgate_operator.controller.replicas import MAX_ADDRESSES, Replicas
from sealgate_operator.controller.resources import POLICY
from sealgate_operator.controller.store import ObjectStore
from sealgate_operator.controller.work_queue import WorkQueue
from sealgate_operator.metrics import Metrics
from sealgate_webhook.counters import PolicyCounters, with_policy_counts
from tests.operator.environment import POLICIES, api_of, log, running
from tests.operator.objects import policy
from tests.support.builders.verdicts import verdict
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.process.serving.asgi import ASGIApplication, Receive, Scope, Send
    from tests.support.simulators.kubernetes import KubernetesSimulator

SLICES = "/apis/discovery.k8s.io/v1/namespaces/sealgate/endpointslices"
DENIED = verdict("nginx", unmet="p")


@contextmanager
def served(app: ASGIApplication) -> Iterator[int]:
    """Serve an application as the webhook serves its metrics; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = MetricsServer(listener, app, log())
    try:
        yield listener.getsockname()[1]
    finally:
        server.close()


def sending(body: bytes, status: int = 200) -> ASGIApplication:
    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, status, body, b"application/json")

    return answer


class Environment:
    """A reader, replicas, and the policies `p` and `q`."""

    def __init__(self, cluster: KubernetesSimulator, stack: ExitStack) -> None:
        self.cluster = cluster
        self.clock = FakeClock()
        self.store = ObjectStore()
        self.queue = WorkQueue(self.clock)
        reading = Replicas(api_of(cluster), "sealgate", "sealgate-webhook", self.clock)
        metrics = Metrics(lambda: True)
        self.reader = ReplicaReader(reading, self.store, self.queue, self.clock, metrics, log())
        self._stack = stack
        self._ports: dict[str, int] = {}
        for name in ("p", "q"):
            self.put(policy(name))

    def put(self, obj: dict[str, Any]) -> None:
        version = self.store.newest(POLICY) + 1
        self.store.put(POLICY, {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}})

    def add(self, name: str, app: ASGIApplication | None = None) -> PolicyCounters:
        """Start a replica, by default one that counts."""
        counters = PolicyCounters(self.clock, lambda: {"p", "q"})
        application = app or with_policy_counts(metrics_app(CollectorRegistry()), counters)
        self._ports[name] = self._stack.enter_context(served(application))
        self._write_slices()
        return counters

    def remove(self, name: str) -> None:
        del self._ports[name]
        self._write_slices()

    def _write_slices(self) -> None:
        for found in self.cluster.find("endpointslices"):
            self.cluster.delete(f"{SLICES}/{found['metadata']['name']}")
        for name, port in self._ports.items():
            self.cluster.put(SLICES, endpoint_slice(name, port))

    def read(self, seconds: float = READ_SECONDS) -> list[str]:
        """Let time pass, read, and return the policies that are to be written."""
        self.clock.advance(seconds)
        self.reader.read()
        found = []
        while len(self.queue):
            key = self.queue.take()
            assert key is not None
            self.queue.done(key)
            found.append(key.name)
            status = {"activity": None if (a := self.activity(key.name)) is None else a.model_dump(by_alias=True)}
            self.put(policy(key.name) | {"status": status})
        return sorted(found)

    def activity(self, name: str = "p", before: PolicyActivity | None = None) -> PolicyActivity | None:
        return self.reader.activity(name, before)

    def denials(self) -> int:
        found = self.activity()
        assert found is not None
        return found.denials


def endpoint_slice(name: str, port: int, *addresses: str, service: str = "sealgate-webhook") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]} for address in addresses or ("127.0.0.1",)],
        "ports": [{"name": "https", "port": 1}, {"name": "metrics", "port": port}],
    }


@pytest.fixture
def environment(cluster: KubernetesSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    # So long that no busy machine is too slow for a response.
    monkeypatch.setattr(replicas, "RESPONSE_SECONDS", 150.0)
    with ExitStack() as stack:
        yield Environment(cluster, stack)


def test_counts_of_all_replicas_reach_the_policy(environment: Environment) -> None:
    one, two = environment.add("one"), environment.add("two")
    one.decided([DENIED], dry_run=False)
    two.decided([DENIED], dry_run=False)
    two.decided([DENIED], dry_run=True)
    assert environment.read() == ["p", "q"]
    found = environment.activity()
    assert found is not None
    assert (found.images, found.denials, found.dry_run_denials) == ("1", 2, 1)
    assert environment.activity("q") == PolicyActivity(images="0", denials=0)


def test_a_status_is_written_once_a_minute_and_only_if_it_changed(environment: Environment) -> None:
    counters = environment.add("one")
    counters.decided([DENIED], dry_run=False)
    assert environment.read() == ["p", "q"]
    assert environment.read() == []
    counters.decided([DENIED], dry_run=False)
    assert environment.read() == []
    assert environment.denials() == 1
    assert environment.read(WRITE_SECONDS) == ["p"]
    assert environment.denials() == 2


def test_a_replica_that_was_restarted_is_another_one(environment: Environment) -> None:
    environment.add("one").decided([DENIED, DENIED], dry_run=False)
    environment.read()
    environment.remove("one")
    environment.add("one").decided([DENIED], dry_run=False)
    environment.read(WRITE_SECONDS)
    assert environment.denials() == 3


def test_a_replica_that_is_gone_keeps_what_it_counted_for_an_hour(environment: Environment) -> None:
    environment.add("one").decided([DENIED], dry_run=False)
    environment.add("two")
    environment.read()
    environment.remove("one")
    environment.read(1800)
    assert environment.denials() == 1
    environment.read(1800)
    assert environment.denials() == 0


def test_numbers_stay_for_an_hour_without_replicas(environment: Environment) -> None:
    shown = PolicyActivity(images="3", denials=7)
    environment.put(policy("p") | {"status": {"activity": shown.model_dump(by_alias=True)}})
    assert environment.read() == []
    assert environment.activity("p", shown) == shown
    assert environment.read(3600) == ["p"]
    assert environment.activity("p", shown) is None


def test_writes_of_many_policies_are_spread(environment: Environment) -> None:
    environment.add("one")
    for number in range(1000):
        environment.put(policy(f"policy-{number}"))
    written = [environment.read() for _ in range(8)]
    assert [len(names) for names in written] == [MAX_WRITES] * 8
    assert len({name for names in written for name in names}) == 8 * MAX_WRITES


@pytest.mark.parametrize(
    "app",
    [sending(b"{}"), sending(b"x" * (MAX_BYTES + 1)), sending(b"[" * 10_000), sending(b"{}", 500)],
    ids=["another form", "too large", "nested", "an error"],
)
def test_what_is_not_a_replica_changes_nothing(environment: Environment, app: ASGIApplication) -> None:
    environment.add("a-forged", app)
    environment.add("one").decided([DENIED], dry_run=False)
    assert environment.read() == ["p", "q"]
    assert environment.denials() == 1


def test_only_addresses_of_the_service_are_asked(cluster: KubernetesSimulator) -> None:
    reading = Replicas(api_of(cluster), "sealgate", "sealgate-webhook", FakeClock())
    cluster.put(SLICES, endpoint_slice("other", 8080, "10.0.0.9", service="other"))
    cluster.put(SLICES, endpoint_slice("ours", 8080, "10.0.0.1", "fd00::1", "evil.example.org", "10.0.0.1"))
    assert sorted(reading.addresses()) == ["10.0.0.1:8080", "[fd00::1]:8080"]
    cluster.put(SLICES, endpoint_slice("many", 8080, *(f"10.0.1.{number}" for number in range(200))))
    assert len(reading.addresses()) == MAX_ADDRESSES


def test_operator_writes_the_counts_into_the_status(cluster: KubernetesSimulator) -> None:
    cluster.put(POLICIES, policy("p"))
    counters = PolicyCounters(FakeClock(), lambda: {"p"})
    counters.decided([DENIED], dry_run=False)
    with served(with_policy_counts(metrics_app(CollectorRegistry()), counters)) as port:
        cluster.put(SLICES, endpoint_slice("ours", port))
        with running(cluster):
            cluster.wait_for(lambda c: (c.get(f"{POLICIES}/p").get("status") or {}).get("activity"))
    activity = cluster.get(f"{POLICIES}/p")["status"]["activity"]
    assert (activity["images"], activity["denials"]) == ("1", 1)
    assert activity["lastDenial"]
