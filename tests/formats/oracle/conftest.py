from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.oracle import OracleStand

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stand() -> Iterator[OracleStand]:
    with OracleStand() as stand:
        yield stand
