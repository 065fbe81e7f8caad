"""What tests of the webhook share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.registry_simulator import RegistrySimulator
from tests.webhook.worlds import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def registry() -> Iterator[RegistrySimulator]:
    with RegistrySimulator() as simulator:
        yield simulator


@pytest.fixture
def world(registry: RegistrySimulator, tmp_path: Path) -> Iterator[World]:
    world = World(registry, tmp_path / "policies")
    yield world
    world.close()
