"""Shared fixtures of the endpoint's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.webhook.events.environment import open_environment, signing_policy, source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.events.environment import EventsEnvironment


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[EventsEnvironment]:
    """An endpoint with one source and one policy, for `shop/*` of its registry."""
    with open_environment([source(tmp_path)], [signing_policy()]) as environment:
        yield environment
