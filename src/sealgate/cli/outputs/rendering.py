"""Text output of `sealgate verify`: the signatures that were checked, why each counted or not, and a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from sealgate.cli.outputs.console import plain
from sealgate.findings import Outcome
from sealgate.messages import quote
from sealgate.policies.decisions import Coverage, Verdict
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sealgate.cli.questions import Answer
    from sealgate.findings import Finding, SeenSignature
    from sealgate.policies.decisions import ImageVerdict, PolicyResult

VERDICT_STYLES = {
    Verdict.ADMIT: "bold green",
    Verdict.WARN: "bold yellow",
    Verdict.DENY: "bold red",
    Verdict.UNAVAILABLE: "bold magenta",
}
_OUTCOMES = {Outcome.VERIFIED: "green", Outcome.REFUSED: "red", Outcome.UNAVAILABLE: "magenta"}
_PAST = {Verdict.ADMIT: "admitted", Verdict.WARN: "with a warning", Verdict.DENY: "denied"}
#: The most uses in manifests that are listed for one image.
_MAX_USES = 5
_SHORT_DIGEST = len("sha256:") + 12


def details(answer: Answer) -> Tree:
    """Return a tree with every policy, authenticator and signature of one image."""
    verdict = answer.verdict
    tree = Tree(_heading(answer), guide_style="dim")
    tree.add(plain(verdict.subject or "not resolved to a digest", "dim"))
    for use in answer.question.uses[:_MAX_USES]:
        tree.add(plain(f"used by {use}", "dim"))
    more = max(len(answer.question.uses) - _MAX_USES, 0) + answer.question.more
    if more:
        tree.add(plain(f"used in {more} more places", "dim"))
    if not verdict.policies:
        tree.add(plain(verdict.message))
    for policy in verdict.policies:
        _add_policy(tree, policy)
    return tree


def table(answers: Sequence[Answer]) -> Table:
    """Return a table with one row for each image."""
    namespaces = len({answer.question.namespace for answer in answers}) > 1
    shown = Table(show_edge=False, pad_edge=False, header_style="bold")
    shown.add_column("Verdict", no_wrap=True)
    shown.add_column("Image", overflow="fold")
    if namespaces:
        shown.add_column("Namespace", overflow="fold")
    shown.add_column("Subject", no_wrap=True)
    shown.add_column("Why", overflow="fold")
    for answer in answers:
        verdict = answer.verdict
        cells = [plain(verdict.verdict.value, VERDICT_STYLES[verdict.verdict]), plain(quote(verdict.image))]
        if namespaces:
            cells.append(plain(answer.question.namespace))
        cells += [plain((verdict.subject or "-")[:_SHORT_DIGEST]), plain(why(verdict))]
        shown.add_row(*cells)
    return shown


def summary(answers: Sequence[Answer]) -> Text:
    """Return the last line: the number of images, of each verdict, and of verified, exempt and unmatched images."""
    counts = Counter(answer.verdict.verdict for answer in answers)
    parts = [f"{counts[verdict]} {_PAST.get(verdict, 'not determined')}" for verdict in Verdict if counts[verdict]]
    images = "1 image" if len(answers) == 1 else f"{len(answers) or 'no'} images"
    return plain(f"{images}: {', '.join(parts)} ({_counts(answers)})" if parts else f"{images} ({_counts(answers)})")


def _counts(answers: Sequence[Answer]) -> str:
    verified = sum(answer.verdict.verified for answer in answers)
    coverage = Counter(answer.verdict.coverage for answer in answers)
    return f"{verified} verified, {coverage[Coverage.EXEMPT]} exempt, {coverage[Coverage.UNMATCHED]} unmatched"


def _heading(answer: Answer) -> Text:
    verdict = answer.verdict.verdict
    return Text.assemble(
        plain(verdict.value.upper(), VERDICT_STYLES[verdict]),
        plain(f"  {quote(answer.verdict.image)}", "bold"),
        plain(f"  in namespace {answer.question.namespace}", "dim"),
    )


def _add_policy(tree: Tree, policy: PolicyResult) -> None:
    line = Text.assemble(
        "policy ",
        plain(policy.name, "bold"),
        plain(f" ({policy.action}): "),
        plain("met", "green") if policy.met else plain("not met", "red"),
        f", {policy.satisfied} of {policy.required} required",
    )
    branch = tree.add(line)
    for finding in policy.findings:
        _add_finding(branch, finding)


def _add_finding(tree: Tree, finding: Finding) -> None:
    form = f" ({finding.format})" if finding.format else ""
    line = Text.assemble(
        plain(f"{finding.authenticator}{form}: "), plain(finding.outcome.value, _OUTCOMES[finding.outcome])
    )
    if finding.outcome is not Outcome.VERIFIED:
        said = any(finding.message.endswith(signature.message) for signature in finding.signatures)
        line.append_text(plain(f", {finding.reason.value}" + ("" if said else f": {finding.message}")))
    branch = tree.add(line)
    for signature in finding.signatures:
        branch.add(_signature(signature))


def _signature(signature: SeenSignature) -> Text:
    counted = signature.reason is Reason.VERIFIED
    named = signature.fingerprint is None or signature.fingerprint in signature.message
    return Text.assemble(
        plain("counts", "green") if counted else plain(f"does not count, {signature.reason.value}", "red"),
        plain(f": {signature.source}: {signature.message}"),
        "" if named else plain(f" (key {signature.fingerprint})"),
    )


def why(verdict: ImageVerdict) -> str:
    """Return why an image has its verdict, in a few words: the reason, and the policies that are met or not."""
    if verdict.reason is Reason.VERIFIED:
        return f"met: {_names(policy.name for policy in verdict.policies)}"
    unmet = _names(policy.name for policy in verdict.policies if not policy.met)
    return f"{verdict.reason.value} ({unmet})" if unmet else verdict.reason.value


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)
