"""Output of `sealgate doctor`: a table for people, and the document of `--output json` (`doctor.schema.json`)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.table import Table

from sealgate.cli.outputs.console import plain
from sealgate.diagnosis.checks import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from sealgate.diagnosis.checks import Check

_STYLES = {
    Outcome.OK: "bold green",
    Outcome.WARNING: "bold yellow",
    Outcome.PROBLEM: "bold red",
    Outcome.NOT_CHECKED: "bold magenta",
}
_WORDS = {Outcome.OK: "ok", Outcome.WARNING: "warning", Outcome.PROBLEM: "problem", Outcome.NOT_CHECKED: "not checked"}


def diagnosis_document(checks: Sequence[Check], namespace: str, version: str) -> dict[str, Any]:
    """Return the document of `--output json`.

    Args:
        checks: in the order of the output.
        namespace: sealgate's own.
        version: of this command.
    """
    counts = Counter(check.outcome for check in checks)
    return {
        "version": version,
        "namespace": namespace,
        "checks": [
            {
                "area": check.area.value,
                "name": check.name,
                "result": check.outcome.value,
                "message": check.message,
                "remedy": check.remedy or None,
            }
            for check in checks
        ],
        "summary": {outcome.value: counts[outcome] for outcome in Outcome},
    }


def table(checks: Sequence[Check]) -> Table:
    """Return a table with one row for each check."""
    shown = Table(show_edge=False, pad_edge=False, header_style="bold")
    shown.add_column("Result", no_wrap=True)
    shown.add_column("Area", no_wrap=True)
    shown.add_column("What", overflow="fold")
    shown.add_column("Found, and what to do", overflow="fold")
    for check in checks:
        found = plain(check.message)
        if check.remedy:
            found = found.append_text(plain(f" -> {check.remedy}", "dim"))
        outcome = plain(_WORDS[check.outcome], _STYLES[check.outcome])
        shown.add_row(outcome, plain(check.area.value), plain(check.name), found)
    return shown


def summary(checks: Sequence[Check]) -> Text:
    """Return the last line."""
    counts = Counter(check.outcome for check in checks)
    parts = ", ".join(f"{counts[outcome]} {_WORDS[outcome]}" for outcome in Outcome if counts[outcome])
    return plain(f"{len(checks)} checks: {parts}")
