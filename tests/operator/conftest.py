from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sealgate_operator.config import OperatorConfig
from sealgate_operator.metrics import Metrics
from tests.operator.certificates.test_reconciler import Open, reconciler_of
from tests.operator.environment import LEASE, api_of, install, threads_end
from tests.operator.objects import settings
from tests.operator.webhooks.test_enforcement import Replica
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as cluster, threads_end():
        install(cluster)
        yield cluster


@pytest.fixture
def enforced(cluster: KubernetesSimulator) -> None:
    """Make of the cluster one on which an operator has run, with certificates and rules.

    Policies are in force at once. On a new cluster an operator reports first that nothing is enforced yet, and keeps
    that for some seconds.
    """
    config = OperatorConfig.model_validate(settings())
    clock = FakeClock(datetime.now(UTC))
    reconciler_of(cluster, api_of(cluster), config, clock, Open(), Metrics(lambda: True)).reconcile()
    Replica(cluster).reconcile()
    cluster.delete(LEASE)
    cluster.requests.clear()
