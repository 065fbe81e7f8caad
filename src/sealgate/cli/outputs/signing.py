"""Output of `sealgate sign`: a table for people, and JSON, an API for other programs; see `schemas` beside it."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from sealgate.cli.exits import Exit
from sealgate.cli.outputs import console
from sealgate.cli.outputs.console import plain
from sealgate.errors import InvalidInputError, SigningError, VerificationError
from sealgate.formats.signing import SigningOutcome
from sealgate.signing.discovery import Undiscovered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    counts = Counter(map(outcome_name, outcomes))
    repairs = sum(each.result.repairs for each in outcomes if each.result)
    more = f" ({repairs} added again after another writer had dropped them)" if repairs else ""
    return plain(f"{counts_text(counts)}{more}")


def counts_text(counts: Mapping[str, int]) -> str:
    """Return how many images there are, and how many of each outcome.

    Args:
        counts: images by outcome, as `outcome_name` names it.
    """
    total = sum(counts.values())
    parts = ", ".join(f"{counts[name]} {_SHOWN.get(name, name)}" for name in _STYLES if counts.get(name))
    return f"{total} {'image' if total == 1 else 'images'}{': ' if parts else ''}{parts}"


def failures_table(failures: Sequence[tuple[str, str]]) -> Table:
    """Return a table of what was not signed and why, one row for each image, repository or registry."""
    shown = Table(show_edge=False, pad_edge=False, header_style="bold")
    shown.add_column("Not signed", overflow="fold")
    shown.add_column("Why", overflow="fold")
    for name, why in failures:
        shown.add_row(plain(name), plain(why))
    return shown


def print_outcomes(outcomes: Sequence[SignedImage], form: str, output: str) -> None:
    """Print the results of a run, and each error on standard error.

    Args:
        outcomes: of the images.
        form: name of the format.
        output: "json", or text.
    """
    if output == "json":
        click.echo(outcomes_text(outcomes, form))
    else:
        out = console.output()
        out.print(outcomes_table(outcomes))
        out.print()
        out.print(summary(outcomes))
    for each in outcomes:
        if each.error is not None:
            click.echo(f"Error: {plain(each.reference)}: {each.error.message}", err=True)


class EntryWriter:
    """Prints the JSON document of many images entry by entry, so that none of them is kept.

    Args:
        form: name of the format.
    """

    def __init__(self, form: str) -> None:
        self._form = form
        self._written = 0

    def write(self, each: SignedImage | Undiscovered) -> None:
        """Print the entry of an image, or of a registry or repository that could not be listed."""
        entry = _undiscovered(each, self._form) if isinstance(each, Undiscovered) else _entry(each, self._form)
        text = textwrap.indent(json.dumps(entry, indent=2), "  ")
        click.echo(f"{',' if self._written else '['}\n{text}", nl=False)
        self._written += 1

    def close(self) -> None:
        """End the document."""
        click.echo("\n]" if self._written else "[]")


def outcome_name(each: SignedImage) -> str:
    """Return the outcome as the JSON has it: signed, alreadySigned, refused or unavailable."""
    if each.error is not None:
        return error_outcome(each.error)
    assert each.result is not None  # noqa: S101 - for the type checker: without an error there is a result
    return _NAMES[each.result.outcome]


def exit_of(outcomes: Sequence[SignedImage]) -> Exit:
    """Return the exit code of a run: the highest of its images."""
    return max((error_exit(each.error) for each in outcomes), default=Exit.ADMITTED)


def error_outcome(error: SealgateError) -> str:
    """Return the outcome of what failed, as the JSON has it: refused or unavailable."""
    return "refused" if isinstance(error, SigningError | VerificationError | InvalidInputError) else "unavailable"


def error_exit(error: SealgateError | None) -> Exit:
    """Return the exit code of one image or signature, by its error if it has one."""
    if error is None:
        return Exit.ADMITTED
    if isinstance(error, SigningError | VerificationError):
        return Exit.DENIED
    return Exit.WRONG_INPUT if isinstance(error, InvalidInputError) else Exit.UNDETERMINED


def _undiscovered(each: Undiscovered, form: str) -> dict[str, Any]:
    nothing = ("subject", "keyFingerprint", "keyVersion", "algorithm", "location", "digest", "size")
    told = {"image": each.name, "outcome": "unavailable", "format": form, "repairs": 0}
    return {**told, **dict.fromkeys(nothing), "reason": each.error.reason.value, "message": each.message}


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
