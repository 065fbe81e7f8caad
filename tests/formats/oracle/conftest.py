from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.oracle import OracleEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def environment() -> Iterator[OracleEnvironment]:
    with OracleEnvironment() as environment:
        yield environment
