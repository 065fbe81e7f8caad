"""The observer: one reading of the webhook configurations for the guard and for enforcement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate import self_test
from sealgate_operator.config import OperatorConfig
from sealgate_operator.webhooks.observer import Observer
from tests.operator.certificates.test_reconciler import keeper
from tests.operator.environment import CONFIG_MAPS, ENFORCED, SELF_TEST, api_of, enforcing
from tests.operator.objects import settings
from tests.operator.webhooks.test_enforcement import Replica
from tests.operator.webhooks.test_guard import Watched
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault

if TYPE_CHECKING:
    from tests.support.simulators.kubernetes import KubernetesSimulator


class Observed:
    """The guard and the enforcement of one replica, and their observer."""

    def __init__(self, cluster: KubernetesSimulator) -> None:
        self.watched, self.replica = Watched(cluster), Replica(cluster)
        config_map = OperatorConfig.model_validate(settings()).webhooks
        readers = (self.watched.guard, self.replica.enforcement)
        self._observer = Observer(api_of(cluster), "sealgate", config_map, readers)

    def observe(self) -> None:
        self._observer.observe()


@pytest.fixture
def certified(cluster: KubernetesSimulator) -> KubernetesSimulator:
    """A cluster whose webhook has a certificate, which the API server trusts."""
    keeper(cluster, FakeClock()).reconcile()
    return cluster


def test_configurations_are_read_once_for_both(certified: KubernetesSimulator) -> None:
    observed = Observed(certified)
    observed.observe()
    assert enforcing(certified)
    certified.requests.clear()
    observed.observe()
    assert observed.watched.condition.holds is True
    read = [request.path for request in certified.requests]
    config_map = OperatorConfig.model_validate(settings()).webhooks
    for path in (f"{CONFIG_MAPS}/{config_map}", SELF_TEST, *ENFORCED):
        assert read.count(path) == 1, path


def test_rules_are_applied_while_the_guard_cannot_ask(certified: KubernetesSimulator) -> None:
    certified.faults.append(Fault("GET", r"/verificationpolicies\?limit=1", 500))
    observed = Observed(certified)
    observed.observe()
    assert enforcing(certified)
    assert observed.watched.guard.condition() is None


def test_guard_reports_while_the_rules_cannot_be_applied(certified: KubernetesSimulator) -> None:
    failed = "Internal error occurred: failed calling webhook"
    certified.admission = lambda obj: failed if self_test.LABEL in obj["metadata"].get("labels", {}) else ""
    observed = Observed(certified)
    observed.observe()
    assert not observed.replica.ready
    assert "self-test" in observed.replica.enforcement.problem()
    assert observed.watched.problems == {"RulesNotInPlace"}


def test_unreadable_configurations_are_reported_by_both(certified: KubernetesSimulator) -> None:
    certified.faults.append(Fault("GET", SELF_TEST, 500))
    observed = Observed(certified)
    observed.observe()
    assert "500" in observed.replica.enforcement.problem()
    for metrics, kind in ((observed.watched.metrics, "guard"), (observed.replica.metrics, "rules")):
        assert metrics.registry.get_sample_value("sealgate_operator_reconcile_errors_total", {"kind": kind}) == 1
