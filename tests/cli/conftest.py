from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.shop import Shop, open_shop
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolate the tests from the credentials and settings of the current user."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    docker = ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE")
    for name in (*docker, "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "SEALGATE_POLICIES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def registry() -> Iterator[RegistrySimulator]:
    with RegistrySimulator() as simulator:
        yield simulator


@pytest.fixture
def shop(registry: RegistrySimulator, tmp_path: Path) -> Shop:
    return open_shop(registry, tmp_path)
