from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from sealgate.errors import UnavailableError
from sealgate.kubernetes.client import KubernetesAPI
from sealgate.kubernetes.lease import NotLeadingError
from sealgate_operator.certificates.reconciler import CertificateReconciler
from sealgate_operator.certificates.rotation import LEAF, LEAF_BUNDLE, OLD
from sealgate_operator.config import OperatorConfig
from sealgate_operator.events import Events
from sealgate_operator.metrics import Metrics
from tests.operator.certificates.test_rotation import verify
from tests.operator.environment import (
    CA_SECRET,
    CONFIG_MAPS,
    MUTATING,
    PODS,
    POLICY_OBJECTS,
    TLS_SECRET,
    VALIDATING,
    WORKLOADS,
    api_of,
    bundles,
    chart_webhook,
    data,
    log,
    release,
)
from tests.operator.objects import settings
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault
from tests.support.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.kubernetes.lease import Fence
    from tests.support.simulators.kubernetes import KubernetesSimulator

#: A CA for an hour, certificates for half of one; three minutes to settle.
HOURS = {"managed": True, "caLifetimeHours": 1.0, "leafLifetimeHours": 0.5}


class Open:
    def check(self) -> None:
        """Every replica may write."""


class Closed:
    def check(self) -> None:
        raise NotLeadingError("another replica may be at work")


class KilledError(BaseException):
    """The process is gone."""


class Mortal(KubernetesAPI):
    """An API server connection of a process that is killed right after so many writes."""

    def __init__(self, cluster: KubernetesSimulator, writes: int) -> None:
        super().__init__(api_of(cluster).configuration)
        self.writes = writes

    def merge(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        answer = super().merge(path, document)
        self._die()
        return answer

    def apply(self, path: str, document: Mapping[str, Any], manager: str) -> dict[str, Any]:
        answer = super().apply(path, document, manager)
        self._die()
        return answer

    def _die(self) -> None:
        self.writes -= 1
        if self.writes == 0:
            raise KilledError


def keeper(cluster: KubernetesSimulator, clock: FakeClock, api: KubernetesAPI | None = None) -> CertificateReconciler:
    config = OperatorConfig.model_validate(settings(certificates=HOURS))
    return reconciler_of(cluster, api or api_of(cluster), config, clock, Open(), Metrics(lambda: True))


def reconciler_of(
    cluster: KubernetesSimulator,
    api: KubernetesAPI,
    config: OperatorConfig,
    clock: FakeClock,
    fence: Fence,
    metrics: Metrics,
) -> CertificateReconciler:
    events = Events(api_of(cluster), "sealgate-operator", "one", clock, metrics, log())
    return CertificateReconciler(
        api, config, "sealgate", clock=clock, fence=fence, events=events, metrics=metrics, log=log()
    )


def check(cluster: KubernetesSimulator, clock: FakeClock) -> None:
    for bundle in bundles(cluster):
        verify(bundle, data(cluster, TLS_SECRET)[LEAF], clock.now())


def test_empty_secrets_and_configurations_are_filled(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    keeper(cluster, clock).reconcile()
    check(cluster, clock)
    assert bundles(cluster) == {data(cluster, TLS_SECRET)[LEAF_BUNDLE]}


def test_second_reconciliation_writes_nothing(cluster: KubernetesSimulator) -> None:
    kept = keeper(cluster, FakeClock())
    kept.reconcile()
    cluster.requests.clear()
    kept.reconcile()
    assert {request.method for request in cluster.requests} == {"GET"}


@pytest.mark.parametrize("writes", range(1, 12))
def test_killed_reconciler_is_resumed_by_another(cluster: KubernetesSimulator, writes: int) -> None:
    clock = FakeClock()
    api = Mortal(cluster, writes)
    kept = keeper(cluster, clock, api)
    killed = False
    # Two whole rotations of the CA, with a reconciliation every two minutes.
    for _ in range(45):
        try:
            kept.reconcile()
        except KilledError:
            killed = True
            kept = keeper(cluster, clock)
            clock.advance(20)
            kept.reconcile()
        check(cluster, clock)
        clock.advance(120)
    assert killed
    (bundle,) = bundles(cluster)
    assert OLD not in data(cluster, CA_SECRET)
    assert len(x509.load_pem_x509_certificates(bundle)) == 1


def test_emptied_bundle_is_restored_at_the_next_reconciliation(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    kept = keeper(cluster, clock)
    kept.reconcile()
    before = bundles(cluster)
    workloads, policies = cluster.get(WORKLOADS), cluster.get(POLICY_OBJECTS)
    policies["webhooks"][0]["clientConfig"]["caBundle"] = "Cg=="
    del workloads["webhooks"][0]["clientConfig"]["caBundle"]
    cluster.put(VALIDATING, workloads)
    cluster.put(VALIDATING, policies)
    kept.reconcile()
    assert bundles(cluster) == before


def test_data_that_is_not_base64_counts_as_empty(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    secret = cluster.get(TLS_SECRET)
    cluster.put(TLS_SECRET.rpartition("/")[0], {**secret, "data": {LEAF: "!"}})
    keeper(cluster, clock).reconcile()
    check(cluster, clock)


def test_missing_configuration_does_not_block_others(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    cluster.delete(PODS)
    kept = keeper(cluster, clock)
    kept.reconcile()
    assert LEAF in data(cluster, TLS_SECRET)
    assert not any(request.path.startswith(MUTATING) for request in cluster.requests if request.method != "GET")
    cluster.put(MUTATING, chart_webhook(PODS))
    kept.reconcile()
    check(cluster, clock)


def test_release_with_external_certificates_gets_none(cluster: KubernetesSimulator) -> None:
    cluster.put(CONFIG_MAPS, release(managedCertificates=False))
    keeper(cluster, FakeClock()).reconcile()
    assert {request.method for request in cluster.requests} == {"GET"}
    assert bundles(cluster) == {b""}


def test_concurrently_changed_configuration_is_not_patched(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    kept = keeper(cluster, clock)
    cluster.faults.append(Fault("PATCH", "validatingwebhookconfigurations", 422, times=1))
    with pytest.raises(UnavailableError, match="422"):
        kept.reconcile()
    kept.reconcile()
    check(cluster, clock)


def test_two_reconcilers_at_once_do_not_mix_their_cas(cluster: KubernetesSimulator) -> None:
    """One reconciler continues with data that it read before the write of the other."""
    clock = FakeClock()

    class Interrupted(KubernetesAPI):
        def merge(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
            keeper(cluster, clock).reconcile()
            return super().merge(path, document)

    slow = keeper(cluster, clock, Interrupted(api_of(cluster).configuration))
    with pytest.raises(UnavailableError, match="409"):
        slow.reconcile()
    check(cluster, clock)


def test_a_changed_bundle_is_restored_and_reported(cluster: KubernetesSimulator) -> None:
    clock = FakeClock()
    kept = keeper(cluster, clock)
    kept.reconcile()
    assert cluster.find("events") == []
    changed = cluster.get(WORKLOADS)
    changed["webhooks"][0]["clientConfig"]["caBundle"] = "TUE9PQ=="
    cluster.put(VALIDATING, changed)
    kept.reconcile()
    check(cluster, clock)
    (event,) = cluster.find("events")
    assert (event["reason"], event["involvedObject"]["name"]) == ("CABundleChanged", "sealgate-workloads")


def test_replica_without_the_lease_does_not_write(cluster: KubernetesSimulator) -> None:
    config = OperatorConfig.model_validate(settings())
    kept = reconciler_of(cluster, api_of(cluster), config, FakeClock(), Closed(), Metrics(lambda: False))
    with pytest.raises(NotLeadingError):
        kept.reconcile()
    assert {request.method for request in cluster.requests} == {"GET"}


def test_reconciliation_that_does_not_converge_stops(cluster: KubernetesSimulator) -> None:
    class Undone(KubernetesAPI):
        def apply(self, path: str, document: Mapping[str, Any], manager: str) -> dict[str, Any]:
            answer = super().apply(path, document, manager)
            cluster.put(path.rpartition("/")[0], chart_webhook(path))
            return answer

    with pytest.raises(UnavailableError, match="does not converge"):
        keeper(cluster, FakeClock(), Undone(api_of(cluster).configuration)).reconcile()


def test_failures_are_reported_and_retried(cluster: KubernetesSimulator, capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    cluster.faults.append(Fault("GET", "secrets", 500, times=2))
    config = OperatorConfig.model_validate(
        settings(certificates={"managed": True, "caLifetimeHours": 0.1, "leafLifetimeHours": 0.01})
    )
    metrics = Metrics(lambda: True)
    kept = reconciler_of(cluster, api_of(cluster), config, clock, Open(), metrics)
    assert timedelta(seconds=kept.pause) < timedelta(seconds=1)
    with in_thread(kept.run):
        cluster.wait_for(lambda _: LEAF in data(cluster, TLS_SECRET))
    assert metrics.registry.get_sample_value("sealgate_operator_reconcile_errors_total", {"kind": "certificates"}) == 2
    written = capsys.readouterr()
    assert "PRIVATE KEY" not in written.out + written.err
