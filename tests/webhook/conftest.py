"""Shared fixtures of the webhook's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.webhook.environment import open_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.environment import WebhookEnvironment


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[WebhookEnvironment]:
    with open_environment(tmp_path) as environment:
        yield environment
