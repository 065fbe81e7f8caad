from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.simple_signing import SimpleStand

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stand() -> Iterator[SimpleStand]:
    with SimpleStand() as stand:
        yield stand
