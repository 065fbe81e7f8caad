"""What tests of the webhook share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.support.registry_simulator import RegistrySimulator
from tests.webhook.worlds import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The webhook sets up logging for its process, which here is everybody's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def registry() -> Iterator[RegistrySimulator]:
    with RegistrySimulator() as simulator:
        yield simulator


@pytest.fixture
def world(registry: RegistrySimulator, tmp_path: Path) -> Iterator[World]:
    world = World(registry, tmp_path / "policies")
    yield world
    world.close()
