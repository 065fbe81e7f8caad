from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.operator.environment import threads_end
from tests.operator.worker.environment import Shop
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def shop() -> Iterator[Shop]:
    with KubernetesSimulator() as cluster, RegistrySimulator() as registry, threads_end():
        yield Shop(cluster, registry)
