"""A registry with one image, new for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.cosign import CosignEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def environment() -> Iterator[CosignEnvironment]:
    with CosignEnvironment() as made:
        yield made


@pytest.fixture(params=[True, False], ids=["referrers API", "fallback tag"])
def either_environment(request: pytest.FixtureRequest) -> Iterator[CosignEnvironment]:
    """Once with the referrers API and once without."""
    with CosignEnvironment(referrers_api=request.param) as made:
        yield made
