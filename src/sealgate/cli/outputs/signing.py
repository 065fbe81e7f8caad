"""Output of `sealgate sign`: a table for people, and JSON, an API for other programs; see `schemas` beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from sealgate.cli.exits import Exit
from sealgate.cli.outputs.console import plain
from sealgate.errors import InvalidInputError, SigningError, VerificationError
from sealgate.formats.signing import SigningOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from sealgate.errors import SealgateError
    from sealgate.signing.runs import SignedImage

_STYLES = {"signed": "bold green", "alreadySigned": "green", "refused": "bold red", "unavailable": "bold magenta"}
_NAMES = {SigningOutcome.SIGNED: "signed", SigningOutcome.ALREADY_SIGNED: "alreadySigned"}
_SHOWN = {"alreadySigned": "already signed", "unavailable": "not determined"}
_SHORT = len("sha256:") + 12


def outcomes_text(outcomes: Sequence[SignedImage], form: str) -> str:
    """Return the JSON document: one entry for each image, in order, ASCII only, indented.

    Args:
        outcomes: of the images.
        form: name of the format.
    """
    return json.dumps([_entry(each, form) for each in outcomes], indent=2)


def outcomes_table(outcomes: Sequence[SignedImage]) -> Table:
    """Return a table with one row for each image: outcome, image, digest, key, where."""
    shown = Table(show_edge=False, pad_edge=False, header_style="bold")
    shown.add_column("Outcome", no_wrap=True)
    shown.add_column("Image", overflow="fold")
    shown.add_column("Digest", no_wrap=True)
    shown.add_column("Key", no_wrap=True)
    shown.add_column("Where", overflow="fold")
    for each in outcomes:
        name, result = outcome_name(each), each.result
        shown.add_row(
            plain(_SHOWN.get(name, name), _STYLES[name]),
            plain(each.reference),
            plain(each.image.digest[:_SHORT] if each.image else "-"),
            plain(result.fingerprint[:_SHORT] if result else "-"),
            plain(result.location if result else "-"),
        )
    return shown


def summary(outcomes: Sequence[SignedImage]) -> Text:
    """Return the last line: the number of images, and of each outcome."""
    counts = {name: sum(outcome_name(each) == name for each in outcomes) for name in _STYLES}
    parts = ", ".join(f"{number} {_SHOWN.get(name, name)}" for name, number in counts.items() if number)
    repairs = sum(each.result.repairs for each in outcomes if each.result)
    more = f" ({repairs} added again after another writer had dropped them)" if repairs else ""
    return plain(f"{len(outcomes)} {'image' if len(outcomes) == 1 else 'images'}: {parts}{more}")


def outcome_name(each: SignedImage) -> str:
    """Return the outcome as the JSON has it: signed, alreadySigned, refused or unavailable."""
    if each.error is not None:
        refused = isinstance(each.error, SigningError | VerificationError | InvalidInputError)
        return "refused" if refused else "unavailable"
    assert each.result is not None  # noqa: S101 - for the type checker: without an error there is a result
    return _NAMES[each.result.outcome]


def exit_of(outcomes: Sequence[SignedImage]) -> Exit:
    """Return the exit code of a run: the highest of its images."""
    return max((_exit(each.error) for each in outcomes), default=Exit.ADMITTED)


def _exit(error: SealgateError | None) -> Exit:
    if error is None:
        return Exit.ADMITTED
    if isinstance(error, SigningError | VerificationError):
        return Exit.DENIED
    return Exit.WRONG_INPUT if isinstance(error, InvalidInputError) else Exit.UNDETERMINED


def _entry(each: SignedImage, form: str) -> dict[str, Any]:
    result = each.result
    return {
        "image": str(each.reference),
        "subject": None if each.image is None else each.image.digest,
        "outcome": outcome_name(each),
        "format": form,
        "keyFingerprint": None if result is None else result.fingerprint,
        "keyVersion": result.key_version or None if result else None,
        "algorithm": None if result is None else result.algorithm,
        "location": None if result is None else result.location,
        "digest": result.digest or None if result else None,
        "size": result.size or None if result else None,
        "repairs": 0 if result is None else result.repairs,
        "reason": None if each.error is None else each.error.reason.value,
        "message": None if each.error is None else each.error.message,
    }
