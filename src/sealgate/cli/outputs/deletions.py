"""Output of `sealgate signatures delete`: a table for people, and JSON, an API for other programs; see `schemas`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from sealgate.cli.exits import Exit
from sealgate.cli.outputs.console import plain
from sealgate.cli.outputs.signatures import made_by
from sealgate.cli.outputs.signing import error_exit, error_outcome
from sealgate.signing.deleting import SHORT_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.formats.interface import Image
    from sealgate.signing.deleting import DeletedSignature

_DELETED = "deleted"
_STYLES = {_DELETED: "bold green", "refused": "bold red", "unavailable": "bold magenta"}
_SHOWN = {"unavailable": "not determined"}


def outcomes_text(image: Image, outcomes: Sequence[DeletedSignature]) -> str:
    """Return the JSON document: one entry for each signature that was chosen, ASCII only, indented."""
    return json.dumps([_entry(image, each) for each in outcomes], indent=2)


def outcomes_table(outcomes: Sequence[DeletedSignature]) -> Table:
    """Return a table with one row for each signature that was chosen: outcome, ID, format, key, where it was."""
    shown = Table(show_edge=False, pad_edge=False, header_style="bold")
    for name in ("Outcome", "ID", "Format", "Key"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("Where", overflow="fold")
    for each in outcomes:
        name = _outcome(each)
        shown.add_row(
            plain(_SHOWN.get(name, name), _STYLES[name]),
            plain(each.listed.id[:SHORT_ID]),
            plain(each.listed.format),
            plain(made_by(each.listed)),
            plain(each.listed.stored.source),
        )
    return shown


def exit_of(outcomes: Sequence[DeletedSignature]) -> Exit:
    """Return the exit code of a run: the highest of its signatures."""
    return max((error_exit(each.error) for each in outcomes), default=Exit.ADMITTED)


def _outcome(each: DeletedSignature) -> str:
    return _DELETED if each.error is None else error_outcome(each.error)


def _entry(image: Image, each: DeletedSignature) -> dict[str, Any]:
    stored, result = each.listed.stored, each.listed.result
    return {
        "image": str(image.reference),
        "subject": image.digest,
        "id": each.listed.id,
        "outcome": _outcome(each),
        "format": each.listed.format,
        "source": stored.source,
        "location": stored.location or None,
        "keyFingerprint": None if result is None else result.fingerprint,
        "reason": None if each.error is None else each.error.reason.value,
        "message": None if each.error is None else each.error.message,
    }
