"""Text for a terminal, a file or a pipe.

Everything that is printed passes through here as `rich.text.Text`, never as markup: a name that contains
`[red]` or an escape sequence is shown as it is written.
"""

from __future__ import annotations

import io
import sys
from typing import NoReturn, TextIO

from rich.console import Console
from rich.text import Text

#: Lines are folded to the width of a terminal; in a file or a pipe they stay whole, so that they can be searched.
_WIDTH_OF_A_FILE = 1_000_000


class _Console(Console):
    """A console that leaves a closed pipe to the boundary: rich itself would exit with 1, which says "denied"."""

    def on_broken_pipe(self) -> NoReturn:
        """Let the error, which is being handled, go on."""
        raise  # noqa: PLE0704 - rich calls this in its except clause


def output() -> Console:
    """Return the console of standard output: the answer, and nothing else."""
    return _console(sys.stdout)


def notes() -> Console:
    """Return the console of standard error: progress, notes, warnings."""
    return _console(sys.stderr)


def plain(text: object, style: str = "") -> Text:
    """Return text as it may be printed: no markup, no control characters, no change of writing direction.

    Args:
        text: anything; messages that sealgate composed have their foreign parts quoted already, this catches the
            rest without quoting twice.
        style: a rich style.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
    return Text(shown, style=style)


def _console(stream: TextIO | None) -> Console:
    file = stream or io.StringIO()  # None: closed by whoever started us
    terminal = file.isatty()
    return _Console(
        file=file,
        force_terminal=terminal,  # FORCE_COLOR and the like do not put colours into a file
        width=None if terminal else _WIDTH_OF_A_FILE,
        highlight=False,
        markup=False,
        emoji=False,
    )
