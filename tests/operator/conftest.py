from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.operator.environment import install, wait_for_threads
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as cluster:
        install(cluster)
        yield cluster
        wait_for_threads()
