"""`sealgate verify`: verify images against policies and show why each is admitted or denied."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from sealgate.cli.exits import Exit, exit_of
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.kms_keys import own_key_cache
from sealgate.cli.inputs.namespaces import namespace_of
from sealgate.cli.inputs.registries import credentials_of, settings_of
from sealgate.cli.inputs.workloads import Manifests
from sealgate.cli.outputs import console, contract, junit, rendering, sarif
from sealgate.cli.outputs.progress import progress_bar
from sealgate.cli.outputs.schemas import schema_option
from sealgate.cli.questions import Question
from sealgate.cli.runs import open_run
from sealgate.clocks import SystemClock
from sealgate.formats.simple_signing.verify import SimpleSigningCheck
from sealgate.manifests.policies import load_standalone, standalone_policies
from sealgate.messages import quote
from sealgate.policies.decisions import Coverage
from sealgate.references import parse_reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate.cli.inputs.options import Limits, NamespaceOptions, PolicyOptions, RegistryOptions
    from sealgate.cli.questions import Answer
    from sealgate.cli.runs import Run
    from sealgate.policies.matching import Namespace
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.workloads.kinds import WorkloadKinds

_FAILED_ON_UNMATCHED = (
    "--fail-on-unmatched: some images are neither covered nor exempt; write a policy that covers them, or one with "
    "action: Exempt"
)


@click.command(
    epilog=examples(
        "sealgate verify registry.example.org/shop/web:1.0 --policies policies/",
        "sealgate verify -f deployment.yaml --policies policies/ --output json",
        "helm template shop/ | sealgate verify -f - --policies policies/ --namespace shop",
        "kubectl get deploy -A -o yaml | sealgate verify -f - --policies policies/",
    )
)
@click.argument("images", metavar="IMAGE... | -f MANIFEST...", nargs=-1)
@click.option(
    "-f",
    "--filename",
    "manifests",
    metavar="MANIFEST",
    multiple=True,
    help="Kubernetes manifest (YAML or JSON) whose images to verify, - for standard input, or a directory of .yaml, "
    ".yml and .json files. Lists and multiple documents are supported; kinds without images are skipped. With -f, all "
    "arguments are manifests.",
)
@click.option(
    "--fail-on-unmatched",
    is_flag=True,
    help="Exit with 1 if an image is neither covered by an Enforce policy nor exempt by an Exempt policy.",
)
@options.custom_kind_option
@options.policy_options
@options.namespace_options
@options.registry_options
@options.limit_options
@click.option(
    "--expected-identity",
    metavar="REFERENCE",
    help="Identity that simple signing signatures must have, instead of the identity rule of the policies; the same as "
    "this option of oc adm verify-image-signature.",
)
@options.state_option
@options.report_option
@schema_option("verify")
def verify(  # noqa: PLR0913, PLR0917 - click hands over one argument for each group of options
    images: tuple[str, ...],
    manifests: tuple[str, ...],
    fail_on_unmatched: bool,  # noqa: FBT001 - click passes it by name
    kinds: WorkloadKinds,
    policies: PolicyOptions,
    namespace: NamespaceOptions,
    registries: RegistryOptions,
    limits: Limits,
    expected_identity: str | None,
    state: TrustedState,
    output: str,
) -> Exit:
    """Verify images against policies.

    Shows for each image the verdict of the webhook, and for each policy and authenticator every signature that was
    checked, the key that made it, and why it counts or not.

    Name the images, or the manifests that use them with -f. The namespace of an image in a manifest is that of the
    object. Each image is verified once for each namespace. Kinds are identified by API group and name. In kinds that
    are neither built into Kubernetes nor named with --custom-kind, pod specs are detected by their shape, and a note
    says so. If an object cannot be read, the others are verified all the same.

    The last line counts the images that are verified, exempt and unmatched; --output json has this for each image.
    --output sarif and junit have a result for each policy that decides about an image.

    Exit codes: 0 admitted (warnings included), 1 denied, 2 invalid usage, policy, file or object, 3 could not be
    determined. With several images the highest code.
    """
    if not images and not manifests:
        raise click.UsageError("name at least one image, or a manifest with -f")
    found = Manifests(kinds)
    if manifests:
        found.read((*manifests, *images), namespace.name)
        for problem in found.problems:
            click.echo(f"Error: {problem}", err=True)
        questions = found.questions()
        if found.problems and not questions:
            return Exit.WRONG_INPUT
    else:
        for image in images:
            parse_reference(image)  # a typing error on the command line is invalid usage, not a denial
        questions = [Question(image, namespace.name) for image in images]
    files = load_standalone(policies.paths)
    namespaces = {
        question.namespace: namespace_of(question.namespace, namespace, files, found.namespaces)
        for question in questions
    }
    keys = own_key_cache(settings_of(registries), SystemClock())
    keys.refresh(files.authenticators, files.secrets, limits.timeout)
    decide = standalone_policies(files, policies.unmatched, keys)
    if expected_identity is not None:
        decide = _expecting(decide, expected_identity)
    local = credentials_of(registries)
    with open_run(decide, registries, limits, state, lambda _: local) as run:
        answers = _ask(run, questions, namespaces)
    _report(answers, found, output)
    unmatched = fail_on_unmatched and any(answer.verdict.coverage is Coverage.UNMATCHED for answer in answers)
    if unmatched:
        click.echo(f"Error: {_FAILED_ON_UNMATCHED}", err=True)
    return max(
        exit_of(answer.verdict.verdict for answer in answers),
        Exit.WRONG_INPUT if found.problems else Exit.ADMITTED,
        Exit.DENIED if unmatched else Exit.ADMITTED,
    )


def _expecting(policies: PolicySet, identity: str) -> PolicySet:
    """Return the policies with one expected identity for every simple signing authenticator."""
    checks = {
        name: check.expecting(identity) if isinstance(check, SimpleSigningCheck) else check
        for name, check in policies.checks.items()
    }
    if not any(isinstance(check, SimpleSigningCheck) for check in checks.values()):
        raise click.UsageError("--expected-identity needs a simple signing authenticator, and the policies have none")
    return replace(policies, checks=checks)


def _ask(run: Run, questions: Sequence[Question], namespaces: Mapping[str, Namespace]) -> list[Answer]:
    """Verify the images; on a terminal, show a progress bar if there are many."""
    with progress_bar("verifying", len(questions)) as bar:
        task = bar.add_task("verifying", total=len(questions))
        return run.answer_all(questions, namespaces, lambda: bar.advance(task))


def _report(answers: Sequence[Answer], found: Manifests, output: str) -> None:
    for kind, count in sorted(found.guessed.items()):
        objects = "1 object" if count == 1 else f"{count} objects"
        click.echo(f"pod specs detected by shape in {objects}; to configure the kind: --custom-kind {kind}", err=True)
    if found.ignored:
        kinds = ", ".join(f"{quote(kind)} ({count})" for kind, count in sorted(found.ignored.items()))
        objects = "1 object" if found.objects == 1 else f"{found.objects} objects"
        click.echo(f"{objects}; skipped because these kinds have no images: {kinds}", err=True)
    if output == "sarif":
        click.echo(sarif.sarif_text(answers, found.problems))
    elif output == "junit":
        click.echo(junit.junit_text(answers, found.problems))
    elif output == "json":
        click.echo(contract.verdicts_text(answers))
        for answer in answers:
            if not answer.verdict.policies:
                click.echo(answer.verdict.message, err=True)
    else:
        _print(answers)


def _print(answers: Sequence[Answer]) -> None:
    out = console.output()
    for answer in answers:
        out.print(rendering.details(answer))
        out.print()
    if answers:
        out.print(rendering.table(answers))
        out.print()
    out.print(rendering.summary(answers))
