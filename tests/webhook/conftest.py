"""Shared fixtures of the webhook's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.webhook.environment import open_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.environment import WebhookEnvironment
    from tests.webhook.ways import Way


@pytest.fixture(params=["flask", "front"])
def way(request: pytest.FixtureRequest) -> Way:
    """Return the way that requests take to the webhook: both give the same answers."""
    found: Way = request.param
    return found


@pytest.fixture
def environment(tmp_path: Path, way: Way) -> Iterator[WebhookEnvironment]:
    with open_environment(tmp_path, way) as environment:
        yield environment
