from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.grafeas import GrafeasStand

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stand() -> Iterator[GrafeasStand]:
    with GrafeasStand() as stand:
        yield stand


@pytest.fixture(params=["v1", "v1beta1"])
def either(request: pytest.FixtureRequest) -> Iterator[GrafeasStand]:
    """A server of either version of the API."""
    with GrafeasStand(request.param) as stand:
        yield stand
