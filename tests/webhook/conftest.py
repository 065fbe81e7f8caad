"""What tests of the webhook share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.webhook.environment import open_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.environment import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world
