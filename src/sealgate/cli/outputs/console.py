"""Consoles for a terminal, a file or a pipe.

All output is printed as `rich.text.Text`, never as markup: a name that contains `[red]` or an escape sequence is shown
literally.
"""

from __future__ import annotations

import io
import sys
from typing import NoReturn, TextIO

from rich.console import Console
from rich.text import Text

#: Lines are folded to the width of a terminal only; in a file or a pipe they stay whole, so that grep finds them.
_WIDTH_OF_A_FILE = 1_000_000


class _Console(Console):
    """A console that raises `BrokenPipeError`: rich itself would exit with 1, which means "denied"."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise the error that is being handled, so that `boundary.run` sees it."""
        raise  # noqa: PLE0704 - rich calls this in its except clause


def output() -> Console:
    """Return the console of standard output, which is for results only."""
    return _console(sys.stdout)


def notes() -> Console:
    """Return the console of standard error, which is for progress, notes and warnings."""
    return _console(sys.stderr)


def plain(text: object, style: str = "") -> Text:
    """Return text that is safe to print: no markup, no control characters, no change of writing direction.

    Args:
        text: any value; its `str` is printed. Text that `quote` has escaped already is not escaped again.
        style: a rich style; empty for none.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
    return Text(shown, style=style)


def _console(stream: TextIO | None) -> Console:
    file = stream or io.StringIO()  # None if the parent process has closed it
    terminal = file.isatty()
    return _Console(
        file=file,
        force_terminal=terminal,  # FORCE_COLOR and the like do not put colours into a file
        width=None if terminal else _WIDTH_OF_A_FILE,
        highlight=False,
        markup=False,
        emoji=False,
    )
