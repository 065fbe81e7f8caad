"""`sealgate explain`: why was it denied? Reads the decision log of the webhook and of the reports."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Final

import click

from sealgate.cli.exits import Exit
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.decision_log import DecisionLog
from sealgate.cli.outputs import console
from sealgate.cli.outputs.decisions import explanation
from sealgate.decision_ids import FIELD, PATTERN
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The most decisions that are shown, the newest ones.
MAX_SHOWN: Final = 1000


@click.command(
    epilog=examples(
        "sealgate explain u7ryfqg2-3kzbn5ol --log sealgate.log",
        "sealgate explain --namespace shop --image registry.example.org/shop/web --log sealgate.log",
    )
)
@click.argument("decision_id", metavar="[ID]", required=False, default="")
@click.option(
    "--log",
    "paths",
    metavar="FILE",
    multiple=True,
    required=True,
    help="Log of the webhook or of the reports, - for standard input. May be given several times, for all replicas.",
)
@click.option("--image", default="", help="Only decisions about an image whose name or digest contains this text.")
@click.option("--namespace", default="", help="Only decisions in this namespace.")
@options.output_option
def explain(decision_id: str, paths: tuple[str, ...], image: str, namespace: str, output: str) -> Exit:
    """Explain why an image was denied, or would have been.

    ID is the decision id of a denial, a warning, an Event, an audit annotation or a report. Decisions are read from the
    logs that the webhook and the reports' process write, whose lines docs/decision-log.schema.json describes; of many
    the newest 1,000 are shown. No registry and no cluster is contacted.

    Exit codes: 0 explained, 2 invalid usage or file, 3 the log has no such decision.
    """
    if decision_id and not PATTERN.fullmatch(decision_id):
        raise click.UsageError(f"{quote(decision_id)} is not a decision id, which looks like u7ryfqg2-3kzbn5ol")
    if not (decision_id or image or namespace):
        raise click.UsageError("Give a decision id, --image or --namespace.")
    logs = [DecisionLog(path) for path in paths]
    found: deque[Mapping[str, object]] = deque(maxlen=MAX_SHOWN)
    total = 0
    for log in logs:
        for decision in log.decisions():
            if _matches(decision, decision_id, image, namespace):
                found.append(decision)
                total += 1
    _print_notes(logs, total)
    if output == "json":
        click.echo(json.dumps(list(found), indent=2))
    else:
        out = console.output()
        for decision in found:
            out.print(explanation(decision))
    return Exit.ADMITTED if found else Exit.UNDETERMINED


def _matches(decision: Mapping[str, object], decision_id: str, image: str, namespace: str) -> bool:
    if decision_id and decision[FIELD] != decision_id:
        return False
    if namespace and decision.get("namespace") != namespace:
        return False
    return not image or any(image in text for text in _images(decision))


def _images(decision: Mapping[str, object]) -> Iterable[str]:
    """Return the images and digests of a review, or those of a report's result, which are its own members."""
    images = decision.get("images")
    for member in (decision, *(images if isinstance(images, list) else ())):
        if isinstance(member, dict):
            yield from (str(member.get(name, "")) for name in ("image", "digest"))


def _print_notes(logs: Iterable[DecisionLog], total: int) -> None:
    notes = console.notes()
    unreadable, newer = sum(log.unreadable for log in logs), sum(log.newer for log in logs)
    if unreadable:
        notes.print(console.plain(f"{unreadable} lines that mention a decision could not be read and were left out"))
    if newer:
        notes.print(console.plain(f"{newer} decisions are of another version of sealgate; use its command line"))
    if not total:
        notes.print(
            console.plain(
                "the log has no such decision; give the logs of all replicas and of the reports, with enough past"
            )
        )
    elif total > MAX_SHOWN:
        notes.print(console.plain(f"{total} decisions were found; the newest {MAX_SHOWN} are shown"))
