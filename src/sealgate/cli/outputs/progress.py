"""The progress bar of commands that work on many images."""

from __future__ import annotations

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sealgate.cli.outputs import console

#: The fewest images for which a progress bar is shown.
MIN_PROGRESS_IMAGES = 4


#: Columns of a long run: the time that is left, and the task's fields `rate` (a minute) and `failed`.
LONG_RUN: tuple[ProgressColumn, ...] = (
    TimeRemainingColumn(),
    TextColumn("{task.fields[rate]} a minute, {task.fields[failed]} failed"),
)


def progress_bar(doing: str, total: int | None, more: tuple[ProgressColumn, ...] = ()) -> Progress:
    """Return a bar on standard error that disappears at the end; it shows nothing if that is not a terminal.

    Args:
        doing: what the command does ("verifying").
        total: number of images; fewer than `MIN_PROGRESS_IMAGES` get no bar. None while it is not known.
        more: further columns.
    """
    notes = console.notes()
    return Progress(
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *more,
        console=notes,
        transient=True,
        disable=not notes.is_terminal or (total is not None and total < MIN_PROGRESS_IMAGES),
    )
