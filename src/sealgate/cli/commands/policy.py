"""`sealgate policy`: validate policy files, and explain which policies cover an image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from sealgate.cli.commands.convert import convert
from sealgate.cli.exits import Exit
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.namespaces import namespace_of
from sealgate.cli.outputs import console
from sealgate.clocks import SystemClock
from sealgate.errors import PolicyError
from sealgate.manifests.policies import load_standalone, unusable_keys
from sealgate.messages import quote
from sealgate.policies.matching import Cause, PolicyIndex
from sealgate.references import parse_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.cli.inputs.options import NamespaceOptions
    from sealgate.errors import Problem
    from sealgate.manifests.loading import PolicyFiles
    from sealgate.policies.matching import Explanation

_UNMATCHED = (
    "No Enforce policy covers it and no Exempt policy exempts it, so the image is unmatched: --unmatched, or the "
    "chart's unmatchedImages, decides."
)


@click.group()
def policy() -> None:
    """Validate policy files, explain what they cover, and convert those of other tools."""


policy.add_command(convert)


@policy.command(
    epilog=examples(
        "sealgate policy check policies/",
        "sealgate policy check --output json policies/release-key.yaml policies/production.yaml",
    )
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@options.output_option
def check(paths: tuple[str, ...], output: str) -> Exit:
    """Validate policy files and report every problem.

    PATH is a file or a directory of Authenticator, VerificationPolicy and SigningPolicy YAML, with the Secrets that
    they name. All files are read together, as if applied to one cluster. Each problem is reported with its file, line
    and field, and with what to write instead. Expired and revoked OpenPGP keys are reported too, but are not an error:
    a key can expire while its file stays the same.

    Exit codes: 0 no problems, 2 problems found.
    """
    files: PolicyFiles | None = None
    problems: Sequence[Problem] = ()
    try:
        files = load_standalone(paths)
    except PolicyError as error:
        problems = error.problems
    if files is not None:
        for note in files.notes:
            click.echo(note, err=True)
        for unusable in unusable_keys(files, SystemClock().now()):
            click.echo(f"{unusable.file}:{unusable.line}: {unusable.message}", err=True)
    if output == "json":
        click.echo(json.dumps([_problem(problem) for problem in problems], indent=2))
    elif files is not None:
        console.output().print(console.plain(f"{_count(files)}: no problems", "green"))
    else:
        _print_problems(problems)
    return Exit.WRONG_INPUT if files is None else Exit.ADMITTED


@policy.command(
    epilog=examples(
        "sealgate policy match registry.example.org/shop/web:1.0 --policies policies/",
        "sealgate policy match nginx --policies policies/ --namespace shop --namespace-label env=production",
    )
)
@click.argument("image")
@options.policies_option
@options.namespace_options
@options.output_option
def match(image: str, policy_paths: tuple[str, ...], namespace: NamespaceOptions, output: str) -> None:
    """Explain which policies match an image, and why the others do not.

    No registry is contacted. Policies match the normalised name: nginx is docker.io/library/nginx.

    Exit codes: 0 explained, whether a policy matches or not, 2 invalid usage, policy or file.
    """
    reference = parse_reference(image)
    files = load_standalone(policy_paths)
    explanations = PolicyIndex(files.policies).explain(reference, namespace_of(namespace.name, namespace, files))
    if output == "json":
        document = {
            "image": image,
            "reference": str(reference),
            "namespace": namespace.name,
            "policies": [_explanation(explanation) for explanation in explanations],
        }
        click.echo(json.dumps(document, indent=2))
        return
    out = console.output()
    out.print(console.plain(f"{reference} in namespace {quote(namespace.name)}", "bold"))
    if explanations:
        out.print(_table(explanations))
    if not any(_decides(explanation) for explanation in explanations):
        out.print(console.plain(_UNMATCHED, "yellow"))


def _decides(explanation: Explanation) -> bool:
    """Return whether a policy covers or exempts the image, so that it is not unmatched."""
    certain = explanation.matched and explanation.cause is not Cause.NAMESPACE_UNKNOWN
    return certain and explanation.policy.action in ("Enforce", "Exempt")


def _problem(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "field": problem.field,
        "message": problem.message,
        "suggestion": problem.suggestion,
    }


def _print_problems(problems: Sequence[Problem]) -> None:
    out = console.output()
    for problem in problems:
        location = f"{problem.file}:{problem.line}" if problem.line else problem.file
        field = console.plain(f"{problem.field}: ", "cyan") if problem.field else ""
        out.print(Text.assemble(console.plain(f"{location}: ", "bold"), field, console.plain(problem.message)))
        if problem.suggestion:
            out.print(console.plain(f"    {problem.suggestion}", "green"))
    out.print(console.plain(f"{_number(len(problems), 'problem')} found", "bold red"))


def _explanation(explanation: Explanation) -> dict[str, object]:
    return {
        "name": explanation.policy.name,
        "action": explanation.policy.action,
        "matches": explanation.matched,
        "cause": explanation.cause.value,
        "message": explanation.message,
        "authenticators": list(explanation.policy.authenticators),
        "required": explanation.policy.count,
    }


def _table(explanations: Sequence[Explanation]) -> Table:
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("Policy", overflow="fold")
    table.add_column("Matches", no_wrap=True)
    table.add_column("Why", overflow="fold")
    table.add_column("Action", no_wrap=True)
    table.add_column("Needs", overflow="fold")
    for explanation in sorted(explanations, key=lambda explanation: not explanation.matched):
        policy = explanation.policy
        needs = f"{policy.count} of {', '.join(policy.authenticators)}" if policy.authenticators else "-"
        table.add_row(
            console.plain(policy.name),
            console.plain("yes", "green") if explanation.matched else console.plain("no", "dim"),
            console.plain(explanation.message),
            console.plain(policy.action),
            console.plain(needs),
        )
    return table


def _count(files: PolicyFiles) -> str:
    counts = [
        _number(len(files.authenticators), "Authenticator"),
        _number(len(files.policies), "VerificationPolicy"),
    ]
    if files.signing_policies:
        counts.append(_number(len(files.signing_policies), "SigningPolicy"))
    return ", ".join(counts)


def _number(count: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"
