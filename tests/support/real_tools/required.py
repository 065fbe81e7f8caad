"""Real tools that some tests need; a test without its tool is skipped visibly."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

#: Where CI keeps tools that it builds itself.
TOOLS = Path(os.environ.get("SEALGATE_TOOLS", Path.home() / ".cache" / "sealgate-tools")) / "bin"


def require_tool(name: str) -> str:
    """Return the path of a program; without it skip the test, or fail it in CI, where nothing is skipped."""
    found = shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found:
        return found
    message = f"{name} is not installed, so this test proves nothing here"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
