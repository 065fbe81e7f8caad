"""Output of `sealgate scan`: tables for people, and the document of `--output json` (`scan.schema.json`)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.table import Table

from sealgate.cli.outputs.console import plain
from sealgate.cli.outputs.contract import entry_of
from sealgate.cli.outputs.rendering import VERDICT_STYLES, why
from sealgate.messages import quote
from sealgate.policies.decisions import Verdict
from sealgate.workloads.running import Running, compare_running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.text import Text

    from sealgate.cli.questions import Answer
    from sealgate.policies.decisions import ImageVerdict

#: The most rows of a table that lists images.
MAX_ROWS = 200


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """One image in one namespace.

    Attributes:
        answer: the image and its verdict.
        without: the verdict without the key of `--without-key`; None without that option.
    """

    answer: Answer
    without: ImageVerdict | None = None

    @property
    def verdict(self) -> ImageVerdict:
        """The verdict that the scan is about."""
        return self.answer.verdict if self.without is None else self.without

    @property
    def changed(self) -> bool:
        """Whether a policy would not be met any more without the key."""
        return self.without is not None and self.without is not self.answer.verdict

    def running(self) -> Counter[Running]:
        """Return how many containers run what was verified, something else, or what is not known."""
        found: Counter[Running] = Counter()
        for image_id, count in self.answer.question.running:
            found[compare_running(image_id, self.answer.verdict.subject)] += count
        return found


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found.

    Attributes:
        images: the images, in the order of the output.
        problems: what could not be read, one line each, escaped.
        local: namespaces whose pull secrets may not be read.
        without_key: the fingerprint of `--without-key`; None without that option.
    """

    images: Sequence[ScannedImage]
    problems: Sequence[str]
    local: Sequence[str] = ()
    without_key: str | None = None

    @property
    def shown(self) -> Sequence[ScannedImage]:
        """The images that the output lists: with `--without-key` only those that would change."""
        return self.images if self.without_key is None else [image for image in self.images if image.changed]

    def running(self) -> Counter[Running]:
        """Return how many containers run what was verified, something else, or what is not known."""
        return sum((image.running() for image in self.images), Counter())


def scan_text(scan: Scan) -> str:
    """Return the document of `--output json`, ASCII only, indented."""
    counts = Counter(image.verdict.verdict for image in scan.images)
    running = scan.running()
    document = {
        "withoutKey": scan.without_key,
        "images": [_entry(image) for image in scan.shown],
        "summary": {
            "images": len(scan.images),
            "verdicts": {verdict.value: counts[verdict] for verdict in Verdict},
            "running": {state.value: running[state] for state in Running},
            "changed": None if scan.without_key is None else len(scan.shown),
        },
        "localCredentials": list(scan.local),
        "problems": list(scan.problems),
    }
    return json.dumps(document, indent=2)


def tables(scan: Scan) -> Iterator[Table]:
    """Yield the tables that have rows: policies by namespace, images that are not admitted, images that differ."""
    if scan.without_key is not None:
        yield from _listed(scan.shown, "would stop passing")
        return
    if scan.images:
        yield _policies(scan.images)
    yield from _listed([each for each in scan.images if each.verdict.verdict is not Verdict.ADMIT], "not admitted")
    yield from _unknown(scan.images)


def summary(scan: Scan) -> Text:
    """Return the last line."""
    counts = Counter(image.verdict.verdict for image in scan.images)
    images = "1 image" if len(scan.images) == 1 else f"{len(scan.images) or 'no'} images"
    namespaces = len({image.answer.question.namespace for image in scan.images})
    where = f"{images} in {namespaces} namespace{'' if namespaces == 1 else 's'}"
    if scan.without_key is not None:
        unknown = sum(image.answer.verdict.verdict is Verdict.UNAVAILABLE for image in scan.images)
        more = f"; {unknown} could not be determined" if unknown else ""
        return plain(f"{where}: {len(scan.shown) or 'none'} would stop passing without {quote(scan.without_key)}{more}")
    parts = [f"{counts[verdict]} {_PAST[verdict]}" for verdict in Verdict if counts[verdict]]
    running = scan.running()
    containers = [f"{running[state]} {_RUNS[state]}" for state in Running if running[state]]
    shown = f"; containers: {', '.join(containers)}" if containers else ""
    return plain(f"{where}: {', '.join(parts)}{shown}" if parts else where)


_PAST = {
    Verdict.ADMIT: "admitted",
    Verdict.WARN: "with a warning",
    Verdict.DENY: "denied",
    Verdict.UNAVAILABLE: "not determined",
}
_RUNS = {
    Running.MATCH: "run what was verified",
    Running.DIFFERS: "run another image",
    Running.UNKNOWN: "may run another image",
}


def _entry(image: ScannedImage) -> dict[str, Any]:
    entry = entry_of(replace(image.answer, verdict=image.verdict))
    entry["message"] = image.verdict.message
    entry["exception"] = None if image.verdict.exception is None else image.verdict.exception.name
    entry["verdictWithKey"] = None if image.without is None else image.answer.verdict.verdict.value
    entry["running"] = [
        {
            "imageID": image_id or None,
            "containers": count,
            "result": compare_running(image_id, image.answer.verdict.subject).value,
        }
        for image_id, count in image.answer.question.running
    ]
    return entry


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _policies(images: Sequence[ScannedImage]) -> Table:
    """Return how many images meet each policy, by namespace and policy."""
    rows: dict[tuple[str, str, str], Counter[str]] = {}
    for image in images:
        namespace = image.answer.question.namespace
        for policy in image.verdict.policies:
            outcome = "met" if policy.met else "undecided" if policy.undecided else "not met"
            rows.setdefault((namespace, policy.name, policy.action), Counter())[outcome] += 1
        if not image.verdict.policies:
            rows.setdefault((namespace, "", image.verdict.coverage.value), Counter())["none"] += 1
    table = _table("Namespace", "Policy", "Action", "Images", "Met", "Not met", "Not determined")
    for (namespace, name, action), counts in sorted(rows.items()):
        cells = [str(counts[outcome] or "-") for outcome in ("met", "not met", "undecided")]
        table.add_row(
            plain(quote(namespace)),
            plain(quote(name) or "(none)"),
            plain(action),
            str(counts.total()),
            cells[0],
            plain(cells[1], "red" if counts["not met"] else ""),
            plain(cells[2], "magenta" if counts["undecided"] else ""),
        )
    return table


def _listed(images: Sequence[ScannedImage], what: str) -> Iterator[Table]:
    if not images:
        return
    table = _table("Verdict", "Namespace", "Image", "Used by", "Why")
    for image in images[:MAX_ROWS]:
        verdict, question = image.verdict, image.answer.question
        table.add_row(
            plain(verdict.verdict.value, VERDICT_STYLES[verdict.verdict]),
            plain(quote(question.namespace)),
            plain(quote(question.image)),
            plain(_used_by(image.answer)),
            plain(why(verdict)),
        )
    table.caption = _more(len(images), what)
    yield table


def _unknown(images: Sequence[ScannedImage]) -> Iterator[Table]:
    """Yield the containers that do not certainly run what was verified under a policy."""
    found = [
        (image, image_id, count)
        for image in images
        if image.verdict.policies and image.verdict.subject is not None
        for image_id, count in image.answer.question.running
        if compare_running(image_id, image.verdict.subject) is not Running.MATCH
    ]
    if not found:
        return
    table = _table("Namespace", "Image", "Verified", "Containers", "Run")
    for image, image_id, count in found[:MAX_ROWS]:
        table.add_row(
            plain(quote(image.answer.question.namespace)),
            plain(quote(image.answer.question.image)),
            plain(image.verdict.subject),
            str(count),
            plain(quote(image_id) or "several"),
        )
    table.caption = _more(
        len(found), "that may run another image than the one verified: another platform, or an older tag"
    )
    yield table


def _more(total: int, what: str) -> str:
    return f"{total} {what}" + (f"; the first {MAX_ROWS}, --output json has all" if total > MAX_ROWS else "")


def _used_by(answer: Answer) -> str:
    uses = answer.question.uses
    objects = list(dict.fromkeys(f"{quote(use.kind)} {quote(use.name)}" for use in uses))
    more = len(objects) - 1 + answer.question.more
    return (objects[0] if objects else "") + (f" and {more} more" if more > 0 else "")
