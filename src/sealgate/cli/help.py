"""What every command's help ends with."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Return an epilog of command lines that work as they stand; tests run every one of them."""
    # \b keeps click from joining the lines into a paragraph.
    return "\b\nExamples:\n" + "\n".join(f"  $ {line}" for line in lines)
