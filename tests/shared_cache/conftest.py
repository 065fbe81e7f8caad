from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.real_tools.valkey import ValkeyServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server
