"""Tables in one test: hundreds of rows that take microseconds, where a test of its own would take milliseconds each."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def row(*values: object) -> Iterator[None]:
    """Name a row in the failure of its checks, as the ID of a parametrised test does."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the row {', '.join(f'{value!r:.200}' for value in values)}")
        raise
