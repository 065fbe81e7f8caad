from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.webhook.reports.environment import ReportEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def environment() -> Iterator[ReportEnvironment]:
    with ReportEnvironment() as environment:
        yield environment
