"""`sealgate scan`: verify what runs and what is declared in a cluster, or in manifests, by the policies in force."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from sealgate.cli.exits import Exit, exit_of
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.lost_keys import LostKey
from sealgate.cli.inputs.registries import credentials_of
from sealgate.cli.inputs.scan_options import scan_options
from sealgate.cli.inputs.scanned import ScanSource
from sealgate.cli.outputs import console, junit, sarif, scanning
from sealgate.cli.outputs.progress import progress_bar
from sealgate.cli.outputs.scanning import Scan, ScannedImage
from sealgate.cli.outputs.schemas import schema_option
from sealgate.cli.runs import open_run
from sealgate.clocks import SystemClock
from sealgate.policies.decisions import Verdict
from sealgate.policies.lifting import lift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate.cli.inputs.options import Limits, RegistryOptions
    from sealgate.cli.inputs.scan_options import ScanOptions
    from sealgate.cli.questions import Answer, Question
    from sealgate.cli.runs import Run
    from sealgate.policies.matching import Namespace
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.workloads.kinds import WorkloadKinds

#: The most images of one scan, each in one namespace; at the default rate they take half an hour.
MAX_IMAGES = 10_000


@click.command(
    epilog=examples(
        "sealgate scan",
        "sealgate scan --context production --namespace shop",
        "sealgate scan --policies policies/",
        "sealgate scan --namespace shop --output json",
        "helm template shop/ | sealgate scan - --namespace shop --output sarif",
    )
)
@click.argument("manifests", metavar="[MANIFEST...]", nargs=-1)
@scan_options
@options.custom_kind_option
@options.registry_options
@options.limit_options
@options.state_option
@options.report_option
@schema_option("scan")
def scan(
    manifests: tuple[str, ...],
    chosen: ScanOptions,
    kinds: WorkloadKinds,
    registries: RegistryOptions,
    limits: Limits,
    state: TrustedState,
    output: str,
) -> Exit:
    """Show what the policies of a cluster say about what runs in it.

    Reads the Pods, the objects with pod templates, the policies and the namespaces of the cluster of your
    kubeconfig, with your own rights (docs/scan.md has a ClusterRole), and verifies each image once for each
    namespace, as the webhook would, with the exceptions that are in force. With MANIFEST (a file, a directory, or -
    for standard input), the images are those of manifests. Nothing is changed.

    --policies asks what would happen if these policies were in force instead. --without-key asks what would stop
    passing if a key was revoked or replaced, and shows nothing else.

    Exit codes: 0 admitted (warnings included), 1 denied, 2 invalid usage, policy, file or object, 3 could not be
    determined, or something could not be read. With several images the highest code. With --without-key: 1 if an image
    that is admitted would be denied.
    """
    clock = SystemClock()
    source = ScanSource(manifests, chosen, kinds, clock, credentials_of(registries))
    questions = _read(source)
    policies = source.policies(registries, limits.timeout)
    lost = None if chosen.without_key is None else LostKey.find(chosen.without_key, policies, clock.now())
    namespaces = source.namespaces(questions)
    with open_run(policies, registries, limits, state, source.credentials) as run:
        answers = _ask(run, questions, namespaces)
    if lost is None:
        images = [ScannedImage(replace(each, verdict=lift(each.verdict, clock))) for each in answers]
    else:
        # Exceptions end soon, and do not show what the key is needed for.
        images = [ScannedImage(each, lost.take(each.verdict)) for each in answers]
    result = Scan(images, source.problems, source.local_namespaces, None if lost is None else lost.fingerprint)
    _report(result, source, output)
    return max(_exit_of(result), source.exit)


def _read(source: ScanSource) -> list[Question]:
    with progress_bar("reading objects", None) as bar:
        task = bar.add_task("reading", total=None)
        source.read(lambda: bar.advance(task))
    questions = source.questions()
    if len(questions) > MAX_IMAGES:
        source.unread.append(
            f"only {MAX_IMAGES} of {len(questions)} images are verified; scan each namespace by itself with --namespace"
        )
    return questions[:MAX_IMAGES]


def _ask(run: Run, questions: Sequence[Question], namespaces: Mapping[str, Namespace]) -> list[Answer]:
    """Verify each image once, then in its other namespaces, which find most of what they need in the caches."""
    once = list({question.image: question for question in reversed(questions)}.values())
    first = {(question.image, question.namespace) for question in once}
    others = [question for question in questions if (question.image, question.namespace) not in first]
    with progress_bar("verifying", len(questions)) as bar:
        task = bar.add_task("verifying", total=len(questions))
        answers = [
            answer for wave in (once, others) for answer in run.answer_all(wave, namespaces, lambda: bar.advance(task))
        ]
    return sorted(answers, key=lambda answer: (answer.question.namespace, answer.question.image))


def _exit_of(result: Scan) -> Exit:
    if result.without_key is None:
        return exit_of(image.verdict.verdict for image in result.images)
    # An image that cannot be verified now may depend on the key or not.
    unknown = (image.answer.verdict.verdict for image in result.images)
    undetermined = [verdict for verdict in unknown if verdict is Verdict.UNAVAILABLE]
    return exit_of([*undetermined, *(image.verdict.verdict for image in result.shown)])


def _report(result: Scan, source: ScanSource, output: str) -> None:
    for problem in result.problems:
        click.echo(f"Error: {problem}", err=True)
    for note in source.notes():
        click.echo(note, err=True)
    answers = [replace(image.answer, verdict=image.verdict) for image in result.shown]
    if output == "sarif":
        click.echo(sarif.sarif_text(answers, result.problems))
    elif output == "junit":
        click.echo(junit.junit_text(answers, result.problems))
    elif output == "json":
        click.echo(scanning.scan_text(result))
    else:
        out = console.output()
        for table in scanning.tables(result):
            out.print(table)
            out.print()
        out.print(scanning.summary(result))
