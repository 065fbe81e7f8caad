from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.operator.worlds import install, wait_for_threads
from tests.support.kubernetes_simulator import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The operator sets up logging for its process, which here is everybody's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as cluster:
        install(cluster)
        yield cluster
        wait_for_threads()
