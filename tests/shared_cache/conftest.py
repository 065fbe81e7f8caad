from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.shared_cache import flights
from tests.shared_cache.environment import PATIENCE
from tests.support.real_tools.valkey import ValkeyServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def long_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have leases last so long that no busy machine stops their owner until their end."""
    monkeypatch.setattr(flights, "LEASE_SECONDS", PATIENCE)
