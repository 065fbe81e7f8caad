"""A DTR with one signed image in front of the notary format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.notary import NotaryEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def environment() -> Iterator[NotaryEnvironment]:
    with NotaryEnvironment() as environment:
        yield environment
