"""What was measured, beside the floor that it must reach and the aim that it should."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


_BEGIN, _END = "<!-- results -->", "<!-- end of results -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One number.

    Attributes:
        what: what was measured.
        value: the number.
        unit: its unit.
        least: floor: the least that it must be; None for no such floor.
        most: floor: the most that it may be.
        aim: what it should reach, on the same side as the floor; None for no aim.
    """

    what: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None
    aim: float | None = None

    @property
    def good(self) -> bool:
        """Whether the floor is reached."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def reached(self) -> bool:
        """Whether the aim is reached, or there is none."""
        if self.aim is None:
            return True
        return self.value >= self.aim if self.least is not None else self.value <= self.aim


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows; a floor that is missed is red, an aim that is missed yellow."""
    table = Table(title=f"sealgate, {os.cpu_count()} cores, load generator and registry on the same machine")
    for column in ("what", "measured", "floor", "aim"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in rows:
        sign = ">=" if row.least is not None else "<="
        floor = row.least if row.least is not None else row.most
        shown = "" if floor is None else f"{sign} {floor:g}"
        aim = "" if row.aim is None else f"{sign} {row.aim:g}"
        table.add_row(
            row.what,
            f"{_shown(row.value)} {row.unit}",
            shown if row.good else f"[red]{shown} missed[/red]",
            aim if row.reached else f"[yellow]{aim} missed[/yellow]",
        )
    Console(width=120).print(table)


def write_results(path: Path, rows: Sequence[Row], curves: Mapping[str, Any], seconds: float) -> None:
    """Write everything that was measured as JSON.

    Args:
        path: the file; its folder is created.
        rows: the table.
        curves: points by name of the curve.
        seconds: that the measurement took.
    """
    path.parent.mkdir(exist_ok=True)
    document = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
        "seconds": round(seconds),
        "rows": [{**asdict(row), "good": row.good, "reached": row.reached} for row in rows],
        "curves": curves,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def document_rows(path: Path, rows: Sequence[Row]) -> None:
    """Replace the table between the marks in a page of the documentation by the rows."""
    before, begin, rest = path.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise SystemExit(f"{path} lacks the marks {_BEGIN} and {_END}")
    lines = ["| what | measured | floor | aim |", "|---|---|---|---|"]
    for row in rows:
        floor = row.least if row.least is not None else row.most
        missed = "" if row.good else " (missed)"
        lines.append(
            f"| {row.what} | {_shown(row.value)} {row.unit} | {'' if floor is None else f'{floor:g}'}{missed} "
            f"| {'' if row.aim is None else f'{row.aim:g}'}{'' if row.reached else ' (missed)'} |"
        )
    path.write_text(f"{before}{begin}\n\n" + "\n".join(lines) + f"\n\n{end}{after}")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
