"""A registry with one image, new for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.cosign import Stand

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stand() -> Iterator[Stand]:
    with Stand() as made:
        yield made


@pytest.fixture(params=[True, False], ids=["referrers API", "fallback tag"])
def either_stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Once with the referrers API and once without."""
    with Stand(referrers_api=request.param) as made:
        yield made
