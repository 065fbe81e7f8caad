"""What tests of the webhook share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.webhook.worlds import open_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.worlds import World


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The webhook sets up logging for its process, which here is everybody's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world
