"""A registry with one image, new for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.notation import NotationEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def environment() -> Iterator[NotationEnvironment]:
    with NotationEnvironment() as made:
        yield made
