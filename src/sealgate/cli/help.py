"""Epilog of every command's help."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Return an epilog of command lines that work unchanged; tests run each of them."""
    # \b keeps click from joining the lines into a paragraph.
    return "\b\nExamples:\n" + "\n".join(f"  $ {line}" for line in lines)
