"""What all tests share."""

from __future__ import annotations

#: Longer texts are keys, signatures and documents, and not what anybody calls a test.
MAX_TEXT = 100


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name tests after their arguments only where those are the same in every run and every process."""
    if isinstance(val, bytes | bytearray) or (isinstance(val, str) and len(val) > MAX_TEXT):
        return argname
    return None
