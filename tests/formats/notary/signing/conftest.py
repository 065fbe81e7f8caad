"""A DTR that takes trust data, and sealgate as its writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.notary_signing import NotarySigning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def signing(tmp_path: Path) -> Iterator[NotarySigning]:
    with NotarySigning(tmp_path) as signing:
        yield signing
