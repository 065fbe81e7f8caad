from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kubernetes.client.configuration import Configuration

from sealgate.kubernetes.client import KubernetesAPI
from sealgate.process.logs import configure_logs
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.typing import FilteringBoundLogger


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as cluster:
        yield cluster


@pytest.fixture
def api(cluster: KubernetesSimulator) -> KubernetesAPI:
    return KubernetesAPI(Configuration(host=cluster.url))


@pytest.fixture
def log() -> FilteringBoundLogger:
    return configure_logs("json")
