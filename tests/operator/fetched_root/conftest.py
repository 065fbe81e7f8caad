from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.operator.fetched_root.environment import fetching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.operator.fetched_root.environment import FetchEnvironment
    from tests.support.simulators.kubernetes import KubernetesSimulator


@pytest.fixture
def environment(cluster: KubernetesSimulator) -> Iterator[FetchEnvironment]:
    with fetching(cluster) as environment:
        yield environment
