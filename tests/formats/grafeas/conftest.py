from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.grafeas import GrafeasEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def environment() -> Iterator[GrafeasEnvironment]:
    with GrafeasEnvironment() as environment:
        yield environment


@pytest.fixture(params=["v1", "v1beta1"])
def either(request: pytest.FixtureRequest) -> Iterator[GrafeasEnvironment]:
    """A server of either version of the API."""
    with GrafeasEnvironment(request.param) as environment:
        yield environment
