from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.simple_signing import SimpleSigningEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def environment() -> Iterator[SimpleSigningEnvironment]:
    with SimpleSigningEnvironment() as environment:
        yield environment
