"""Imports without optional parts of a library, which would take memory for the life of the process."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Make imports of modules fail with `ModuleNotFoundError` meanwhile, as if they were not installed.

    For libraries that import something only where it is installed, and work without it. A module that has been imported
    before stays as it is. Not for threads: an import in another one would fail too.

    Args:
        names: full names of the modules.
    """
    absent = [name for name in names if name not in sys.modules]
    # An entry that is None ends an import (Python language reference, section 5.3.1).
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type] # the type knows modules only
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
