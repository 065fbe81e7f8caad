"""One changed byte: stored evidence, spoilt at one place and well-formed everywhere else."""

from __future__ import annotations

from base64 import b64decode, b64encode


def change_byte(data: bytes, after: str = "") -> bytes:
    """Return bytes with one bit of one byte changed.

    Args:
        data: not empty.
        after: text in them whose next byte is changed, at its first occurrence; empty for the byte in the middle.
    """
    at = data.index(after.encode()) + len(after.encode()) if after else len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def change_text(text: str, after: str = "") -> str:
    """Return ASCII text with one character changed; see `change_byte`."""
    return change_byte(text.encode("ascii"), after).decode("ascii")


def change_base64(text: str, after: str = "") -> str:
    """Return base64 of bytes of which one is changed; see `change_byte`."""
    return b64encode(change_byte(b64decode(text), after)).decode("ascii")
